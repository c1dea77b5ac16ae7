"""The catalogue's links and two more, as they are measured in benchmarks."""

from __future__ import annotations

from fedsim_runner.contract.link import Link

PROFILES = {
    "fast": Link(150_000_000, 500),
    "wifi": Link(40_000_000, 3_000, 1_000, 0.001),
    "5g down": Link(100_000_000, 10_000, 1_000),
    "4g": Link(12_000_000, 35_000, 4_000),
    "3g": Link(768_000, 150_000, 15_000),
    "2g": Link(256_000, 400_000, 40_000),
    "lossy": Link(20_000_000, 20_000, 0, 0.05),
    "satellite": Link(3_000_000, 260_000, 15_000),
    "no rate": Link(None, 20_000),
}
