"""Who runs Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: user_id
short_description: The numeric id of the user who runs Ansible
description:
  - Returns the effective user id of Ansible's own process on the control node, without starting a program.
author: fedsim-runner (@fedsim-runner)
"""

EXAMPLES = r"""
- name: Become root only if Ansible does not run as root
  ansible.builtin.command: tc qdisc show
  become: "{{ lookup('fedsim.testbed.user_id') != 0 }}"
"""

RETURN = r"""
_raw:
  description: The id; 0 is root.
  type: list
  elements: int
"""

import os
from typing import Any

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """C(lookup('fedsim.testbed.user_id'))."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[int]:
        return [os.geteuid()]
