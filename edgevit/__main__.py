"""``python -m edgevit``: the same as the ``edgevit`` command."""

import sys

from edgevit.cli.main import main

sys.exit(main())
