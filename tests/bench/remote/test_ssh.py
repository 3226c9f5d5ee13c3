from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgevit import __version__
from edgevit.bench.remote import scripts, ssh
from edgevit.bench.remote.connection import Connection, ConnectionLostError
from edgevit.bench.result import BenchResult, read_result
from edgevit.errors import CheckFailedError, InputError
from edgevit.storage import sha256_of_file
from tests.bench.remote.sshd import SSHD, Device, wait_for, write_standin

pytestmark = pytest.mark.skipif(
    SSHD is None, reason="THE SSH BENCH IS NOT TESTED: there is no sshd (apt: openssh-server)"
)

Bench = Callable[..., BenchResult]


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setattr(scripts, "POLL_SECONDS", 0.1)
    device = Device(tmp_path / "device")
    write_standin(device.bin / "edgevit", __version__)
    device.start()
    yield device
    device.stop()
    device.end_jobs()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "a pack's 'name' & $more.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pack.json", "{}")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results" / "pi.json"


@pytest.fixture
def bench(device: Device, pack: Path, out: Path) -> Bench:
    def run(*arguments: str, **keywords: Any) -> BenchResult:
        keywords = {"options": device.options, "waits_seconds": (0.1, 0.3, 0.5), **keywords}
        return ssh.run_over_ssh(pack, "pi", arguments or ("--rows", "2"), out, **keywords)

    return run


def names(result: BenchResult) -> list[str]:
    return [row.name for row in result.rows]


def in_background(bench: Bench, *arguments: str) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            bench(*arguments)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def rows_there(device: Device, count: int) -> Callable[[], bool]:
    def written() -> bool:
        logs = [job / "log" for job in device.jobs if (job / "log").is_file()]
        return any(log.read_text().count("row") >= count for log in logs)

    return written


