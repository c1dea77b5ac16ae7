"""A device that writes: it loses nothing for the others, and what it may use of the disk has an end."""

from __future__ import annotations

from typing import Any

from tests.faults.acts import inside
from tests.faults.live_run import LiveRun
from tests.faults.scenario import Outcome, Scenario, Start, Step, round_ends

CONTINUE = {"on_client_failure": "continue", "silence_timeout": 30}
DEVICES = ("server", "mote-1", "mote-2", "mote-3")
REASON = r"^disk: its files take more than its limit of 32\.0 MB \(disk_mb\)$"

FILL = """
with open("/fedsim/out/big", "wb") as stream:
    while True: stream.write(bytes(1 << 20))
"""

# A file that nobody can find any more; it is there as long as the program is.
FILL_UNSEEN = """
import os, time
stream = open("/fedsim/out/gone", "wb")
os.unlink("/fedsim/out/gone")
for _ in range(200): stream.write(bytes(1 << 20))
stream.flush()
time.sleep(1000)
"""

# What a program can leave in the folder that is collected: names of any bytes, depth, holes, very many files, numbers.
LITTER = r"""
import os
out = b"/fedsim/out/"
for name in (b"n" * 255, b"\xff\xfe", b"\x1b]0;title\x07", b"a\nb", b"\x9b2J", b"c\xcc\x81" * 80):
    open(out + name, "wb").write(b"x")
for number in range(20):
    os.truncate(os.open(out + b"sparse-%d" % number, os.O_CREAT | os.O_RDWR), 200 << 20)
os.truncate(os.open(out + b"huge", os.O_CREAT | os.O_RDWR), 1 << 40)
os.symlink("/etc/shadow", out + b"link")
os.mkfifo(out + b"pipe")
os.mkdir(out + b"many")
for number in range(3000):
    open(out + b"many/%d" % number, "wb")
with open(out + b"course/activity.jsonl", "ab") as stream:
    for key in (b"t", b"round", b"peer", b"bytes"):
        stream.write(b'{"t": 1, "what": "train", "%s": %s}\n' % (key, b"9" * 401))
with open(out + b"course/exp_print.log", "ab") as stream:
    stream.write("\x1b]0;title\x07\x1b[2J\x9b31mevil\u202e [link=x]\n".encode() + b"9" * 401 + b"\n")
os.chdir(out)
for _ in range(300):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
"""
MOST_BYTES = 50 << 20


def limit_disk(spec: dict[str, Any]) -> None:
    """Give all devices little disk."""
    for kind in spec["device_types"].values():
        kind["disk_mb"] = 32


def _run_folder_is_small(run: LiveRun) -> list[str]:
    size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    return [] if size < MOST_BYTES else [f"the run folder has {size} bytes"]


def _litter_is_named(run: LiveRun) -> list[str]:
    notes = [note for note in run.report.get("notes", []) if note.startswith("not collected: collected/mote-1/")]
    shown = [text for text in (*notes, run.output) if not text.replace("\n", "").isprintable()]
    return ([] if notes else ["what was not collected is not named"]) + [
        f"cannot be printed: {text!r}" for text in shown
    ]


SCENARIOS = (
    Scenario(
        "litter",
        "What a device leaves in its out folder loses nothing for the others, and does not fill the control node",
        Start(rounds=40, clients=3, course=CONTINUE),
        (Step(round_ends(2), inside("mote-1", "python3", "-c", LITTER)),),
        Outcome(0, within_s=240, finished=True, collected=DEVICES, checks=(_run_folder_is_small, _litter_is_named)),
    ),
    Scenario(
        "disk-limit",
        "Clients that use more of the disk than they may, also in a file without a name, are lost",
        Start(rounds=150, clients=3, course=CONTINUE, edit=limit_disk),
        (
            Step(round_ends(2), inside("mote-1", "python3", "-c", FILL)),
            Step(round_ends(2), inside("mote-2", "python3", "-c", FILL_UNSEEN)),
        ),
        Outcome(
            0,
            within_s=240,
            noticed_s=10,
            lost={"mote-1": REASON, "mote-2": REASON},
            finished=True,
            collected=DEVICES,
            checks=(_run_folder_is_small,),
        ),
    ),
    Scenario(
        "disk-limit-abort",
        "A client that uses more of the disk than it may ends the course by default",
        Start(clients=3, edit=limit_disk),
        (Step(round_ends(2), inside("mote-2", "python3", "-c", FILL)),),
        Outcome(5, within_s=120, noticed_s=10, reason="disk: its files take more", blames="mote-2", collected=DEVICES),
        soak=True,
    ),
)
