"""fedsim_teardown where the Engine refuses a part: the rest goes, and the error names what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import EngineError
from ansible_collections.fedsim.testbed.plugins.modules import fedsim_teardown
from docker.errors import APIError


class Engine:
    """An Engine that keeps one container and one network."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    def remove_container(self, identifier: str, force: bool, v: bool) -> None:
        self._remove(identifier, "device is busy")

    def inspect_network(self, identifier: str) -> dict[str, Any]:
        return {"Containers": {}}

    def remove_network(self, identifier: str) -> None:
        self._remove(identifier, "has active endpoints")

    def _remove(self, identifier: str, refusal: str) -> None:
        if identifier.startswith("stuck"):
            response = requests.Response()
            response.status_code = 500
            raise APIError("refused", response=response, explanation=refusal)
        self.removed.append(identifier)


def test_what_stays_is_named_and_does_not_keep_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    (folder / "agent").mkdir(parents=True)
    containers = [
        {"Id": identifier, "Names": [f"/fedsim-x.{identifier}"], "Labels": {"org.fedsim.kind": "device"}}
        for identifier in ("c1", "stuck-c2", "c3")
    ]
    networks = [{"Id": "stuck-n1", "Name": "fedsim-x"}]
    engine = Engine()
    todo = fedsim_teardown.plan_teardown("x", containers, networks, [str(folder)])
    with pytest.raises(EngineError) as caught:
        fedsim_teardown.Handlers(engine).carry_out(todo)
    assert str(caught.value) == "fedsim-x.stuck-c2: device is busy; network fedsim-x: has active endpoints"
    assert sorted(engine.removed) == ["c1", "c3"]
    assert not folder.exists()
