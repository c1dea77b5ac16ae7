#!/usr/bin/python
"""Write the report of a run on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_report
short_description: Write the report of a run
description:
  - Runs on the control node with the Python that runs Ansible. Writes C(report.json), its tables and
    C(report.html) from what was collected into the run folder, also for a course that failed.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
requirements: ["fedsim-runner"]
attributes:
  check_mode:
    support: partial
    details: Nothing is written; whether the files would differ is not determined.
  diff_mode:
    support: none
    details: The report is not shown as a diff.
options:
  run_dir:
    description: The run folder.
    type: path
    required: true
  inventory_dir:
    description: Folder of the inventory that the run was made from, for runs whose run folder has none.
    type: path
  outcome:
    description:
      - How the course ended, as M(fedsim.testbed.fedsim_course) returns it, for what the journal cannot record.
        If empty, the journal decides.
    type: dict
    default: {}
  page:
    description: Write C(report.html). The run does not fail if that is impossible.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Report
  fedsim.testbed.fedsim_report:
    run_dir: runs/quickstart
  delegate_to: localhost
"""

RETURN = r"""
report:
  description: Content of C(report.json) without its largest part, the rounds of each device.
  returned: success
  type: dict
  sample: {"status": "finished", "final": {"test_acc": 0.91}}
problem:
  description: Why there is no C(report.html); null if there is one.
  returned: success
  type: str
"""

import traceback
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, FailedError, Module, run_module

try:
    from fedsim_runner.contract.paths import REPORT
    from fedsim_runner.contract.plain_folder import require_plain
    from fedsim_runner.results import write_report
    from fedsim_runner.results.page import PAGE, try_publish
    from fedsim_runner.results.report_files import TABLES

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()


ARGUMENTS: dict[str, Any] = {
    "run_dir": {"type": "path", "required": True},
    "inventory_dir": {"type": "path"},
    "outcome": {"type": "dict", "default": {}},
    "page": {"type": "bool", "default": True},
}


def read_outputs(run_dir: Path) -> dict[str, bytes | None]:
    names = (REPORT, *TABLES, PAGE)
    return {name: (run_dir / name).read_bytes() if (run_dir / name).exists() else None for name in names}


def work(call: Call) -> dict[str, Any]:
    if call.check:
        return {"changed": False, "report": {}, "problem": None}
    run_dir = Path(call.params["run_dir"])
    inventory_dir, outcome = call.params["inventory_dir"], call.params["outcome"]
    try:
        require_plain(run_dir)
        before = read_outputs(run_dir)
        report = write_report(
            run_dir,
            status=outcome.get("status"),
            reason=outcome.get("reason"),
            inventory_dir=Path(inventory_dir) if inventory_dir else None,
        )
    except (OSError, ValueError, KeyError) as error:
        raise FailedError(f"cannot write the report of {run_dir}: {type(error).__name__}: {error}") from error
    problem = try_publish(run_dir, report) if call.params["page"] else None
    if problem:
        call.warn(problem)
    returned = {key: value for key, value in report.items() if key != "device_rounds"}
    return {"changed": read_outputs(run_dir) != before, "report": returned, "problem": problem}


MODULE = Module(ARGUMENTS, work, import_error=IMPORT_ERROR)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
