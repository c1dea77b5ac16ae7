"""What a run holds of its lab host, for whoever plans another one there."""

from __future__ import annotations

from ..contract.agent_calls import HoldsAnswer
from ..contract.claim import read_claim
from ..contract.device_file import read_device_file
from ..contract.paths import StateFolder


def what_is_held(state: StateFolder, course_ended: bool) -> HoldsAnswer:
    """Return what the devices on this lab host were given; nothing once their participants have ended.

    Raises:
        DeviceFileError: there is no device file yet, or it is of another version or form.
    """
    claim = read_claim(state)
    user = "" if claim is None else claim.control.user
    if course_ended:
        return HoldsAnswer(user=user, cpus=0.0, memory_bytes=0, gpu_ids=[])
    found = read_device_file(state.device_file)
    return HoldsAnswer(
        user=user,
        cpus=round(sum(device.cpus or 0.0 for device in found.devices), 4),
        memory_bytes=found.expected_memory_bytes,
        gpu_ids=[gpu for device in found.devices for gpu in device.gpu_ids],
    )
