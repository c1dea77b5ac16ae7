"""Engines refuse what they do not do before anything is built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.execution.engines import refuse_unsupported
from fedsim_runner.execution.exits import Exit, FedsimError
from fedsim_runner.model import Experiment, Plan
from fedsim_runner.placement import make_plan
from tests.builders import experiment, lab_host


def plan_of(wanted: Experiment) -> Plan:
    return make_plan(wanted, [lab_host(cpus=64)], "study")


def test_what_the_light_engine_does_is_let_through() -> None:
    refuse_unsupported(plan_of(experiment()))


def test_each_reason_is_told_once_with_its_key() -> None:
    wanted = experiment()
    config = {**wanted.config, "model": {"type": "convnet2"}, "asyn": {"use": True}}
    with pytest.raises(FedsimError) as refused:
        refuse_unsupported(plan_of(replace(wanted, config=config)))
    assert refused.value.code is Exit.SPEC
    lines = str(refused.value).splitlines()
    assert len(lines) == 3
    assert "model.type" in lines[0] + lines[1]
    assert "asyn.use" in lines[0] + lines[1]
    assert lines[2].startswith("2 mistakes")


def test_an_engine_that_this_version_does_not_have() -> None:
    wanted = experiment(clients=2)
    devices = (*wanted.devices[:-1], replace(wanted.devices[-1], engine="federatedscope"))
    with pytest.raises(FedsimError, match=r"federatedscope is not part of this version \(phone-2\)"):
        refuse_unsupported(plan_of(replace(wanted, devices=devices)))
