#!/usr/bin/python
"""Have a machine's kernel run programs of other architectures."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_emulation
short_description: Have the kernel run programs of other architectures with qemu-user
description:
  - Registers qemu-user with the kernel (binfmt_misc) for each of the architectures that is not registered yet, in such
    a way that it runs in containers whose image does not have it. The entry lasts until the machine is started again,
    when systemd makes it again.
  - Programs of the machine's own architecture need nothing.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The architectures whose programs run, before and after.
options:
  architectures:
    description: Architectures in Docker's names.
    type: list
    elements: str
    choices: [amd64, arm64]
    required: true
  install_first:
    description: Do not fail without qemu-user, but return that RV(installed) is false.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Run programs for arm64
  fedsim.testbed.fedsim_emulation:
    architectures: [arm64]
"""

RETURN = r"""
installed:
  description: Whether all that was to be registered is registered, or could be.
  returned: always
  type: bool
foreign:
  description: Those of the architectures that are not the machine's own.
  returned: always
  type: list
  elements: str
registered:
  description: The architectures that were registered by this call; in check mode, those that would be.
  returned: always
  type: list
  elements: str
"""

import platform
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.emulation import (
    PACKAGE,
    find_interpreter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.host_capacity import architecture
from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, FailedError, Module, run_module
from ansible_collections.fedsim.testbed.plugins.module_utils._qemu_user import (
    find_registration,
    mount_registry,
    register,
)

ARGUMENTS: dict[str, Any] = {
    "architectures": {"type": "list", "elements": "str", "choices": ["amd64", "arm64"], "required": True},
    "install_first": {"type": "bool", "default": False},
}


def work(call: Call) -> dict[str, Any]:
    own = architecture(platform.machine())
    wanted = [arch for arch in call.params["architectures"] if arch != own]
    mounted = False
    if wanted and not call.check:
        try:
            mounted = mount_registry()
        except OSError as error:
            raise FailedError(refusal(wanted, error), fedsim_exit_code=Exit.LAB) from error
    lacking = [arch for arch in wanted if find_interpreter(arch) is None]
    lines = {arch: find_registration(arch) for arch in lacking}
    found = {arch: line for arch, line in lines.items() if line is not None}
    without = [arch for arch in lacking if arch not in found]
    if without and not call.params["install_first"] and not call.check:
        raise FailedError(
            f"qemu-user, which runs programs for {', '.join(without)} here, is not installed: `apt-get install "
            f"{PACKAGE}` (Debian and Ubuntu); elsewhere install qemu-user with its entry for binfmt_misc",
            fedsim_exit_code=Exit.LAB,
        )
    if not call.check:
        for arch, line in found.items():
            try:
                register(line)
            except OSError as error:
                raise FailedError(refusal([arch], error), fedsim_exit_code=Exit.LAB) from error
            if find_interpreter(arch) is None:
                raise FailedError(
                    "binfmt_misc is switched off on this machine: `echo 1 >/proc/sys/fs/binfmt_misc/status`",
                    fedsim_exit_code=Exit.LAB,
                )
    before = [arch for arch in wanted if arch not in lacking]
    return {
        "changed": mounted or bool(found),
        "installed": not without,
        "foreign": wanted,
        "registered": list(found),
        "diff": {"before": "".join(f"{arch}\n" for arch in before), "after": "".join(f"{arch}\n" for arch in wanted)},
    }


def refusal(architectures: list[str], error: OSError) -> str:
    return (
        f"the kernel does not take qemu-user for {', '.join(architectures)} programs ({error.strerror or error}): it "
        "needs binfmt_misc (CONFIG_BINFMT_MISC), and root"
    )


MODULE = Module(ARGUMENTS, work)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
