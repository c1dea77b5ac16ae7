"""The catalogue's links and two more, as they are measured in benchmarks."""

from __future__ import annotations

from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import Link, Queue

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

_BURSTS = GilbertElliott(0.01, 0.25)
_MANY = GilbertElliott(0.05, 0.1)
#: What links do besides what is in the profiles.
MODELS = {
    "normal": Link(12_000_000, 60_000, 20_000, jitter_distribution="normal"),
    "pareto": Link(12_000_000, 35_000, 4_000, jitter_distribution="pareto"),
    "table": Link(12_000_000, 35_000, 4_000, jitter_distribution="table", jitter_table=(-8192, 0, 0, 16_384)),
    "bursts": Link(12_000_000, 35_000, loss=_BURSTS.mean_loss, bursts=_BURSTS),
    "duplicates": Link(12_000_000, 35_000, duplicate=0.02),
    "corruption": Link(12_000_000, 35_000, corrupt=0.05),
    "deep queue": Link(2_000_000, 10_000, queue=Queue(buffer_us=1_000_000)),
    "short queue": Link(12_000_000, 10_000, queue=Queue(buffer_bytes=6_000)),
}
OTHERS = {
    "uniform": Link(12_000_000, 60_000, 20_000),
    "many bursts": Link(12_000_000, 35_000, loss=_MANY.mean_loss, bursts=_MANY),
}
