#!/usr/bin/python
"""Fail if the course of a run failed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_verdict
short_description: Fail if the course failed
description:
  - The last step of a run. Fails with the course's reason, the device's name and its last lines.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
attributes:
  check_mode:
    support: full
    details: The module changes nothing; in check mode it succeeds without an outcome.
  diff_mode:
    support: none
    details: There is nothing to compare.
options:
  outcome:
    description:
      - How the course ended, as M(fedsim.testbed.fedsim_course) returns it. Empty if it was never followed to its end.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Verdict
  fedsim.testbed.fedsim_verdict:
    outcome: "{{ course_outcome }}"
"""

RETURN = r"""
fedsim_exit_code:
  description: Exit code of fedsim-provision for this failure.
  returned: failure
  type: int
  sample: 5
"""

from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit
from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, FailedError, Module, run_module

ARGUMENTS: dict[str, Any] = {"outcome": {"type": "dict", "default": {}}}


def work(call: Call) -> dict[str, Any]:
    outcome = call.params["outcome"]
    if outcome.get("status") == "finished":
        return {"changed": False, "msg": "the course finished"}
    if not outcome and call.check:
        return {"changed": False, "msg": "no course was run in check mode"}
    if not outcome:
        raise FailedError("the course was not followed to its end", fedsim_exit_code=Exit.COURSE)
    device = f"device {outcome['device']}: " if outcome.get("device") else ""
    last_lines = "".join(f"\n  {line}" for line in outcome.get("last_lines") or [])
    raise FailedError(f"the course failed: {device}{outcome.get('reason')}{last_lines}", fedsim_exit_code=Exit.COURSE)


MODULE = Module(ARGUMENTS, work)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
