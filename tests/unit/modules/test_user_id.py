"""The lookup plugin that tells who runs Ansible."""

from __future__ import annotations

import os

from ansible_collections.fedsim.testbed.plugins.lookup.user_id import LookupModule


def test_it_is_the_user_of_this_process() -> None:
    assert LookupModule().run([]) == [os.geteuid()]
