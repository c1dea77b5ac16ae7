"""FederatedScope's log files and lines (its ``core/auxiliaries/logging.py``), without its colours in files.

Addresses are written as they are: upstream's rounding of floats turns 172.20.0.10 into 172.2.0.1.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from numbers import Real
from pathlib import Path
from typing import Any, get_args

import yaml

from fedsim_runner.contract.participant_events import ParticipantEvent, Result, Scope

from ..reporting import Reporter
from .models import Model
from .results import rounded
from .settings import Settings

FORMAT = "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s"

logger = logging.getLogger("fedsim.participant")


class RunLog:
    """The log files in ``folder``, ``outdir/expname`` of one participant; what is logged is also reported as events."""

    def __init__(self, settings: Settings, tree: dict[str, Any], reporter: Reporter) -> None:
        self._reporter = reporter
        self.folder = _own_folder(settings.outdir)
        self._started = time.time()
        formatter = logging.Formatter(FORMAT)
        self._handlers: list[logging.Handler] = [
            logging.FileHandler(self.folder / "exp_print.log", encoding="utf-8"),
            logging.StreamHandler(),
        ]
        for handler in self._handlers:
            handler.setFormatter(formatter)
            logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.info(f"the output dir is {self.folder}")
        with (self.folder / "config.yaml").open("w", encoding="utf-8") as stream:
            yaml.safe_dump(tree, stream)

    def listening(self, text: str) -> None:
        """Log in FederatedScope's words that this participant listens; the launcher reports that it is ready."""
        logger.info(text, stacklevel=2)

    def event(self, event: ParticipantEvent, text: str, level: int = logging.INFO) -> None:
        """Log an event of the course in FederatedScope's words, and report it.

        Raises:
            OSError: the file cannot be written.
        """
        logger.log(level, text, stacklevel=2)
        self._reporter.report(event)

    def report(self, event: ParticipantEvent) -> None:
        """Report an event that FederatedScope does not log.

        Raises:
            OSError: the file cannot be written.
        """
        self._reporter.report(event)

    def results(self, line: dict[str, Any], per_client: dict[str, Any] | None = None) -> None:
        """Log a line of results, and keep it unrounded in the results files.

        Args:
            per_client: what ``line`` summarises; it goes into ``eval_results.raw`` instead, and is not logged.
        """
        shown = rounded(line)
        logger.info(str(shown))
        if (event := _result(shown)) is not None:
            self._reporter.report(event)
        if str(line["Role"]).startswith("Server"):
            self._append("eval_results.log", line)
        self._append("eval_results.raw", per_client or line)

    def finished(self, participant: int, model: Model, sent_bytes: int, received_bytes: int) -> None:
        """Write the system metrics under FederatedScope's names; the time counts from construction, as there.

        Bytes are those of messages (FederatedScope leaves 0 in a distributed course); operations are not counted.
        """
        metrics = {
            "id": participant,
            "fl_end_time_minutes": (time.time() - self._started) / 60,
            "total_model_size": sum(parameter.size for parameter in model.parameters.values()),
            "total_flops": 0,
            "total_upload_bytes": sent_bytes,
            "total_download_bytes": received_bytes,
            "global_convergence_round": 0,
            "local_convergence_round": 0,
            "global_convergence_time_minutes": 0,
            "local_convergence_time_minutes": 0,
        }
        logger.info(f"In worker #{participant}, the system-related metrics are: {rounded(metrics)}")
        with (self.folder / "system_metrics.log").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(metrics) + "\n")

    def close(self) -> None:
        """Flush and detach; safe to call twice."""
        for handler in self._handlers:
            logger.removeHandler(handler)
            handler.close()

    def _append(self, name: str, line: dict[str, Any]) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")


def _own_folder(outdir: Path) -> Path:
    """Create and return ``outdir``, or a ``sub_exp_<time>`` in it if an earlier run has used it, as upstream does."""
    if not outdir.exists():
        outdir.mkdir(parents=True)
        return outdir
    while True:
        folder = outdir / f"sub_exp_{datetime.now().strftime('%Y%m%d%H%M%S')}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            time.sleep(1)


def _result(line: Mapping[str, Any]) -> Result | None:
    """A line of results as an event; None for the best results of all rounds, which belong to no round."""
    number = line["Round"]
    scope: Scope | None = next((form for form in get_args(Scope) if f"Results_{form}" in line), None)
    if not isinstance(number, int) or scope is None:
        return None
    metrics = {name: float(value) for name, value in line[f"Results_{scope}"].items() if isinstance(value, Real)}
    training = any(name.startswith("train_") for name in metrics)
    return Result(number, "training" if training else "evaluation", scope, metrics)
