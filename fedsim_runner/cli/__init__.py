"""The command ``fedsim-provision``."""

from .entry import main

__all__ = ["main"]
