#!/usr/bin/python
"""Push images to a registry, or pull them from it, where a lab names one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_image_registry
short_description: Push images to a registry that all lab hosts reach, or pull them from it
description:
  - An alternative to M(fedsim.testbed.fedsim_image_shipment) for labs with a registry of their own.
  - Credentials are those of the lab host's own C(docker login), of the user as whom the module runs.
  - What is pulled is named by the digest that the registry gave when it was pushed, so nothing else can be in its
    place. The images have the same references as without a registry, and no others.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
attributes:
  check_mode:
    support: full
    details: Nothing is pushed or pulled; the result says whether something would be.
  diff_mode:
    support: none
    details: Images cannot be shown as text.
options:
  state:
    description: Whether the images are sent to the registry or fetched from it.
    type: str
    choices: [pushed, pulled]
    required: true
  registry:
    description: The registry, with a path if images are below one, as C(registry.example:5000/team).
    type: str
    required: true
  refs:
    description: References of the images.
    type: list
    elements: str
    required: true
  digests:
    description: For O(state=pulled), what RV(digests) was when they were pushed.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Push the images that other lab hosts lack
  fedsim.testbed.fedsim_image_registry:
    state: pushed
    registry: registry.example:5000
    refs: ["fedsim/base:0123456789abcdef"]
"""

RETURN = r"""
digests:
  description: The registry's digest of each image.
  returned: when pushed, not in check mode
  type: dict
  sample: {"fedsim/base:0123456789abcdef": "sha256:0123..."}
"""

import warnings
from collections.abc import Iterable
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    APIError,
    DockerException,
    RequestException,
    explain,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._image_build import list_own_images
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    DOCKER,
    Call,
    FailedError,
    Module,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["pushed", "pulled"], "required": True},
    "registry": {"type": "str", "required": True},
    "refs": {"type": "list", "elements": "str", "required": True},
    "digests": {"type": "dict", "default": {}},
    **DOCKER,
}
#: Seconds for which a registry may say nothing.
SILENT_S = 300


def work(call: Call) -> dict[str, Any]:
    client, registry = call.client, call.params["registry"].rstrip("/")
    if "://" in registry:
        raise FailedError(f"fedsim_registry is {registry}: name it without a scheme, as registry.example:5000")
    client.timeout = SILENT_S
    present = list_own_images(client)
    refs = [ref for ref in call.params["refs"] if (ref in present) == (call.params["state"] == "pushed")]
    if call.check:
        return {"changed": bool(refs)}
    if call.params["state"] == "pushed":
        return {"changed": bool(refs), "digests": {ref: _push(client, registry, ref) for ref in refs}}
    for ref in refs:
        _pull(client, registry, ref, call.params["digests"][ref])
    return {"changed": bool(refs)}


def _push(client: Any, registry: str, ref: str) -> str:
    repository, _, tag = f"{registry}/{ref}".rpartition(":")
    client.tag(ref, repository, tag)
    try:
        said = _talk(client.push, registry, f"{ref} was not pushed", repository, tag=tag, stream=True, decode=True)
    finally:
        client.remove_image(f"{repository}:{tag}", noprune=True)
    digest = next((item["aux"]["Digest"] for item in said if "Digest" in (item.get("aux") or {})), None)
    if digest is None:
        raise FailedError(f"{registry} has not confirmed {ref}")
    return str(digest)


def _pull(client: Any, registry: str, ref: str, digest: str) -> None:
    name, _, tag = ref.rpartition(":")
    source = f"{registry}/{name}@{digest}"
    _talk(client.pull, registry, f"{ref} was not pulled", source, stream=True, decode=True)
    client.tag(source, name, tag)
    client.remove_image(source, noprune=True)


def _talk(call: Any, registry: str, what: str, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
    """Return what the Engine says while it talks to a registry.

    Raises:
        FailedError: that failed.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about a missing credential helper: the error says it
            said = list(_items(call(*arguments, **options)))
    except (APIError, RequestException, OSError) as error:
        reason = explain(error)
    except (DockerException, RuntimeError, ValueError) as error:
        reason = f"the credentials for the registry cannot be read: {explain(error)}"
    else:
        errors = [str(item["error"]) for item in said if "error" in item]
        if not errors:
            return said
        reason = errors[0]
    raise FailedError(
        f"{what} at {registry}: {reason}. The lab host must reach the registry; if it asks for credentials, "
        "`docker login` on the lab host, as root"
    )


def _items(said: Iterable[Any]) -> Iterable[dict[str, Any]]:
    return (item for item in said if isinstance(item, dict))


MODULE = Module(ARGUMENTS, work, "the registry was not used", engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
