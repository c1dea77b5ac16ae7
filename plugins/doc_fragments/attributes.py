"""What modules of this collection mean by check mode and diff mode."""

from __future__ import annotations


class ModuleDocFragment:
    """Each module adds ``support``, and ``details`` where something is special about it."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Nothing is changed, and the answer says what would be.
  diff_mode:
    description: Shows before and after of what differs.
"""
