"""``python -m ...links.userspace``: the process that holds packets."""

from __future__ import annotations

import sys

from .packets import main

sys.exit(main())
