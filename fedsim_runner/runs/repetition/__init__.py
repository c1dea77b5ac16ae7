"""Repeating a run from its folder alone, and how far the repetition differs from the original."""
