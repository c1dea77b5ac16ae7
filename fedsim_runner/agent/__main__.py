"""``python -m agent probe|packets``."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main(sys.argv[1:]))
