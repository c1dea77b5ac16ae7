"""What is wrong with device files."""

from __future__ import annotations

DOCUMENTATION = r"""
name: device_file_mistakes
short_description: What is wrong with device files
description:
  - Reads device files on the control node and returns a sentence for each that cannot be used, with what helps; nothing
    if all can be used.
author: fedsim-runner (@fedsim-runner)
options:
  _terms:
    description: Lists of paths.
    type: list
    elements: list
    required: true
"""

EXAMPLES = r"""
- name: Check the device files
  ansible.builtin.assert:
    that: query('fedsim.testbed.device_file_mistakes', ['inventory/device_files/local.json']) | length == 0
"""

RETURN = r"""
_raw:
  description: The sentences.
  type: list
  elements: str
"""

from collections.abc import Iterable
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.device_file import (
    DeviceFileError,
    read_device_file,
)


class LookupModule(LookupBase):
    """C(query('fedsim.testbed.device_file_mistakes', paths))."""

    def run(self, terms: list[Iterable[Any]], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        return [mistake for paths in terms for path in paths if (mistake := _find_mistake(str(path)))]


def _find_mistake(path: str) -> str | None:
    try:
        read_device_file(path)
    except DeviceFileError as error:
        return str(error)
    return None
