"""The Docker SDK for Python that came from the control node, for lab hosts that have none.

It is in the cache of the user as whom modules run, mostly root: nobody else can put code there.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import sys
from pathlib import Path

PACKAGE = "docker"


def shipped_folder() -> Path:
    """The folder that a lab host's Python finds the packages in: a link to that of one version."""
    home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    return home / ".cache" / "fedsim" / "docker-sdk"


def find_sdk() -> None:
    """Have Python find the shipped packages if it has no SDK of its own."""
    if importlib.util.find_spec(PACKAGE) is None and shipped_folder().is_dir():
        # In front: what the SDK itself needs may be here, too, and too old for it.
        sys.path.insert(0, str(shipped_folder()))
        importlib.invalidate_caches()
