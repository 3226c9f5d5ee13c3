"""``python -m edgevit``: the same as the ``edgevit`` command."""

from edgevit.cli.main import run

run()
