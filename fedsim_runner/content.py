"""Where the files that Ansible and Docker read live: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parent


def content_root() -> Path:
    """Folder that holds ``playbooks/``, ``roles/``, ``dockerfiles/`` and ``ansible.cfg``."""
    packaged = PACKAGE_DIR / "_content"
    return packaged if packaged.is_dir() else PACKAGE_DIR.parent
