"""Where the files that Ansible and Docker read live: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parent
#: Where Ansible looks for the collection below a folder of its collections path.
COLLECTION = Path("ansible_collections", "fedsim", "testbed")


def content_root() -> Path:
    """Folder that holds ``dockerfiles/``, ``collections/`` and ``ansible.cfg``."""
    packaged = PACKAGE_DIR / "_content"
    return packaged if packaged.is_dir() else PACKAGE_DIR.parent


def collections_path() -> Path:
    """The folder that Ansible's collections path must name."""
    return content_root() / "collections"


def collection_playbooks() -> Path:
    """The collection's playbooks. In a checkout the collection is a link to the checkout itself."""
    return (collections_path() / COLLECTION / "playbooks").resolve()
