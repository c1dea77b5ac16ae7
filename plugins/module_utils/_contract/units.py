"""Bytes, rates and times in a form for people, the same in all output.

kB, MB and GB are powers of 1024 (1 MB = 2**20 bytes), for memory, disks, images and traffic; ``memory_mb`` in the
experiment file means the same. Rates of links are in bit/s with decimal prefixes, as networks are specified.
"""

from __future__ import annotations

KB = 2**10
MB = 2**20
GB = 2**30
UNKNOWN = "-"

_SIZES = ((GB, "GB"), (MB, "MB"), (KB, "kB"))
_RATES = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


def size(value: object, unknown: str = UNKNOWN) -> str:
    """Return bytes with one decimal, as ``1.5 MB``."""
    if not isinstance(value, int | float):
        return unknown
    factor, unit = size_unit(value)
    return f"{value:.0f} {unit}" if factor == 1 else f"{value / factor:.1f} {unit}"


def memory(value: float) -> str:
    """Return bytes in whole MB, or in GB with one decimal unless it is 0: ``192 MB``, ``1.5 GB``, ``8 GB``."""
    if value < 1000 * MB:
        return f"{value / MB:.0f} MB"
    shown = round(value / GB, 1)
    return f"{shown:.0f} GB" if shown == int(shown) else f"{shown:.1f} GB"


def size_unit(largest: float) -> tuple[int, str]:
    """Return the largest unit that ``largest`` bytes fill: its size in bytes and its name."""
    return next(((factor, unit) for factor, unit in _SIZES if abs(largest) >= factor), (1, "B"))


def rate(bps: float) -> str:
    """Return a configured rate in full: ``2.5 Mbit/s``."""
    factor, prefix = _prefix(bps, 1)
    return f"{bps / factor:g} {prefix}bit/s"


def short_rate(bps: float) -> str:
    """Return a measured rate for a column whose title has the unit: ``1.2 M``, ``99 k``."""
    factor, prefix = _prefix(bps, 1000)
    value = bps / factor
    return f"{value:.1f} {prefix}" if value < 100 and prefix != "k" else f"{value:.0f} {prefix}"


def seconds(value: object, digits: int = 2, unknown: str = UNKNOWN) -> str:
    """Return seconds with ``digits`` decimals; from 10 s on, one is enough."""
    return f"{value:.{1 if value >= 10 else digits}f} s" if isinstance(value, int | float) else unknown


def counted(number: int, one: str) -> str:
    """Return a number of things: ``1 device``, ``2 devices``."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def duration(value: float) -> str:
    """Return seconds as a duration: ``75 s``, ``1 min 40 s``, ``1 h 01 min``."""
    if value < 100:
        return f"{value:.0f} s"
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _prefix(bps: float, least: int) -> tuple[int, str]:
    """Return the decimal prefix of a rate; that of ``least`` also serves for everything below it."""
    fitting = ((factor, prefix) for factor, prefix in _RATES if bps >= factor)
    return next(fitting, next(((factor, prefix) for factor, prefix in _RATES if factor == least), (1, "")))
