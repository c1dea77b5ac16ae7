"""What check mode and diff mode mean for the modules of this collection."""

from __future__ import annotations


class ModuleDocFragment:
    """Each module adds ``support``, and ``details`` where it behaves in its own way."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Nothing is changed; the result says what would change.
  diff_mode:
    description: Shows what differs, before and after.
"""
