"""The process that measures links, see :mod:`.prober`."""

from __future__ import annotations

import sys

from .prober import main

sys.exit(main())
