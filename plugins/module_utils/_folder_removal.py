"""Removing a folder, however deep a device has made it."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it; no link in it is followed.

    Raises:
        OSError: something of it is still there.
    """
    try:
        shutil.rmtree(folder)
    except (RecursionError, OSError) as error:
        # Python calls itself, and opens a file, for each folder in a folder; rm does neither.
        if isinstance(error, OSError) and error.errno not in (errno.EMFILE, errno.ENAMETOOLONG):
            raise
        removed = subprocess.run(["rm", "-rf", "--", folder], capture_output=True, text=True, check=False)
        if removed.returncode:
            raise OSError(errno.EBUSY, removed.stderr.strip()[:1000], str(folder)) from error
