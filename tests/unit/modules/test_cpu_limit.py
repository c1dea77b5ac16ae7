"""A device's CPU limit at an Engine that refuses it, forgets it, or has lost the container meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from ansible_collections.fedsim.testbed.plugins.module_utils import _cpu_limit
from ansible_collections.fedsim.testbed.plugins.module_utils._batch import DeviceFailedError
from docker.errors import APIError, NotFound

WANTED = _cpu_limit.build_cpu_limit(0.1)


def refuse(status: int, text: str) -> APIError:
    response = requests.Response()
    response.status_code = status
    kind = NotFound if status == 404 else APIError
    return kind("refused", response=response, explanation=text)


class Engine:
    """The two calls that the code under test makes, on one container."""

    def __init__(self, refusal: APIError | None = None, running: bool = True, keeps: bool = True) -> None:
        self.refusal = refusal
        self.keeps = keeps
        self.container: dict[str, Any] = {
            "State": {"Running": running},
            "HostConfig": {"CpuPeriod": 0, "CpuQuota": 0, "CpuShares": _cpu_limit.STARTING_CPU_SHARES},
        }

    def update_container(self, container: str, cpu_period: int, cpu_quota: int, cpu_shares: int) -> None:
        if self.refusal is not None:
            raise self.refusal
        if self.keeps:
            self.container["HostConfig"].update(CpuPeriod=cpu_period, CpuQuota=cpu_quota, CpuShares=cpu_shares)

    def inspect_container(self, container: str) -> dict[str, Any]:
        return self.container


def test_a_limit_is_set() -> None:
    engine = Engine()
    _cpu_limit.set_cpu_limit(engine, "pi-1", WANTED)
    assert engine.container["HostConfig"] == {"CpuPeriod": 20_000, "CpuQuota": 2_000, "CpuShares": 1024}


def test_a_refused_limit_fails_the_device_with_the_fix() -> None:
    with pytest.raises(DeviceFailedError, match=r"cannot be set: forbidden by policy: .*authorization plugin"):
        _cpu_limit.set_cpu_limit(Engine(refuse(403, "forbidden by policy")), "pi-1", WANTED)


def test_a_container_that_has_ended_is_left_to_who_reads_back_how() -> None:
    _cpu_limit.set_cpu_limit(Engine(refuse(500, "cgroup is gone"), running=False), "pi-1", WANTED)


def test_a_limit_that_the_engine_does_not_keep_fails_the_device() -> None:
    with pytest.raises(DeviceFailedError, match=r"not in force: CpuPeriod is 0, not 20000, CpuQuota is 0, not 2000"):
        _cpu_limit.set_cpu_limit(Engine(keeps=False), "pi-1", WANTED)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refuse(404, "No such container: 0123"), None),
        (refuse(404, "page not found"), "page not found"),
        (refuse(403, "forbidden by policy"), "forbidden by policy"),
    ],
)
def test_the_call_is_tried_on_a_container_that_does_not_exist(answer: APIError, reason: str | None) -> None:
    assert _cpu_limit.try_update(Engine(answer)) == reason


def test_options_that_the_kernel_cannot_hold_are_left_out() -> None:
    assert _cpu_limit.build_cpu_limit(0.1, {"CpuPeriod", "CpuQuota"}) == {"CpuShares": 1024}
