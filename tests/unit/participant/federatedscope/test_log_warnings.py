"""FederatedScope's warnings as events; no FederatedScope is needed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedsim_runner.contract.participant_events import EVENTS
from fedsim_runner.participant.federatedscope.log_events import ROOT
from fedsim_runner.participant.federatedscope.log_warnings import MOST, LogWarnings
from fedsim_runner.participant.reporting import Reporter


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[logging.Logger]:
    """FederatedScope's logger, of which the warnings are reported."""
    logger = logging.getLogger(ROOT)
    before = logger.handlers
    logger.handlers = []
    warnings = LogWarnings(Reporter(tmp_path))
    warnings.attach()
    warnings.attach()
    yield logging.getLogger(f"{ROOT}.core.trainers")
    logger.handlers = before


def reported(folder: Path) -> list[str]:
    lines = (folder / EVENTS).read_text(encoding="utf-8").splitlines()
    return [event["text"] for event in map(json.loads, lines) if event["event"] == "warning"]


def test_each_is_reported_once(upstream: logging.Logger, tmp_path: Path) -> None:
    for number in range(3):
        upstream.warning("No val_data in round %d, will skip\n evaluation.", number)
        upstream.warning("\x1b[33mloss is 1e-0%d\x1b[0m", number)
    assert reported(tmp_path) == ["No val_data in round 0, will skip evaluation.", "loss is 1e-00"]


def test_only_warnings_and_not_without_end(upstream: logging.Logger, tmp_path: Path) -> None:
    upstream.error("an error is told elsewhere")
    for number in range(2 * MOST):
        upstream.warning("x" * (number + 1))
    assert reported(tmp_path) == ["x" * (number + 1) for number in range(MOST)]
