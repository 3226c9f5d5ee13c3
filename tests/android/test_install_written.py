"""`edgevit android install`: what it writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgevit import documents, storage
from edgevit.android import assets as app_assets
from edgevit.bundle import Bundle
from edgevit.run import Run
from tests.android.golden import FOLDER
from tests.android.installs import Said, contents, install, installed, properties, with_record
from tests.bench.standin import COLOURS, SIZE, make_bundle


def test_install_writes_the_whole_set_when_given_a_tflite_bundle(
    bundle: Path, project: Path, capsys: Said
) -> None:
    assert install(bundle, project) == 0
    folder = installed(project)
    written = contents(folder)
    record = documents.read(
        folder / "installed.json", app_assets.KIND, 1, app_assets.InstalledRecord
    )
    assert set(written) == {"installed.json", *record.files}
    storage.verify_files(folder, record.files, "")
    assert written["model.tflite"] == (bundle / "model.tflite").read_bytes()
    assert written["labels.txt"] == (bundle / "labels.txt").read_bytes()
    said = properties(folder / "model.properties")
    assert said["name"] == "colours.tflite.fp32"
    assert said["model_sha256"] == storage.sha256_of_bytes(written["model.tflite"])
    assert (said["input_type"], said["output_type"]) == ("uint8", "float32")
    assert (said["input_height"], said["label_count"]) == (str(SIZE), str(len(COLOURS)))
    assert "colours.tflite.fp32" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_install_takes_integer_models_when_they_are_whole(
    kind: str, run: Run, project: Path, tmp_path: Path
) -> None:
    made = make_bundle(tmp_path / "exports/colours.tflite.int8-full", run, kind)
    record = Bundle.load(made).record
    ports = (replace(record.input, dtype=kind), replace(record.output, dtype=kind))
    with_record(made, input=ports[0], output=ports[1])
    assert install(made, project) == 0
    said = properties(installed(project) / "model.properties")
    assert (said["input_type"], said["output_type"]) == (kind, kind)


def test_template_holds_what_the_phone_cannot_know_when_installed(
    bundle: Path, run: Run, project: Path
) -> None:
    assert install(bundle, project) == 0
    template = json.loads((installed(project) / "bench_template.json").read_text(encoding="utf-8"))
    assert (template["kind"], template["tool"]) == ("edgevit.bench", "edgevit android demo")
    (row,) = template["rows"]
    measurement = row["measurement"]
    assert row["name"] == "colours.tflite.fp32"
    assert measurement["run_sha256"] == run.sha256
    assert measurement["model_sha256"] == storage.sha256_of_file(bundle / "bundle.json")
    assert measurement["reference"] == documents.encode(run.record.reference)
    assert measurement["accuracy"] is None


def test_files_have_the_fields_that_the_core_is_tested_with_when_installed(
    bundle: Path, project: Path
) -> None:
    assert install(bundle, project) == 0
    folder = installed(project)

    def fields(value: object) -> object:
        if isinstance(value, dict):
            return {name: fields(item) for name, item in value.items() if name != "reference"}
        return [fields(item) for item in value] if isinstance(value, list) else None

    written, tested = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (folder / "bench_template.json", FOLDER / "bench/template.json")
    )
    assert fields(written) == fields(tested)
    model = properties(folder / "model.properties")
    assert model.keys() == properties(FOLDER / "properties/model.properties").keys()
