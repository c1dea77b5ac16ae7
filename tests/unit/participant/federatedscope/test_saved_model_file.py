"""The file of the global model, around an aggregator that writes as FederatedScope's does."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedsim_runner.participant.exit_errors import ParticipantError
from fedsim_runner.participant.federatedscope.saved_model import save_in_one_step


class Aggregator:
    """Writes the number of the round that it is told; ``error``: after half of it, the disk is full."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def save_model(self, path: str, cur_round: int = -1) -> None:
        Path(path).write_text(f"round {cur_round}")
        if self.error is not None:
            raise self.error


def server_with(aggregator: Any, folder: Path) -> Any:
    server = SimpleNamespace(aggregator=aggregator, _perform_federated_aggregation=lambda: 3)
    save_in_one_step(server, folder / "tmp")
    return server


def test_the_rounds_are_those_that_were_aggregated(tmp_path: Path) -> None:
    server = server_with(Aggregator(), tmp_path)
    assert [server._perform_federated_aggregation() for _ in range(2)] == [3, 3]
    server.aggregator.save_model(str(tmp_path / "model.pt"), 41)  # what FederatedScope says after an early stop
    assert (tmp_path / "model.pt").read_text() == "round 2"
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), RuntimeError("file write\n failed")])
def test_half_a_model_is_not_left_behind(error: Exception, tmp_path: Path) -> None:
    server = server_with(Aggregator(error), tmp_path)
    with pytest.raises(ParticipantError, match=r"cannot write the global model: .*(No space left|file write failed)"):
        server.aggregator.save_model(str(tmp_path / "model.pt"), 2)
    assert not list(tmp_path.rglob("*.pt"))


def test_an_aggregator_that_saves_nothing_ends_no_course(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = server_with(SimpleNamespace(), tmp_path)
    with caplog.at_level(logging.WARNING):
        server.aggregator.save_model(str(tmp_path / "model.pt"), 2)
    assert "no global model is saved: SimpleNamespace cannot save one" in caplog.text
    assert not list(tmp_path.iterdir())
