"""The scripts of this folder import each other by their plain names; here too."""

from __future__ import annotations

import sys
from pathlib import Path

# At the end of the path: no script may hide a package.
sys.path.append(str(Path(__file__).parent))
