"""Which Docker Engine the control node works with."""

from __future__ import annotations

DOCUMENTATION = r"""
name: docker_host
short_description: The address of the control node's Docker Engine
description:
  - Returns the address of the Engine that the command C(docker) would use, from E(DOCKER_HOST), E(DOCKER_CONTEXT), or
    the context in the user's configuration of Docker, without starting a program.
  - Fails if that Engine is not on this machine.
author: fedsim-runner (@fedsim-runner)
"""

EXAMPLES = r"""
- name: The images of this machine's Engine
  fedsim.testbed.fedsim_images_info:
    docker_host: "{{ lookup('fedsim.testbed.docker_host') }}"
"""

RETURN = r"""
_raw:
  description: The address, that of a unix socket.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.engine_address import find_engine
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import FedsimError


class LookupModule(LookupBase):
    """C(lookup('fedsim.testbed.docker_host'))."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        try:
            return [find_engine().url]
        except FedsimError as error:
            raise AnsibleError(str(error)) from error
