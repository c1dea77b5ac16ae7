"""FederatedScope's warnings as events; no FederatedScope is needed."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedsim_runner.contract.participant_events import EVENTS
from fedsim_runner.participant.federatedscope.log_events import ROOT, report_log
from fedsim_runner.participant.federatedscope.log_warnings import HARMLESS, MOST, LogWarnings
from fedsim_runner.participant.reporting import Reporter


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[logging.Logger]:
    """FederatedScope's logger, of which the warnings are reported."""
    logger = logging.getLogger(ROOT)
    before = logger.handlers
    logger.handlers = []
    reporter = Reporter(tmp_path)
    warnings = LogWarnings(reporter)
    warnings.attach()
    warnings.attach()
    report_log(reporter)
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
    upstream.error("an error is reported elsewhere")
    for number in range(2 * MOST):
        upstream.warning("x" * (number + 1))
    assert reported(tmp_path) == ["x" * (number + 1) for number in range(MOST)]


def test_what_every_course_brings_is_left_out(upstream: logging.Logger, tmp_path: Path) -> None:
    upstream.warning("We found the number of gpu is insufficient, thus cfg.federate.process_num=0")
    upstream.warning("The data type should be `ClientData` to enable new `config`, but got <class 'dict'> instead.")
    upstream.warning("No val_data or val_loader in the trainer, will skip evaluation.")
    upstream.warning("Client 7 does not contain train_data")
    assert reported(tmp_path) == ["Client 7 does not contain train_data"]


@pytest.mark.federatedscope
def test_federatedscope_says_what_is_left_out(source: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in source.glob("federatedscope/core/**/*.py")]
    # Its source breaks texts into lines.
    joined = "".join(re.sub(r"""['"]\s+f?['"]""", "", text) for text in texts).replace("{target_split_name}", "val")
    assert [beginning for beginning in HARMLESS if beginning not in joined] == []


def test_a_wrong_format_ends_nothing(
    upstream: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(ROOT), "propagate", False)  # pytest's own handler ends the test
    upstream.warning("%d clients", "many")
    upstream.warning("few clients")
    assert reported(tmp_path) == ["few clients"]
    assert "many" in capsys.readouterr().err, "it is shown as Python's own handlers show it"
