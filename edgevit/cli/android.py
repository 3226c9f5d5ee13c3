"""``edgevit android``: a bundle on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgevit.android.assets import Assets
    from edgevit.android.project import AndroidProject


@click.group(name="android")
def command() -> None:
    """Put a TFLite bundle into the Android demo.

    \b
    Example:
      edgevit android install exports/pets.tflite.int8
    """


@command.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=Path("android_demo"),
    show_default=True,
    help="The Android project.",
)
@click.option(
    "--images",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR|PHOTO",
    help="Golden photos for the app's self-test, up to 8. Repeat it for several. [default: test "
    "photos of the run, or drawn pictures]",
)
@click.option(
    "--apk",
    type=click.Path(path_type=Path),
    metavar="OUT.apk",
    help="Build a signed APK for trying, too; needs a JDK, Maven and Debian's Android tools.",
)
@click.option("--force", is_flag=True, help="Replace an earlier install, and OUT.apk.")
def install(
    bundle: Path, project: Path, images: tuple[Path, ...], apk: Path | None, force: bool
) -> None:
    """Put a TFLite bundle into the Android demo.

    Checks BUNDLE, runs it on golden photos, and writes model, labels, properties, photos and
    expected answers into the app's assets: all of them or none. The app compares its own answers
    with the expected ones when its self-test is started.

    \b
    Examples:
      edgevit android install exports/pets.tflite.int8
      edgevit android install exports/pets.tflite.int8 --images photos/ --apk pets.apk --force
    """
    from edgevit.android import assets as app_assets
    from edgevit.android.project import AndroidProject

    opened = app_assets.open_tflite_bundle(bundle)
    target = AndroidProject.open(project)
    if apk is not None:
        target.refuse_apk(apk, force=force)
    made = app_assets.make_assets(opened, images)
    app_assets.install(made, target.assets, force=force)
    _summarise(made, target)
    if apk is not None:
        target.build_apk(apk)
        click.echo(f"{apk}: {apk.stat().st_size / 1e6:.1f} MB. Next: adb install -r {apk}")
        return
    click.echo("next  open the project in Android Studio and run it, or add --apk OUT.apk")


def _summarise(made: Assets, target: AndroidProject) -> None:
    size_bytes = made.bundle.model_path.stat().st_size
    click.echo(
        f"{made.bundle.name}: {size_bytes / 1e6:.1f} MB and {len(made.bundle.labels)} labels are "
        f"in {target.assets}"
    )
    count = len(made.golden)
    click.echo(f"{count} golden photo{'' if count == 1 else 's'} from {made.source.description}")
