"""Lab hosts that did not answer a question about a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..testbed.values import UnreachableError


def describe_silent(silent: Mapping[str, UnreachableError], devices: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """Why lab hosts do not answer, without those that carry no device of the run, as far as that is known.

    Args:
        silent: by lab host.
        devices: the run's devices by name, each with its ``lab_host``; empty if its folder is not known.
    """
    carry = {device.get("lab_host") for device in devices.values()}
    return [str(error) for host, error in silent.items() if not carry or host in carry]
