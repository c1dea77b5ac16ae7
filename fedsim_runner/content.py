"""Where the files for Ansible and Docker are: next to the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parent
#: Where Ansible looks for the collection, relative to a folder on its collections path.
COLLECTION = Path("ansible_collections", "fedsim", "testbed")


def content_root() -> Path:
    """The folder that holds ``dockerfiles/``, ``collections/`` and ``ansible.cfg``."""
    packaged = PACKAGE_DIR / "_content"
    return packaged if packaged.is_dir() else PACKAGE_DIR.parent


def collections_path() -> Path:
    """The folder that must be on Ansible's collections path."""
    return content_root() / "collections"


def collection_playbooks() -> Path:
    """The collection's playbooks. In a checkout the collection is a link to the checkout itself."""
    return (collections_path() / COLLECTION / "playbooks").resolve()
