"""Silence has a cause: what a course is watched, recorded or carried by is taken away, and is named within 10 s."""

from __future__ import annotations

from tests.faults.acts import delete_state, flush_links, freeze_agent, pause_agent, truncate_journal
from tests.faults.live_run import LiveRun
from tests.faults.scenario import Act, Outcome, Scenario, Start, Step, round_ends

NOTICED_S = 10
# To collect and tear down on a loaded machine; an agent that is stopped does not take its time to end.
END_S = 60
FAILED = 5


def _named(
    name: str, holds: str, act: Act, reason: str, soak: bool = False, noticed_s: float | None = None
) -> Scenario:
    return Scenario(
        name,
        holds,
        Start(),
        (Step(round_ends(2), act),),
        Outcome(FAILED, within_s=NOTICED_S + END_S, noticed_s=noticed_s, reason=reason, says=(reason,)),
        soak=soak,
    )


def _restored(run: LiveRun) -> list[str]:
    wrong = []
    found = {event["device"]: event["found"] for event in run.events("link_restored")}
    if set(found) != {"mote-1"}:
        wrong.append(f"links of {sorted(found)} were restored, not of mote-1")
    if not any("mote-1 (up to " in note for note in run.report.get("notes", ())):
        wrong.append(f"the report's notes are {run.report.get('notes')}")
    return wrong


SCENARIOS = (
    _named(
        "agent-stopped",
        "An agent that a signal has stopped ends the run with its name",
        freeze_agent,
        r"the agent container \S+--agent is frozen: its process was stopped by a signal",
    ),
    _named(
        "agent-paused",
        "An agent that is paused ends the run with its name",
        pause_agent,
        r"the agent container \S+--agent is frozen: it was paused",
        soak=True,
    ),
    _named(
        "state-deleted",
        "A state folder that somebody deletes ends the run with its name",
        delete_state,
        r"/var/lib/fedsim/\S+ has been deleted",
    ),
    _named(
        "journal-truncated",
        "A journal that somebody cuts off ends the run with its name",
        truncate_journal,
        r"the run's journal \S+ has been truncated",
        soak=True,
        noticed_s=NOTICED_S,
    ),
    Scenario(
        "rules-flushed",
        "A link that somebody else changes is put back, and the report says so",
        Start(rounds=60),
        (Step(round_ends(2), flush_links("mote-1")),),
        Outcome(
            0, within_s=120, says=("mote-1: its link was changed by somebody else",), finished=True, checks=(_restored,)
        ),
    ),
)
