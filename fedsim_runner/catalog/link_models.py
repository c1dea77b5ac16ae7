"""What a link does besides rate, delay, jitter and loss: from entries to the program's values, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from ..contract.gilbert_elliott import GilbertElliott
from ..contract.jitter_distribution import DistributionName
from ..contract.link import Link, Queue
from ..contract.queue_size import FRAME_BYTES
from .entries import DirectionEntry, ProfileEntry, QueueEntry
from .jitter_table import SUFFIX, TableError, read_table
from .problem import Problem
from .suggestions import suggestion

Direction = Literal["up", "down"]
NO_RATE = "a queue without a rate: nothing waits in it"
NO_JITTER = "a distribution without jitter: there is nothing to distribute"
NAMED: Final[tuple[DistributionName, ...]] = ("uniform", "normal", "pareto")
NO_FRAME = "a queue that holds no frame passes none"
LONGEST_S = 60.0
_MILLI_US = 1_000


def read_distribution(
    own: str | None, common: str | None, direction: Direction, folder: Path | None, problems: list[Problem]
) -> tuple[DistributionName, tuple[int, ...]] | None:
    """Return the distribution that an entry names, with its table; None: it names none.

    Args:
        own: what the direction says.
        common: what the profile says for both directions.
        direction: which one.
        folder: where relative paths start.
        problems: what is wrong with it is added here.
    """
    stated = common if own is None else own
    if stated is None:
        return None
    named = next((name for name in NAMED if name == stated), None)
    if named is not None:
        return named, ()
    path = ("jitter_distribution",) if own is None else (direction, "jitter_distribution")
    if not stated.endswith(SUFFIX):
        hint = suggestion(stated, list(NAMED), or_all=False) or f"known: {', '.join(NAMED)}, or a table's path"
        problems.append(Problem(path, f'"{stated}" is no distribution, nor a path that ends in {SUFFIX}', hint))
        return None
    try:
        return "table", read_table((folder or Path.cwd()) / Path(stated).expanduser())
    except RuntimeError:
        problems.append(Problem(path, f"{stated}: there is no such user here"))
    except TableError as error:
        problems.append(Problem(path, f"{stated}: {error}", "whole numbers in iproute2's format; 8192 is jitter_ms"))
    return None


def resolve_losses(
    own: DirectionEntry, common: ProfileEntry, direction: Direction, base: Link, problems: list[Problem]
) -> tuple[float, GilbertElliott | None]:
    """Return a direction's mean loss, and how packets are lost if not independently; None: they are.

    Args:
        own: what the direction says, else counts what the profile says for both directions, else the base.
        common: the profile.
        direction: which one.
        base: that of the profile's base.
        problems: what is wrong is added here.
    """
    for entry, path in ((own, (direction,)), (common, ())):
        model = entry.gilbert_elliott
        if model is not None:
            at = (*path, "gilbert_elliott")
            if entry.packet_loss_rate is not None:
                problems.append(Problem(at, "losses are given twice, also as packet_loss_rate", "remove one of them"))
            if model.bad_loss_rate <= model.good_loss_rate:
                wrong = f"a bad link has to lose more packets than a good one ({model.good_loss_rate:g})"
                problems.append(Problem((*at, "bad_loss_rate"), wrong, "1 is the default"))
            bursts = GilbertElliott(
                float(model.p), float(model.r), float(model.bad_loss_rate), float(model.good_loss_rate)
            )
            return bursts.mean_loss, bursts
        if entry.packet_loss_rate is not None:
            return float(entry.packet_loss_rate), None
    return base.loss, base.bursts


def merge_queue(entry: QueueEntry | None, base: Queue | None) -> Queue | None:
    """Return the queue that an entry describes on top of another one; what it does not give stays."""
    if entry is None:
        return base
    base = base or Queue()
    discipline = entry.discipline or base.discipline
    if entry.buffer_ms is not None:
        return Queue(max(1, round(entry.buffer_ms * _MILLI_US)), None, discipline)
    if entry.buffer_bytes is not None:
        return Queue(None, entry.buffer_bytes, discipline)
    return replace(base, discipline=discipline)


def check_queue(
    direction: Direction, own: QueueEntry | None, common: QueueEntry | None, link: Link
) -> Iterator[Problem]:
    """Yield what is wrong with a direction's queue.

    Args:
        direction: which one.
        own: what the direction says of its queue.
        common: what the profile says for both directions.
        link: the direction with everything resolved.
    """
    if own is not None and link.rate_bps is None:
        yield Problem((direction, "queue"), NO_RATE, f"add bandwidth_{direction}_kbps")
    for entry, path in ((own, (direction, "queue")), (common, ("queue",))):
        if entry is None:
            continue
        if entry.buffer_ms is not None and entry.buffer_bytes is not None:
            yield Problem((*path, "buffer_bytes"), "the room is given twice, also as buffer_ms", "remove one of them")
        elif not entry.model_dump(exclude_none=True):
            yield Problem(path, "says nothing about the queue", "give discipline, buffer_ms or buffer_bytes")
        elif link.rate_bps is not None and (entry is own or own is None):
            yield from _check_room(entry, path, link.rate_bps)


def _check_room(entry: QueueEntry, path: tuple[str, ...], rate_bps: int) -> Iterator[Problem]:
    frame_ms = FRAME_BYTES * 8e3 / rate_bps
    if entry.buffer_ms is not None and entry.buffer_ms < frame_ms:
        yield Problem(
            (*path, "buffer_ms"),
            f"less than a frame of {FRAME_BYTES} bytes takes at this rate ({frame_ms:.3g} ms)",
            NO_FRAME,
        )
    if entry.buffer_bytes is None:
        return
    if entry.buffer_bytes < FRAME_BYTES:
        yield Problem((*path, "buffer_bytes"), f"less than a frame ({FRAME_BYTES} bytes)", NO_FRAME)
    elif entry.buffer_bytes * 8 / rate_bps > LONGEST_S:
        took = f"takes {entry.buffer_bytes * 8 / rate_bps:.0f} s at this rate"
        yield Problem((*path, "buffer_bytes"), f"a full queue {took}", f"at most {LONGEST_S:.0f} s")
