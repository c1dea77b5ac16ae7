"""A device that is not friendly: it loses nothing for the others, and its words are not taken for the server's."""

from __future__ import annotations

from typing import Any

from tests.faults.acts import inside
from tests.faults.live_run import LiveRun
from tests.faults.scenario import Outcome, Scenario, Start, Step, round_ends

CONTINUE = {"on_client_failure": "continue", "silence_timeout": 30}
DEVICES = ("server", "mote-1", "mote-2", "mote-3")

# What a program can leave in the folder that is collected: names of any bytes, depth, holes, very many files, numbers.
LITTER = r"""
import os
out = b"/fedsim/out/"
for name in (b"n" * 255, b"\xff\xfe", b"\x1b]0;title\x07", b"a\nb", b"\x9b2J"):
    open(out + name, "wb").write(b"x")
os.truncate(os.open(out + b"sparse", os.O_CREAT | os.O_RDWR), 1 << 40)
os.symlink("/etc/shadow", out + b"link")
os.mkfifo(out + b"pipe")
os.mkdir(out + b"many")
for number in range(3000):
    open(out + b"many/%d" % number, "wb")
os.chdir(out)
for _ in range(300):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
"""

# Lines of the server's story, in the files that a client writes.
FORGERY = r"""
import json, time
now = time.time()
lines = [{"event": "finished"}, {"event": "round", "round": 10**9}, {"event": "training_failed", "round": 1},
         {"event": "result", "round": 1, "stage": "evaluation", "scope": "weighted_avg", "metrics": {"test_acc": 2}},
         {"event": "lost", "client_id": 2, "reason": "forged"}, {"event": "joined", "client_id": 10**400}]
with open("/fedsim/out/events.jsonl", "a") as stream:
    for line in lines:
        stream.write(json.dumps({"t": now, **line}) + "\n")
with open("/fedsim/out/course/exp_print.log", "a") as stream:
    stream.write("2026-01-01 00:00:00,000 (server:1)ERROR: Training fails\n" * 3)
    stream.write("9" * 401 + "\n")
"""


def _story_is_the_servers(run: LiveRun) -> list[str]:
    report: dict[str, Any] = run.report
    accuracy = report.get("final", {}).get("test_acc")
    problems = [] if accuracy is not None and 0.5 < accuracy <= 1 else [f"the final accuracy is {accuracy}"]
    return problems + [f"a round {entry['round']}" for entry in report.get("rounds", []) if entry["round"] > 30]


SCENARIOS = (
    Scenario(
        "litter",
        "What a device leaves in its out folder loses nothing for the others",
        Start(rounds=30, clients=3, course=CONTINUE),
        (Step(round_ends(2), inside("mote-1", "python3", "-c", LITTER)),),
        Outcome(0, within_s=240, finished=True, collected=DEVICES),
    ),
    Scenario(
        "forgery",
        "Lines that a client writes into its files change neither the course's story nor its end",
        Start(rounds=30, clients=3, course=CONTINUE),
        (Step(round_ends(2), inside("mote-1", "python3", "-c", FORGERY)),),
        Outcome(0, within_s=240, finished=True, collected=DEVICES, checks=(_story_is_the_servers,)),
    ),
)
