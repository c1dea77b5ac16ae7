"""Files beside the user's own code in FederatedScope's contrib folders, such as weights or tables.

A build takes Python files only. These are put into the wheel afterwards, so that code finds them beside itself on every
device, in every run with that wheel, and where the checkout itself is used.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import zipfile
from pathlib import Path

from fedsim_runner.contract.atomic import replacing

from .source import contrib_files


def add_contrib_files(wheel: Path, checkout: Path) -> None:
    """Add the files of a checkout's contrib folders that the wheel lacks.

    Raises:
        OSError, zipfile.BadZipFile: a file cannot be read or written.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        missing = [path for path in contrib_files(checkout) if path.as_posix() not in names]
        if not missing:
            return
        record = next(name for name in names if name.endswith(".dist-info/RECORD"))
        with replacing(wheel) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as made:
            lines = archive.read(record).decode().splitlines()
            lines += [_add(made, checkout, path) for path in missing]
            for name in names:
                made.writestr(archive.getinfo(name), "\n".join(lines) + "\n" if name == record else archive.read(name))


def _add(archive: zipfile.ZipFile, checkout: Path, path: Path) -> str:
    """Add one file; return its line of the wheel's RECORD."""
    entry = zipfile.ZipInfo(path.as_posix())  # of no date: the same files give the same wheel
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with (checkout / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        with archive.open(entry, "w", force_zip64=True) as target:
            shutil.copyfileobj(file, target)
    sha = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([path, f"sha256={sha}", archive.getinfo(path.as_posix()).file_size])
    return line.getvalue()
