"""``python -m ...links.userspace``: the process that delays and drops packets."""

from __future__ import annotations

import sys

from .packets import main

sys.exit(main())
