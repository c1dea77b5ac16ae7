#!/usr/bin/python
"""Images as a file, to ship them from the lab host that built them to the others."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.atomic import replacing
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    DOCKER_ARGUMENTS,
    APIError,
    RequestException,
    connect_or_fail,
    explain,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._image_build import own_images

DOCUMENTATION = r"""
module: fedsim_image_archive
short_description: Images saved to and loaded from a file
description:
  - Writes images of one lab host into a file, layers shared by them once, or loads them from such a file on another.
author: fedsim-runner (@fedsim-runner)
requirements: ["Docker SDK for Python", "Docker Engine 20.10 or newer"]
attributes:
  check_mode:
    support: full
    description: Nothing is written or loaded, the answer says what would be.
  diff_mode:
    support: none
    description: The file is binary.
options:
  state:
    description: Whether the file is written (V(saved)) or read (V(loaded)).
    type: str
    choices: [saved, loaded]
    required: true
  path:
    description: The file.
    type: path
    required: true
  refs:
    description: References of the images.
    type: list
    elements: str
    required: true
  docker_host:
    description: Where the Engine listens.
    type: str
    default: unix:///var/run/docker.sock
"""

EXAMPLES = r"""
- name: Load the images that another lab host built
  fedsim.testbed.fedsim_image_archive:
    state: loaded
    path: /var/tmp/fedsim-images.tar
    refs: ["fedsim/base:0123456789abcdef"]
"""

RETURN = r"""
ids:
  description: Ids of the images on this lab host afterwards.
  returned: when not in check mode
  type: dict
  sample: {"fedsim/base:0123456789abcdef": "sha256:..."}
"""

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["saved", "loaded"], "required": True},
    "path": {"type": "path", "required": True},
    "refs": {"type": "list", "elements": "str", "required": True},
    **DOCKER_ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    client = connect_or_fail(module)
    client.timeout = None  # hundreds of megabytes, at the disk's speed
    refs, path = module.params["refs"], Path(module.params["path"])
    try:
        there = own_images(client)
        absent = [ref for ref in refs if ref not in there]
        if module.params["state"] == "saved":
            if absent:
                module.fail_json(msg=f"not on this lab host: {', '.join(absent)}: run the images role again")
            changed = bool(refs)
            if changed and not module.check_mode:
                _save(client, refs, path)
        else:
            changed = bool(absent)
            if changed and not module.check_mode:
                with path.open("rb") as archive:
                    for _message in client.load_image(archive):
                        pass
                there = own_images(client)
                absent = [ref for ref in refs if ref not in there]
                if absent:
                    module.fail_json(msg=f"{path} does not hold {', '.join(absent)}")
    except (APIError, RequestException, OSError) as error:
        module.fail_json(msg=f"images were not {module.params['state']}: {explain(error)}")
    ids = {ref: there[ref]["id"] for ref in refs if ref in there}
    module.exit_json(changed=changed, ids=ids)


def _save(client: Any, refs: list[str], path: Path) -> None:
    """Whole or not at all."""
    with (
        replacing(path) as draft,
        draft.open("wb") as archive,
        contextlib.closing(_save_stream(client, refs)) as stream,
    ):
        for chunk in stream.stream(1 << 20, decode_content=False):
            archive.write(chunk)


def _save_stream(client: Any, refs: list[str]) -> Any:
    # The SDK's get_image takes one name; the Engine's call takes several and then stores shared layers once.
    answer = client._get(client._url("/images/get"), params={"names": refs}, stream=True)
    client._raise_for_status(answer)
    return answer.raw


if __name__ == "__main__":
    main()
