"""The ``edgevit`` command and the one place where errors become exit codes."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

import click

from edgevit import __version__
from edgevit.errors import EdgevitError

# (name, summary): `edgevit NAME` lives in edgevit/cli/NAME.py as `command`. The summaries stand
# here so that `edgevit --help` imports none of those files.
COMMANDS: dict[str, str] = {
    "data": "Make or prepare a set of labelled photos.",
    "models": "List the models with their parameter counts.",
    "train": "Train a classifier on prepared photos.",
    "evaluate": "Measure a run's or a bundle's accuracy on prepared photos.",
    "compare": "Put two models side by side on the same photos.",
    "predict": "Name what is on one photo or many.",
    "explain": "Show what a model looks at.",
    "calibrate": "Choose training photos for int8 ranges.",
    "sensitivity": "Rank a run's layers by the damage that int8 does to each.",
    "export": "Export a run as a checked bundle for small devices.",
    "inspect": "Say what is in a bundle.",
    "pack": "Put bundles, photos and the reference into one file for a device.",
    "bench": "Measure latency, accuracy and drop of bundles on this device.",
    "reference": "Measure a run in full precision on this machine's accelerator.",
    "report": "Merge results of several devices into one page.",
    "study": "Train several models on the same photos, export, measure and compare them.",
    "android": "Put a TFLite bundle into the Android demo.",
    "doctor": "Say what this machine has and what is missing.",
}

_EXIT_INTERRUPTED = 128 + signal.SIGINT
_EXIT_TERMINATED = 128 + signal.SIGTERM
_STANDARD_ERROR = 2
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"edgevit.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgevit")
def cli() -> None:
    """From labelled photos to a quantised classifier that is measured on its device.

    \b
    The whole way, on your own photos (a folder per class):
      edgevit data prepare photos/ --out data/mine
      edgevit train vit-b32 --data data/mine
      edgevit export --format tflite --quantize int8
      edgevit bench

    \b
    Every command explains itself: edgevit COMMAND --help
    Exit codes: 0 success, 1 a check or budget failed, 2 bad usage or input.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    _unwind_on_sigterm()
    try:
        result: Any = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="edgevit",
            standalone_mode=False,
        )
    except EdgevitError as error:
        return _fail(str(error), error.exit_code)
    except click.ClickException as error:
        return _fail(_describe_click_error(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", _EXIT_INTERRUPTED)
    except _TerminatedError:
        return _fail("terminated", _EXIT_TERMINATED)
    except BrokenPipeError:
        # The reader of our output went away, as in `edgevit models | head -1`.
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in _DISK_FULL and error.filename is None:
            raise  # not about a file of the user: a bug, which deserves its traceback
        return _fail(_describe_os_error(error), EdgevitError.exit_code)
    return result if isinstance(result, int) else 0


class _TerminatedError(BaseException):
    """SIGTERM arrived. Not an Exception, so that nothing takes it for an error of its own."""


def _unwind_on_sigterm() -> None:
    """Let a SIGTERM unwind the stack as Ctrl-C does: temporary files are removed on the way."""

    def unwind(signal_number: int, frame: object) -> None:
        raise _TerminatedError

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, unwind)


def _describe_click_error(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return message if context is None else f"{message}. See: {context.command_path} --help"


def _describe_os_error(error: OSError) -> str:
    where = f" {error.filename}" if error.filename else ""
    if error.errno in _DISK_FULL:
        return (
            f"cannot write{where}: {error.strerror}. Free some space or choose another folder; "
            "nothing half-written was kept"
        )
    return f"cannot use{where}: {error.strerror}. Check the path and its permissions"


def run() -> None:
    """Entry point of the installed ``edgevit`` script."""
    _prepare_streams()
    sys.exit(main())


def _prepare_streams() -> None:
    """Make the standard streams safe to write to, whatever they are.

    Closed ones are pointed at nothing: the next file opened would take their place.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - for the process's life
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show ✓ or é shows an escape: no reason to stop.
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, exit_code: int) -> int:
    with contextlib.suppress(OSError):
        click.echo(f"edgevit: error: {message}", err=True)
    return exit_code
