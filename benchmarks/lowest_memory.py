"""The least memory that was available on the machine while something ran."""

from __future__ import annotations

import threading

import psutil

INTERVAL_S = 0.5


def read_available_mb() -> float:
    """Return the memory that programs can still get, in MB (2^20 bytes)."""
    return float(psutil.virtual_memory().available) / 2**20


class LowestMemory(threading.Thread):
    """Watches for the least available memory until ``over`` is set."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mb = read_available_mb()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(INTERVAL_S):
            self.mb = min(self.mb, read_available_mb())
