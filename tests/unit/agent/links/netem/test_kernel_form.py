"""The kernel's own form of what is changed in place."""

from __future__ import annotations

import struct

from fedsim_runner.agent.kernel import netlink
from fedsim_runner.agent.links.netem import kernel_form

TCAMSG = 4  # bytes
ACTIONS, KIND, OPTIONS, POLICE = 1, 1, 2, 1


def test_a_policer_is_changed_by_the_number_of_its_interface() -> None:
    form = kernel_form.policer_change(2_000_000, 25_000, 65_536)
    for index in (7, 1234):
        request = form.at(index)
        assert (request.kind, request.flags) == (48, netlink.REPLACE)  # RTM_NEWACTION
        actions = dict(netlink.attributes(request.body[TCAMSG:]))[ACTIONS]
        action = dict(netlink.attributes(dict(netlink.attributes(actions))[1]))
        assert action[KIND] == b"police\0"
        police = dict(netlink.attributes(action[OPTIONS]))[POLICE]
        number, _, _, burst, longest = struct.unpack_from("=IiIII", police)
        assert (number, burst, longest) == (index, round(0.1 / 64e-9), 65_536)