def test_run_over_ssh_fetches_the_result_when_all_goes_well(
    device: Device,
    bench: Bench,
    pack: Path,
    out: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    odd = 'it\'s $HOME; `id` * "é"'
    result = bench("--rows", "2", "--delegate", odd)
    assert names(result) == ["row-0", "row-1"]
    assert odd in result.rows[0].path
    assert read_result(out) == result
    assert (device.cache / "packs" / f"{sha256_of_file(pack)}.zip").read_bytes() == (
        pack.read_bytes()
    )
    assert device.jobs == []
    shown = capfd.readouterr().err
    assert "row 0" in shown
    assert "row 1" in shown
    assert "\x1b" not in shown


def test_run_over_ssh_copies_nothing_when_the_whole_pack_is_there(
    device: Device, bench: Bench, pack: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bench()
    assert "Copying" in capfd.readouterr().err
    bench()
    assert "Copying" not in capfd.readouterr().err
    (copy,) = (device.cache / "packs").iterdir()
    copy.write_bytes(pack.read_bytes()[:-1] + b"X")
    bench()
    assert "Copying" in capfd.readouterr().err
    assert sha256_of_file(copy) == sha256_of_file(pack)


def test_run_over_ssh_fetches_the_rows_when_one_failed(bench: Bench, device: Device) -> None:
    result = bench("--rows", "3", "--exit", "1")
    assert len(result.rows) == 3
    assert result.failed_count == 1
    assert device.jobs == []


def test_run_over_ssh_shows_the_devices_error_when_it_refuses(
    bench: Bench, out: Path, device: Device
) -> None:
    with pytest.raises(InputError, match=r"pi: 64 threads on a machine of 4 .* Choose 4"):
        bench("--exit", "2")
    assert not out.exists()
    assert device.jobs == []


def test_run_over_ssh_keeps_the_rows_when_the_bench_there_dies(
    bench: Bench, out: Path, device: Device
) -> None:
    arguments = ("--rows", "4", "--die-after", "2")
    with pytest.raises(CheckFailedError, match=r"exit code 137 after 2 rows.*--resume"):
        bench(*arguments)
    assert names(read_result(out)) == ["row-0", "row-1"]


def test_run_over_ssh_goes_on_with_the_rows_when_the_power_was_cut(
    bench: Bench, out: Path, device: Device
) -> None:
    arguments = ("--rows", "4", "--die-after", "2")
    with pytest.raises(CheckFailedError):
        bench(*arguments)
    (job,) = device.jobs
    (job / "exit").unlink()
    (job / "boot").write_text("an earlier one\n")
    (job / "pid").write_text(f"{os.getpid()}\n")
    result = bench(*arguments, resume=True)
    assert names(result) == ["row-0", "row-1", "row-2", "row-3"]
    assert "--resume" not in result.rows[0].path
    assert "--resume" in result.rows[2].path


def test_run_over_ssh_goes_on_with_local_rows_when_the_device_has_none(
    bench: Bench, device: Device
) -> None:
    bench("--rows", "2")
    result = bench("--rows", "3", resume=True)
    assert "--rows 2" in result.rows[1].path
    assert "--rows 3" in result.rows[2].path


def test_run_over_ssh_reconnects_when_the_connection_drops(
    bench: Bench, device: Device, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    thread, errors = in_background(bench, "--rows", "5", "--pause", "0.4")
    for count in (1, 3):
        wait_for(rows_there(device, count), f"row {count}")
        device.drop()
    thread.join(30)
    assert errors == []
    assert len(read_result(out).rows) == 5
    shown = capfd.readouterr().err
    assert "the bench goes on there" in shown
    for number in range(5):
        assert shown.count(f"row {number}") == 1


def test_run_over_ssh_resumes_when_the_device_was_gone_and_is_back(
    bench: Bench, device: Device, out: Path
) -> None:
    arguments = ("--rows", "3", "--pause", "0.5")
    thread, errors = in_background(bench, *arguments)
    wait_for(rows_there(device, 1), "a row")
    device.stop()
    thread.join(30)
    assert len(errors) == 1
    assert isinstance(errors[0], CheckFailedError)
    assert "the bench goes on there. Run the same command with --resume" in str(errors[0])
    assert not out.exists()
    (job,) = device.jobs
    wait_for((job / "exit").is_file, "the bench's end")
    device.start()
    result = bench(*arguments, resume=True)
    assert names(result) == ["row-0", "row-1", "row-2"]
    assert "--resume" not in result.rows[2].path
    assert device.jobs == []


def test_run_over_ssh_refuses_when_a_bench_is_running_there(
    bench: Bench, device: Device, out: Path
) -> None:
    arguments = ("--rows", "2", "--pause", "1")
    thread, _ = in_background(bench, *arguments)
    wait_for(lambda: device.jobs and (device.jobs[0] / "pid").is_file(), "a job")
    with pytest.raises(InputError, match=r"is running on pi already.*--resume"):
        bench(*arguments)
    with pytest.raises(InputError, match=r"another bench is running .* kill -TERM -\d+"):
        bench("--rows", "9")
    resumed = bench(*arguments, resume=True)
    thread.join(30)
    assert names(resumed) == ["row-0", "row-1"]


def test_run_over_ssh_stops_the_bench_and_fetches_rows_when_interrupted(
    device: Device, pack: Path, out: Path
) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from edgevit.bench.remote import scripts, ssh\n"
        "scripts.POLL_SECONDS = 0.1\n"
        "pack, out, *options = sys.argv[1:]\n"
        "arguments = ['--rows', '50', '--pause', '0.3']\n"
        "ssh.run_over_ssh(Path(pack), 'pi', arguments, Path(out), options=options)\n"
    )
    words = [sys.executable, "-c", program, str(pack), str(out), *device.options]
    # Of its own process group: Ctrl-C reaches ssh too.
    process = subprocess.Popen(words, stderr=subprocess.PIPE, start_new_session=True, text=True)
    wait_for(rows_there(device, 2), "two rows")
    (job,) = device.jobs
    group = int((job / "pid").read_text())
    os.killpg(process.pid, signal.SIGINT)
    _, complaints = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in complaints
    assert 2 <= len(read_result(out).rows) < 50
    assert device.jobs == []
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_run_over_ssh_names_the_option_when_edgevit_is_missing_there(
    bench: Bench, device: Device
) -> None:
    (device.bin / "edgevit").unlink()
    with pytest.raises(InputError, match=r"pi has no edgevit, this .*Add --install: it makes"):
        bench()
    write_standin(device.home / ".local/bin/edgevit", "0.0.1")
    with pytest.raises(InputError, match=r"pi has edgevit 0\.0\.1, this is edgevit "):
        bench()
    assert sorted(path.name for path in device.home.iterdir()) == [".bashrc", ".local"]
    write_standin(device.home / ".local/bin/edgevit", __version__)
    assert len(bench().rows) == 2


@pytest.mark.slow
def test_run_over_ssh_installs_when_it_is_told_to(
    bench: Bench, device: Device, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (device.bin / "edgevit").rename(device.bin / "standin")
    command = (device.bin / "standin").read_bytes()
    device.bin.joinpath("python3").symlink_to(sys.executable)
    monkeypatch.setattr(ssh, "build_wheel", lambda folder: standin_wheel(folder, command, "first"))
    monkeypatch.setattr(ssh, "_extras_of", lambda pack: ("tflite",))
    bench(install=True)
    venv = device.home / ".local/share/edgevit/venv"
    assert (venv / "edgevit.txt").read_text().endswith(" tflite\n")
    assert "Installing edgevit, tflite on pi" in capfd.readouterr().err
    bench(install=True)
    assert "Installing" not in capfd.readouterr().err
    bench()
    # The same version from other sources: it is brought up to date.
    monkeypatch.setattr(ssh, "build_wheel", lambda folder: standin_wheel(folder, command, "second"))
    bench(install=True)
    assert "Installing" in capfd.readouterr().err
    (module,) = venv.glob("lib/*/site-packages/edgevit_standin.py")
    assert "second" in module.read_text()
    assert sorted(path.name for path in device.home.iterdir()) == [".bashrc", ".cache", ".local"]
    assert sorted(path.name for path in device.cache.iterdir()) == ["jobs", "packs"]


def test_run_over_ssh_says_why_when_the_installation_fails(
    bench: Bench, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    (device.bin / "python3").write_text("#!/bin/sh\n[ \"$1\" != -c ] && echo 'Python 3.9.2'\n")
    (device.bin / "python3").chmod(0o755)
    with (device.bin / "python3").open("a") as script:
        script.write('case "$2" in *version_info*) exit 1;; esac\nexit 0\n')
    monkeypatch.setattr(ssh, "build_wheel", lambda folder: standin_wheel(folder, b"", "first"))
    monkeypatch.setattr(ssh, "_extras_of", lambda pack: ("tflite",))
    with pytest.raises(InputError, match=r"pi: Python 3\.9\.2 is too old, edgevit needs 3\.10"):
        bench(install=True)
    assert not list(device.cache.glob("*.whl"))


def standin_wheel(folder: Path, command: bytes, text: str) -> Path:
    """A wheel called edgevit whose command is the stand-in, without dependencies."""
    wheel = folder / f"edgevit-{__version__}-py3-none-any.whl"
    info = f"edgevit-{__version__}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: edgevit\nVersion: {__version__}\n"
        "Provides-Extra: tflite\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
        "edgevit_standin.py": f"WHICH = {text!r}\n",
        "edgevit/__init__.py": "",
        "edgevit/__main__.py": command,
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o100755 << 16
            archive.writestr(member, content)
    return wheel


def test_run_over_ssh_says_why_when_nothing_answers(bench: Bench, device: Device) -> None:
    device.stop()
    with pytest.raises(ConnectionLostError, match=r"ssh cannot reach pi: .*Connection refused"):
        bench()


def test_run_over_ssh_names_ssh_copy_id_when_the_key_is_unknown(
    bench: Bench, device: Device
) -> None:
    options = ("-F", str(device.folder / "config"), "-i", str(device.folder / "stranger"))
    (device.folder / "authorized_keys").write_text("")
    with pytest.raises(ConnectionLostError, match=r"Permission denied .*ssh-copy-id pi"):
        bench(options=options)


def test_run_over_ssh_says_accept_its_key_when_the_host_is_unknown(
    bench: Bench, device: Device
) -> None:
    (device.folder / "known_hosts").write_text("")
    with pytest.raises(ConnectionLostError, match="Log in once by hand and accept its key"):
        bench()


@pytest.mark.parametrize("host", ["-oProxyCommand=touch owned", "", "pi\nhost", "a b"])
def test_connection_refuses_when_the_host_is_no_name(host: str) -> None:
    with pytest.raises(InputError, match="is no name that ssh takes"):
        Connection(host)


def test_run_over_ssh_refuses_when_the_pack_is_none(bench: Bench, pack: Path) -> None:
    pack.write_bytes(b"not a zip file")
    with pytest.raises(InputError, match="there is no pack at"):
        bench()


def test_run_over_ssh_says_so_when_a_program_is_missing_there(bench: Bench, device: Device) -> None:
    config = device.folder / "sshd_config"
    for name in ("sh", "cat", "uname", "tail", "wc", "cut", "basename", "python3", "setsid"):
        (device.bin / name).symlink_to(f"/usr/bin/{name}")
    config.write_text(config.read_text().replace(":/usr/bin:/bin", ""))
    device.stop()
    device.start()
    with pytest.raises(InputError, match="pi has no sha256sum"):
        bench()
