"""Many links in one queue of times."""

from __future__ import annotations

from fedsim_runner.agent.traces.playback import Playback
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.link_variation import NEVER, Track, Variation, course_of

PLANNED = Links(Link(), Link())


def playback(**offsets_ms: int) -> Playback:
    track = Track(at_ms=(0, 200, 400, 600), length_ms=800, rate_bps=(1000, 2000, 3000, 4000))
    return Playback(
        {
            name: course_of(Variation(planned=PLANNED, up="t", offset_ms=offset), {"t": track}, 1, name)
            for name, offset in offsets_ms.items()
        }
    )


def rates(found: dict[str, Links]) -> dict[str, int | None]:
    return {name: links.up.rate_bps for name, links in found.items()}


def test_each_link_changes_at_its_own_times() -> None:
    played = playback(a=0, b=150)
    assert rates(played.advance(0.0)) == {"a": 1000, "b": 1000}
    assert played.next_s == 0.05
    assert rates(played.advance(0.05)) == {"b": 2000}
    assert rates(played.advance(0.1)) == {}
    assert rates(played.advance(0.25)) == {"a": 2000, "b": 3000}


def test_steps_that_are_over_are_skipped() -> None:
    played = playback(a=0)
    played.advance(0.0)
    assert rates(played.advance(0.65)) == {"a": 4000}
    assert round(played.next_s, 6) == 0.8


def test_the_end() -> None:
    track = Track(at_ms=(0, 200), length_ms=400, rate_bps=(1000, 2000))
    course = course_of(Variation(planned=PLANNED, up="t", loop=False), {"t": track}, 1, "a")
    played = Playback({"a": course})
    played.advance(0.0)
    assert rates(played.advance(5.0)) == {"a": 2000}
    assert played.next_s == NEVER and played.advance(1e9) == {}
    assert Playback({}).next_s == NEVER
