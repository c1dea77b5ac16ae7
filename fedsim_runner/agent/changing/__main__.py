"""``python -m ...agent.changing``: the process that changes links when that is due."""

from __future__ import annotations

import sys

from .process import main

sys.exit(main())
