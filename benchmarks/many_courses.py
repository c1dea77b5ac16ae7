"""Many FederatedScope courses of one server and two clients in a row: how many finish, fail, hang.

    python -m benchmarks.many_courses [COURSES]

The testbed is the real one, without limits and links. A course counts as hung if its silence timeout had to end it.
"""

from __future__ import annotations

import collections
import json
import statistics
import sys
import tempfile
from pathlib import Path

from fedsim_runner.contract.paths import REPORT

from .installation import this_installation
from .tables import print_table
from .torch_courses import write_unlimited_course

CLIENTS = 2
ROUNDS = 3


def main() -> None:
    """Print one table."""
    courses = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    outcomes: collections.Counter[str] = collections.Counter()
    seconds = []
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        spec = write_unlimited_course(folder, "bench-courses", CLIENTS, ROUNDS, model="lr")
        spec.write_text(spec.read_text(encoding="utf-8").replace("silence_timeout: 600", "silence_timeout: 60"))
        for number in range(1, courses + 1):
            code = this_installation().start([str(spec), "--run", f"course-{number}"], folder).finish()
            path = folder / "runs" / f"course-{number}" / REPORT
            report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"status": "no report"}
            hung = "silent" in str(report.get("reason")) or "longer than" in str(report.get("reason"))
            outcome = "hung" if hung else str(report["status"])
            outcomes[outcome] += 1
            if outcome == "finished":
                seconds.append(float(report["duration_s"]))
            else:
                print(f"course {number}: {outcome}, exit code {code}: {report.get('reason')}", flush=True)
    rows = [
        ("courses", courses),
        *sorted(outcomes.items()),
        ("hung", outcomes["hung"]),
        ("course, s: median", statistics.median(seconds)),
        ("course, s: longest", max(seconds)),
    ]
    print_table(f"{courses} courses of 1 + {CLIENTS}, digits, lr, {ROUNDS} rounds", ("figure", "value"), rows)


if __name__ == "__main__":
    main()
