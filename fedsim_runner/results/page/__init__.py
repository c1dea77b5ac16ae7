"""HTML reports for people: report.html of a run with its figures, and comparisons of runs.

Importing this package is cheap; drawing imports matplotlib.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.contract import atomic

PAGE = "report.html"
FIGURES = "figures"

__all__ = ["FIGURES", "PAGE", "publish", "try_publish"]


def publish(run_dir: Path, report: Mapping[str, Any], *, output: Path | None = None, figures: bool = False) -> Path:
    """Write report.html from a report and the run folder it was made from; return its path.

    Args:
        output: folder to write to instead of ``run_dir``.
        figures: also write each figure as SVG and PDF into ``figures/``.

    Raises:
        OSError: the folder cannot be written.
    """
    # Where the home folder cannot be written, it takes another one for its cache; that is nothing to act on.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # Imported here: importing matplotlib takes longer than most verbs run.
    from ..figures import draw_all
    from .run_page import render_page

    target = run_dir if output is None else output
    drawn, problems = draw_all(run_dir, report)
    if figures:
        folder = target / FIGURES
        folder.mkdir(parents=True, exist_ok=True)
        for one in drawn.values():
            one.save(folder)
    page = target / PAGE
    atomic.write(page, render_page(run_dir, report, drawn, problems))
    return page


def try_publish(run_dir: Path, report: Mapping[str, Any]) -> str | None:
    """Publish at the end of a run, which must not fail because of a page. Return None, or why there is no page."""
    try:
        publish(run_dir, report)
    except Exception as error:  # a drawing library may raise anything, and the run's data are safe in report.json
        with contextlib.suppress(OSError):
            (run_dir / PAGE).unlink(missing_ok=True)  # an older page would describe another state
        return f"{PAGE} was not written: {type(error).__name__}: {error}"
    return None
