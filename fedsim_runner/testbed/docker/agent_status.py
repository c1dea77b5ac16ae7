"""What agents answer, for people: one status of a run, merged from all lab hosts, and measured links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedsim_runner.contract.device_status import in_device_time
from fedsim_runner.contract.events import LinkMeasured, parse
from fedsim_runner.contract.time_scale import read_factor
from fedsim_runner.results.device_time import DeviceTime

# Where agents differ, the state that comes first here counts for the run: a course is over as soon as one says so.
STATES = ("failed", "interrupted", "finished", "running", "loading", "provisioned")
COURSE = ("state", "round", "total_rounds", "reason", "device", "time_factor")


@dataclass(frozen=True)
class HostStatus:
    """What a lab host says of a run. ``answer``: its agent's; None: there is none, or it ``is_silent``."""

    devices: Mapping[str, Mapping[str, Any]]
    answer: Mapping[str, Any] | None = None
    is_silent: bool = False


def device_states(containers: Mapping[str, Mapping[str, Any]], lab_host: str) -> dict[str, dict[str, Any]]:
    """States of devices, from their containers on the Engine of a lab host."""
    return {
        name: {"state": item["State"], "exit_code": None, "lab_host": lab_host}
        for name, item in sorted(containers.items())
    }


def merge(
    seen: Mapping[str, Mapping[str, Any]], answers: Sequence[Mapping[str, Any]], is_silent: bool = False
) -> dict[str, Any]:
    """Merge them into one status, in which cpu and rates of devices are those in device time.

    Args:
        seen: states of the containers of all lab hosts, by device.
        answers: the agents' answers.
        is_silent: an agent runs, but has not answered.
    """
    if not answers:
        state = "up, its agent does not answer" if is_silent else "up, without its agent"
        return {"state": state, "devices": dict(seen)}
    status: dict[str, Any] = dict.fromkeys(COURSE)
    # The most advanced answer is applied last, so it counts; the others fill in what it leaves open.
    for part in sorted(answers, key=_place, reverse=True):
        status.update({key: part[key] for key in COURSE if part.get(key) is not None})
    status["results"] = next((part["results"] for part in answers if part.get("results")), {})
    # In the agents' order, which begins with the server.
    devices = {
        name: {**seen.get(name, {}), **entry}
        for part in answers
        for name, entry in in_device_time(part.get("devices") or {}, read_factor(part.get("time_factor"))).items()
    }
    status["devices"] = {**devices, **{name: entry for name, entry in seen.items() if name not in devices}}
    return status


def measured_links(answer: Mapping[str, Any], lab_host: str) -> list[LinkMeasured]:
    """Return what an agent measured of its links, in device time."""
    device_time = DeviceTime(read_factor(answer.get("time_factor")))
    events = (parse(entry, lab_host) for entry in answer["links"])
    converted = (device_time.convert(event) for event in events if event is not None)
    return [event for event in converted if isinstance(event, LinkMeasured)]


def _place(part: Mapping[str, Any]) -> tuple[int, int]:
    state = part.get("state")
    return (STATES.index(state) if state in STATES else len(STATES), -(part.get("round") or 0))
