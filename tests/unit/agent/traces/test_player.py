"""Links follow their variations in time, and what is said of it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from fedsim_runner.agent.traces.player import Player
from fedsim_runner.contract import events
from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.link_variation import Track, Variation

PLANNED = Links(Link(), Link())
ONCE = Track(at_ms=(0, 100, 200), length_ms=300, rate_bps=(1000, 2000, 3000))


def play(change: object, variation: Variation, ago_s: float = 0.0) -> list[events.Event]:
    said: list[events.Event] = []
    player = Player(change, said.append)  # type: ignore[arg-type]
    player.begin(time.time() - ago_s, {"a": variation}, {"t": ONCE}, 1)
    player.begin(time.time(), {"a": variation}, {"t": ONCE}, 1)  # as often as one likes
    end = time.monotonic() + 10
    while len(said) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    player.stop()
    return said


def test_a_trace_is_played_to_its_end() -> None:
    made: list[int | None] = []

    def change(links: Mapping[str, Links]) -> Mapping[str, str]:
        made.append(links["a"].up.rate_bps)
        return {}

    first, last = play(change, Variation(planned=PLANNED, up="t", loop=False))
    assert made[0] == 1000 and made[-1] == 3000 and made == sorted(set(made), key=made.index)  # type: ignore[type-var]
    assert isinstance(first, events.LinksVarying) and first.devices == ("a",)
    assert isinstance(last, events.LinksVaried) and last.changes == len(made) - 1 and last.failed == ()


def test_an_agent_that_was_restarted_goes_on_where_the_trace_is() -> None:
    made: list[int | None] = []

    def change(links: Mapping[str, Links]) -> Mapping[str, str]:
        made.append(links["a"].up.rate_bps)
        return {}

    play(change, Variation(planned=PLANNED, up="t", loop=False), ago_s=60.0)
    assert made == [3000]


def test_what_fails_is_said_once() -> None:
    def change(links: Mapping[str, Links]) -> Mapping[str, str]:
        return {"a": "the kernel refused it"}

    _, last = play(change, Variation(planned=PLANNED, up="t", loop=False))
    assert isinstance(last, events.LinksVaried) and last.failed == ("a: the kernel refused it",)


def test_the_end_of_the_runs_network_ends_it() -> None:
    def change(links: Mapping[str, Links]) -> Mapping[str, str]:
        raise FedsimError("gone")

    _, last = play(change, Variation(planned=PLANNED, up="t"))
    assert isinstance(last, events.LinksVaried) and last.failed == ("a: gone",)


def test_without_anything_that_varies_nothing_is_said() -> None:
    said: list[events.Event] = []
    player = Player(lambda links: {}, said.append)
    player.begin(time.time(), {}, {}, 1)
    player.stop()
    assert said == []
