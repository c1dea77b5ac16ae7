"""How a device's GPUs are asked of the Engine: by id, so that none is given twice."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.fedsim.testbed.plugins.module_utils._device_container import build_gpu_request


@pytest.mark.parametrize(
    ("device", "count", "ids"),
    [
        ({"gpus": 2, "gpu_ids": ["1", "GPU-8f"]}, 0, ["1", "GPU-8f"]),
        ({"gpus": 2}, 2, None),  # in device files of earlier versions
    ],
)
def test_gpus_are_asked_for_by_id_where_they_have_one(
    device: dict[str, Any], count: int, ids: list[str] | None
) -> None:
    assert build_gpu_request(device) == [
        {"Driver": "", "Count": count, "DeviceIDs": ids, "Capabilities": [["gpu"]], "Options": {}}
    ]


def test_a_device_without_gpus_asks_for_none() -> None:
    assert build_gpu_request({"gpus": 0, "gpu_ids": []}) is None
