"""A warning of models that protobuf in pure Python packs for minutes."""

from __future__ import annotations

import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest

from fedsim_runner.participant.federatedscope.slow_messages import IMPLEMENTATION, warn_of_slow_messages


@pytest.mark.parametrize(
    ("kind", "numbers", "warned"), [("python", 6_603_710, True), ("python", 20_000, False), ("upb", 6_603_710, False)]
)
def test_only_large_models_in_pure_python(
    kind: str, numbers: int, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = ModuleType(IMPLEMENTATION)
    vars(module)["Type"] = lambda: kind
    monkeypatch.setitem(sys.modules, IMPLEMENTATION, module)
    model = SimpleNamespace(state_dict=lambda: {"fc.weight": SimpleNamespace(numel=lambda: numbers)})
    with caplog.at_level(logging.WARNING):
        warn_of_slow_messages(SimpleNamespace(models=[model]))
    assert ("6,603,710 numbers" in caplog.text) == warned
