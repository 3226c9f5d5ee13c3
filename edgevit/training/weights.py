"""Where a training's first weights come from: ``--weights random|NAME|PATH``."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from edgevit import console
from edgevit.errors import InputError
from edgevit.models.architecture import Architecture, PretrainedWeights

RANDOM = "random"
_REACH_TIMEOUT_S = 1.0


def resolve(architecture: Architecture, choice: str) -> Path | None:
    """Turn ``--weights`` into a file, downloading it if it is a published one.

    Args:
        architecture: Knows the published names.
        choice: ``random``, a published name, or a path.

    Returns:
        The file; ``None`` for random weights.

    Raises:
        InputError: if it is none of the three, or cannot be downloaded.
        OSError: if it is a file that may not be read.
    """
    if choice == RANDOM:
        return None
    for published in architecture.pretrained():
        if published.name == choice:
            return published.cache_path if published.cache_path.is_file() else _download(published)
    path = Path(choice).expanduser()
    if path.is_file():
        path.open("rb").close()  # Unreadable: better said now than after decoding the photos.
        return path
    names = ", ".join((RANDOM, *(entry.name for entry in architecture.pretrained())))
    raise InputError(
        f"{architecture.name} has no weights {choice!r}, and there is no such file",
        f"Valid for --weights: {names}, or the path of a weight file",
    )


def is_reachable(host: str, port: int = 443, timeout_s: float = _REACH_TIMEOUT_S) -> bool:
    """Say whether a connection to ``host`` opens within ``timeout_s`` seconds, DNS included."""
    opened = threading.Event()

    def connect() -> None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host, port), timeout=timeout_s),
        ):
            opened.set()

    # In a thread of its own: nothing bounds the time that name resolution takes.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return opened.is_set()


def _download(published: PretrainedWeights) -> Path:
    parts = urlsplit(published.url)
    remedy = (
        f"Download it elsewhere and give it as --weights {published.cache_path.name}, put it at "
        f"{published.cache_path}, or start from --weights {RANDOM}"
    )
    if not is_reachable(parts.hostname or "", parts.port or 443):
        raise InputError(
            f"the weights {published.name!r} are not on this machine, and {published.url} cannot "
            "be reached",
            remedy,
        )
    from edgevit.training.backend import load_tensorflow

    load_tensorflow()
    import keras

    console.note(f"Downloading {published.url}")
    folder = published.cache_path.parent
    try:
        # Keras draws its bar on standard output, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            found = keras.utils.get_file(
                fname=published.cache_path.name,
                origin=published.url,
                cache_dir=str(folder.parent),
                cache_subdir=folder.name,
            )
    except Exception as error:
        # get_file raises bare Exception for every kind of failure.
        raise InputError(f"the download of {published.url} failed ({error})", remedy) from error
    return Path(found)
