"""The installed edgevit as a wheel again, so that a device gets exactly what runs here."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath

from edgevit.errors import InputError

_PURE_TAG = "py3-none-any"
# What an installer adds to a distribution's record; RECORD is written anew.
_OF_THE_INSTALLER = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}
_EDITABLE_MARK = "__editable__"
# The earliest time that a zip file can hold: the same files give the same bytes.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_REMEDY = "Install edgevit properly here (pip install .), or install it on the device yourself"


def build_wheel(folder: Path, distribution: metadata.Distribution | None = None) -> Path:
    """Write the wheel that the installed files came from; the same files give the same bytes.

    An editable install is refused: its files are not where its record says.

    Args:
        folder: Where to.
        distribution: Of this Python's edgevit if none.

    Raises:
        InputError: if edgevit is not installed, editable, incomplete or not pure Python.
    """
    if distribution is None:
        distribution = _installed()
    files = _members(distribution)
    info = _info_folder(files)
    record = [_record_line(name, data) for name, data in files.items()]
    files[f"{info}/RECORD"] = "".join([*record, f"{info}/RECORD,,\n"]).encode()
    wheel = folder / f"{info.removesuffix('.dist-info')}-{_PURE_TAG}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name, _TIMESTAMP)
            member.external_attr = 0o100644 << 16
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return wheel


def _installed() -> metadata.Distribution:
    try:
        return metadata.distribution("edgevit")
    except metadata.PackageNotFoundError:
        raise InputError("edgevit runs here without being installed", _REMEDY) from None


def _members(distribution: metadata.Distribution) -> dict[str, bytes]:
    """Return the files that a wheel holds, by name, sorted."""
    listed = distribution.files
    if listed is None:
        raise InputError("the installed edgevit has no record of its files", _REMEDY)
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable") or any(
        _EDITABLE_MARK in str(path) for path in listed
    ):
        raise InputError("edgevit is installed in editable mode here", _REMEDY)
    if _PURE_TAG not in (distribution.read_text("WHEEL") or ""):
        raise InputError("the installed edgevit is no pure Python package", _REMEDY)
    files: dict[str, bytes] = {}
    for path in sorted(listed, key=str):
        if not _belongs(PurePosixPath(path)):
            continue
        source = Path(str(distribution.locate_file(path)))
        try:
            files[str(PurePosixPath(path))] = source.read_bytes()
        except OSError as error:
            raise InputError(f"{source} of edgevit cannot be read ({error})", _REMEDY) from None
    return files


def _belongs(path: PurePosixPath) -> bool:
    """Tell files of the wheel from those that came about later."""
    if path.is_absolute() or ".." in path.parts or "__pycache__" in path.parts:
        return False
    return not (path.parts[0].endswith(".dist-info") and path.name in _OF_THE_INSTALLER)


def _info_folder(files: dict[str, bytes]) -> str:
    folders = {name.partition("/")[0] for name in files if ".dist-info/" in name}
    if len(folders) != 1:
        raise InputError("the installed edgevit has no metadata", _REMEDY)
    return folders.pop()


def _record_line(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"
