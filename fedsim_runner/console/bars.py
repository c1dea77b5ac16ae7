"""Bars made of text."""

from __future__ import annotations

from collections.abc import Sequence

HEIGHTS = "▁▂▃▄▅▆▇█"
EIGHTHS = "▏▎▍▌▋▊▉"


def sparkline(values: Sequence[float | None]) -> str:
    """Return values in 0..1 as a row of bars; a gap where a value is None."""
    return "".join(
        " " if value is None else HEIGHTS[min(len(HEIGHTS) - 1, max(0, int(value * len(HEIGHTS))))] for value in values
    )


def bar(share: float, width: int) -> str:
    """Return a share in 0..1 as a bar of ``width`` characters, drawn in eighths."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest - 1] if rest else "")).ljust(width, "░")
