"""What a run holds of its lab host, for whoever plans another one there."""

from __future__ import annotations

from ..contract.agent_calls import AllottedAnswer, HoldsAnswer
from ..contract.claim import read_claim
from ..contract.device_file import read_device_file
from ..contract.paths import StateFolder


def what_is_held(state: StateFolder, course_ended: bool) -> HoldsAnswer:
    """Return what the devices on this lab host were given; nothing once their participants have ended.

    Raises:
        DeviceFileError: there is no device file yet, or it is of another version or form.
    """
    claim = read_claim(state)
    found = read_device_file(state.device_file)
    holding = () if course_ended else found.devices
    return HoldsAnswer(
        user="" if claim is None else claim.control.user,
        cpus=round(sum(device.cpus or 0.0 for device in holding), 4),
        memory_bytes=0 if course_ended else found.expected_memory_bytes,
        gpu_ids=[gpu for device in holding for gpu in device.gpu_ids],
        cpu_factor=found.cpu_factor,
        devices={
            device.name: AllottedAnswer(cpus=device.cpus, gpu_ids=list(device.gpu_ids)) for device in found.devices
        },
    )
