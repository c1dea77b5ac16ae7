"""Links follow their variations in time, and what is said of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import pytest

from fedsim_runner.agent.links.shaping.results import Result
from fedsim_runner.agent.traces import player
from fedsim_runner.agent.traces.player import BATCH_S, Player
from fedsim_runner.contract import events
from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.link_variation import Track, Variation

Finish = Callable[[], Mapping[str, Result]]
PLANNED = Links(Link(), Link())
ONCE = Track(at_ms=(0, 100, 200), length_ms=300, rate_bps=(1000, 2000, 3000))


def play(change: object, variation: Variation, ago_s: float = 0.0) -> list[events.Event]:
    said: list[events.Event] = []
    playing = Player(change, said.append)  # type: ignore[arg-type]
    playing.begin(time.time() - ago_s, {"a": variation}, {"t": ONCE}, 1, True)
    playing.begin(time.time(), {"a": variation}, {"t": ONCE}, 1, True)  # as often as one likes
    end = time.monotonic() + 10
    while len(said) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    playing.stop()
    return said


def test_a_trace_is_played_to_its_end() -> None:
    made: list[int | None] = []

    def change(links: Mapping[str, Links], due_s: float) -> Finish:
        made.append(links["a"].up.rate_bps)
        return lambda: {"a": Result(changed=True, late_s=0.5)}

    first, last = play(change, Variation(planned=PLANNED, up="t", loop=False))
    assert made[0] == 1000 and made[-1] == 3000 and made == sorted(set(made), key=made.index)  # type: ignore[type-var]
    assert isinstance(first, events.LinksVarying) and first.devices == ("a",)
    assert isinstance(last, events.LinksVaried) and last.changes == len(made) - 1 and last.failed == ()
    assert last.latest_s >= 0.5, "what the back end says of it"


def test_an_agent_that_was_restarted_goes_on_where_the_trace_is() -> None:
    made: list[int | None] = []

    def change(links: Mapping[str, Links], due_s: float) -> Finish:
        made.append(links["a"].up.rate_bps)
        return lambda: {"a": Result(changed=True, late_s=0.5)}

    play(change, Variation(planned=PLANNED, up="t", loop=False), ago_s=60.0)
    assert made == [3000]


def test_what_fails_is_said_once() -> None:
    def change(links: Mapping[str, Links], due_s: float) -> Finish:
        return lambda: {"a": Result(failed="the kernel refused it")}

    _, last = play(change, Variation(planned=PLANNED, up="t", loop=False))
    assert isinstance(last, events.LinksVaried) and last.failed == ("a: the kernel refused it",)


def test_the_end_of_the_runs_network_ends_it() -> None:
    def gone() -> Mapping[str, Result]:
        raise FedsimError("gone")

    for change in (lambda links, due_s: gone(), lambda links, due_s: gone):
        _, last = play(change, Variation(planned=PLANNED, up="t", loop=False))
        assert isinstance(last, events.LinksVaried) and last.failed == ("a: gone",)


def test_steps_are_prepared_before_their_time_and_made_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player, "AHEAD_S", 0.09)
    made: list[tuple[float, float, tuple[str, ...]]] = []  # when, how long before its time, of which devices

    def change(links: Mapping[str, Links], due_s: float) -> Finish:
        now = time.monotonic()
        made.append((now, due_s - now, tuple(links)))
        return dict

    said: list[events.Event] = []
    playing = Player(change, said.append)
    varying = {name: Variation(planned=PLANNED, up="t", offset_ms=number) for number, name in enumerate("ab")}
    playing.begin(time.time(), varying, {"t": ONCE}, 1, True)
    time.sleep(0.45)
    playing.stop()
    (_, first_ahead_s, first), *others = made
    assert first_ahead_s <= 0.001 and set(first) == {"a", "b"}, "what the first step is, is in force already"
    assert max(ahead_s for _, ahead_s, _ in others) > BATCH_S and any(set(names) == {"a", "b"} for *_, names in others)
    (last,) = said[1:]
    assert isinstance(last, events.LinksVaried) and last.changes and last.latest_s >= BATCH_S


def test_a_step_is_made_at_its_time_and_not_with_the_next_one() -> None:
    made = threading.Event()

    def change(links: Mapping[str, Links], due_s: float) -> Finish:
        def finish() -> Mapping[str, Result]:
            assert time.monotonic() >= due_s
            if links["a"].up.rate_bps == 2000:
                made.set()
            return {}

        return finish

    playing = Player(change, lambda event: None)
    track = Track(at_ms=(0, 100, 60_000), length_ms=90_000, rate_bps=(1000, 2000, 3000))
    playing.begin(time.time(), {"a": Variation(planned=PLANNED, up="t")}, {"t": track}, 1, True)
    assert made.wait(10)
    playing.stop()


def test_without_anything_that_varies_nothing_is_said() -> None:
    said: list[events.Event] = []
    playing = Player(lambda links, due_s: dict, said.append)
    playing.begin(time.time(), {}, {}, 1, True)
    playing.stop()
    assert said == []
