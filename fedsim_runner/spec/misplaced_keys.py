"""Keys that a place does not have: those of another place, and the words that other tools have for ours."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from ..catalog.entries import DirectionEntry, ProfileEntry
from ..catalog.suggestions import nearest, suggestion
from ..yamlfile.spec_errors import PathPart

#: How deep keys are looked for, in parts of a path.
_DEPTH: Final = 5
#: A key that another place has is meant rather than one of this place that is spelt less alike than this.
_ALIKE: Final = 0.8
_ORDER: Final = "packets of a link arrive in the order in which they were sent"
_RATES: Final = "the rates are bandwidth_up_kbps and bandwidth_down_kbps, in kbit/s of 1000 bit"
_DELAY: Final = "the one-way delay is latency_ms, in each direction"
_ROOM: Final = "the size of the queue is queue: {buffer_ms: ...} or queue: {buffer_bytes: ...}"
_DISCIPLINE: Final = "write queue: {discipline: fifo, codel or fq_codel}"
_BURSTS: Final = "losses in bursts are gilbert_elliott: {p: ..., r: ...}"
#: What tc(8), Mahimahi, Mininet, Kollaps and containerlab call what a link has here, and what has no equivalent.
_FOREIGN: Final[Mapping[str, str]] = {
    **dict.fromkeys(("rate", "rate_kbps", "bw", "bandwidth", "bandwidth_mbps", "rate_mbps", "throughput"), _RATES),
    **dict.fromkeys(("delay", "delay_ms", "latency"), _DELAY),
    **dict.fromkeys(("rtt", "rtt_ms", "ping"), f"{_DELAY}: half of a round trip"),
    **dict.fromkeys(("limit", "buffer", "buffer_size", "max_queue_size", "queue_size", "burst"), _ROOM),
    **dict.fromkeys(("qdisc", "aqm", "discipline", "ecn"), _DISCIPLINE),
    **dict.fromkeys(("gemodel", "loss_gemodel", "gilbert", "loss_model"), _BURSTS),
    **dict.fromkeys(("reorder", "reordering", "gap"), _ORDER),
    **dict.fromkeys(("corrupt", "corruption"), "write corrupt_rate: 0.01 for 1 %"),
    **dict.fromkeys(("duplicate", "duplication"), "write duplicate_rate: 0.01 for 1 %"),
    **dict.fromkeys(("loss", "loss_rate", "packet_loss", "drop", "plr"), "write packet_loss_rate: 0.05 for 5 %"),
    **dict.fromkeys(("uplink", "upload"), "the values of the uplink alone are below up"),
    **dict.fromkeys(("downlink", "download"), "the values of the downlink alone are below down"),
}


def what_is_meant(model: type[BaseModel], path: Sequence[PathPart]) -> str | None:
    """Say what may be meant by the key at the end of a path, which the model does not have there."""
    key, place = str(path[-1]), list(path[:-1])
    here = model_at(model, place)
    keys = list(here.model_fields) if here else []
    foreign = None if here is None else _FOREIGN.get(key.lower().replace("-", "_"))
    if here is not None and foreign is not None:
        if issubclass(here, ProfileEntry):
            return foreign
        if issubclass(here, DirectionEntry):
            return "the rate is bandwidth_kbps, in kbit/s of 1000 bit" if foreign is _RATES else foreign
        if "network" in keys and model_at(model, [*place, "network"]) is ProfileEntry:
            return f"links are below network: {foreign}"
    if nearest(key, keys, alike=_ALIKE) is None:
        elsewhere = _elsewhere(model, key, place)
        if elsewhere is not None:
            return elsewhere
    return suggestion(key, keys)


def keys_at(model: type[BaseModel], path: Sequence[PathPart]) -> list[str]:
    """The keys that the model has at a path."""
    found = model_at(model, path)
    return list(found.model_fields) if found else []


def model_at(model: type[BaseModel], path: Sequence[PathPart]) -> type[BaseModel] | None:
    """The model of what is at a path; None: it is no mapping with keys of its own."""
    annotation: Any = model
    for part in path:
        annotation = _step(annotation, part)
    return next(_models(annotation), None)


def _elsewhere(model: type[BaseModel], key: str, place: list[PathPart]) -> str | None:
    """Name the one or two places that have the key and are nearest; None: there is none, or there are more."""
    below = list(_places(model_at(model, place), key))
    found = [[*place, *one] for one in below if len(one) == min(map(len, below))]
    # Next to each mapping in which it was written, from the inside out. A key that many places have is of none of them.
    for length in range(len(place) - 1, -1, -1):
        if not found:
            found = [[*place[:length], *one] for one in _places(model_at(model, place[:length]), key)]
    if found == [[key]]:
        return f'"{key}" is a key of the file itself, not of "{place[0]}"'
    named = " or ".join(f'"{_written(one)}"' for one in found)
    return f"did you mean {named}?" if 0 < len(found) <= 2 else None


def _places(model: type[BaseModel] | None, key: str, within: int = _DEPTH) -> Iterator[list[PathPart]]:
    """The paths below a model that end in a key; an ellipsis stands for a number or a name of the user's."""
    if model is None or within == 0:
        return
    if key in model.model_fields:
        yield [key]
    for name, field in model.model_fields.items():
        for option in _options(field.annotation):
            is_many = typing.get_origin(option) in (dict, list)
            for one in _models(typing.get_args(option)[-1] if is_many else option):
                yield from ([name, *["..."] * is_many, *rest] for rest in _places(one, key, within - 1))


def _written(path: Sequence[PathPart]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) or part == "..." else f".{part}" for part in path)
    return text.removeprefix(".")


def _step(annotation: Any, part: PathPart) -> Any:
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel) and part in option.model_fields:
            return option.model_fields[str(part)].annotation
        if typing.get_origin(option) in (dict, list):
            return typing.get_args(option)[-1]
    return None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            yield option


def _options(annotation: Any) -> list[Any]:
    """The members of a (nested, annotated) union; the annotation itself if it is not a union."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _options(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [option for member in typing.get_args(annotation) for option in _options(member)]
    return [annotation]
