"""The figures of a run, in the order of the page."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from .breakdown import draw_breakdown
from .clients import draw_clients
from .label_heatmap import draw_labels
from .learning import draw_accuracy, draw_loss
from .links import draw_links
from .resource_usage import draw_cpu, draw_memory, read_usage
from .style import Drawn
from .throughput import draw_throughput, read_throughput
from .timeline import draw_timeline, draw_timeline_detail
from .traffic import draw_bytes

__all__ = ["Drawn", "draw_all", "figures_of"]


def figures_of(run_dir: Path, report: Mapping[str, Any]) -> dict[str, Callable[[], Drawn | None]]:
    """Return by name what draws each figure; one that there are no data for is None."""
    usage = cache(lambda: read_usage(run_dir, report))
    return {
        "accuracy": lambda: draw_accuracy(report),
        "loss": lambda: draw_loss(report),
        "clients": lambda: draw_clients(report),
        "timeline": lambda: draw_timeline(report),
        "timeline detail": lambda: draw_timeline_detail(report),
        "breakdown": lambda: draw_breakdown(report),
        "links": lambda: draw_links(report),
        "bytes": lambda: draw_bytes(report),
        "throughput": lambda: draw_throughput(report, read_throughput(run_dir, report)),
        "CPU": lambda: draw_cpu(report, usage()),
        "memory": lambda: draw_memory(report, usage()),
        "labels": lambda: draw_labels(report),
    }


def draw_all(run_dir: Path, report: Mapping[str, Any]) -> tuple[dict[str, Drawn], list[str]]:
    """Draw all figures that there are data for; return them by name, with messages about those that failed."""
    drawn: dict[str, Drawn] = {}
    problems = []
    with _without_collections():
        for name, task in figures_of(run_dir, report).items():
            try:
                one = task()
            except Exception as error:  # one odd value must not cost the other figures
                problems.append(f"the figure {name} could not be drawn: {type(error).__name__}: {error}")
                continue
            if one is not None:
                drawn[one.name] = one
    return drawn, problems


@contextmanager
def _without_collections() -> Iterator[None]:
    """Put the garbage collector off: it looks through all parts of all figures again and again and finds nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
