"""What is wrong with the end of a run, one sentence each; nothing, if it ended as it has to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from subprocess import TimeoutExpired

from .live_run import DOWN_S, LiveRun
from .scenario import UNSPEAKABLE, Outcome

COLLECTED = ("course/exp_print.log", "course/activity.jsonl", "console.log")


def ending(outcome: Outcome, run: LiveRun) -> Iterator[str]:
    """The exit code and what was printed."""
    right = outcome.exit if isinstance(outcome.exit, tuple) else (outcome.exit,)
    if run.exit_code not in right:
        yield f"exit code {run.exit_code} instead of {' or '.join(map(str, right))}"
    for pattern in outcome.says:
        if not run.found(pattern):
            yield f"it did not say {pattern!r}"
    for pattern in UNSPEAKABLE:
        if run.found(pattern):
            yield f"it said {pattern!r}"


def report(outcome: Outcome, run: LiveRun) -> Iterator[str]:
    """The report, and what was collected."""
    found = run.report
    status, reason, rounds = found.get("status"), str(found.get("reason")), len(found.get("rounds") or ())
    if outcome.reason and not (status == "failed" and re.search(outcome.reason, reason)):
        yield f"the report says {status!r} because of {reason!r} instead of {outcome.reason!r}"
    if any(re.search(pattern, reason) for pattern in UNSPEAKABLE):
        yield f"the report's reason is no sentence for people: {reason!r}"
    if outcome.finished and status != "finished":
        yield f"the report says {status!r} because of {reason!r} instead of 'finished'"
    if outcome.finished and rounds != found.get("total_rounds"):
        yield f"{rounds} of {found.get('total_rounds')} rounds are in the report"
    for device in outcome.collected:
        missing = [name for name in COLLECTED if not (run.folder / "collected" / device / name).exists()]
        if missing:
            yield f"not collected from {device}: {', '.join(missing)}"


def journal(outcome: Outcome, run: LiveRun) -> Iterator[str]:
    """Who was lost or blamed according to the journal, why and when."""
    lost = {event["device"]: event["reason"] for event in run.events("client_lost")}
    if set(lost) != set(outcome.lost):
        yield f"lost are {sorted(lost)} instead of {sorted(outcome.lost)}"
    for device, pattern in outcome.lost.items():
        if device in lost and not re.search(pattern, lost[device]):
            yield f"{device} is lost because of {lost[device]!r} instead of {pattern!r}"
    blamed = [event.get("device") for event in run.events("course_failed")]
    if outcome.blames and outcome.blames not in blamed:
        yield f"the course failed because of {blamed} instead of {outcome.blames}"
    if outcome.noticed_s is not None:
        after = [event["t"] - run.stepped for event in run.events("client_lost", "course_failed")]
        if not any(0 <= seconds <= outcome.noticed_s for seconds in after):
            yield f"noticed after {after} s instead of {outcome.noticed_s:g} s"


def remains(outcome: Outcome, run: LiveRun) -> Iterator[str]:
    """What is left on this machine, after ``down`` if that may be needed."""
    if outcome.removed_by_down:
        for _ in range(2):  # twice is safe
            try:
                down = run.call("down", run.run, seconds=DOWN_S)
            except TimeoutExpired:
                yield f"down did not end within {DOWN_S:g} s"
                break
            # A run that was killed before it made anything is known nowhere.
            if down.returncode != 0 and run.folder.exists():
                yield f"down ended with exit code {down.returncode}: {down.stdout}"
    elif folders := run.temporary_folders():
        yield f"temporary folders are left: {', '.join(folders)}"
    if left := run.left_over():
        yield f"left: {', '.join(left)}"
    if copies := run.copies_of_the_environment():
        yield f"the user's environment is left in {', '.join(copies)}"
