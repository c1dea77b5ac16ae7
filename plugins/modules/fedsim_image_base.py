#!/usr/bin/python
"""Pull the Debian image that the base image is built on, if a registry answers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_image_base
short_description: Pull the Debian image that the base image is built on
description:
  - Pulls the image if a registry answers; otherwise returns the reason in RV(reason). A credential helper that is
    missing or fails counts as no registry.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
attributes:
  check_mode:
    support: full
    details: Nothing is pulled; the result says whether the image is there already.
  diff_mode:
    support: none
    details: An image cannot be shown as text.
options:
  image:
    description: Reference of the image.
    type: str
    required: true
  platform:
    description: Architecture of the image.
    type: str
    required: true
  timeout:
    description: Seconds of silence after which the registry counts as not answering.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: A registry's Debian, if one answers
  fedsim.testbed.fedsim_image_base:
    image: debian:bookworm-slim
    platform: amd64
  register: base
"""

RETURN = r"""
present:
  description: Whether the Engine has the image now.
  returned: always
  type: bool
  sample: false
reason:
  description: Why it was not pulled.
  returned: when it was not pulled
  type: str
  sample: "lookup failed: no such host"
digest:
  description: The registry's digest of the image.
  returned: when the Engine has it and it came from a registry
  type: str
  sample: debian@sha256:0123...
"""

import warnings
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    APIError,
    DockerException,
    NotFound,
    RequestException,
    explain,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._module import DOCKER, Call, Module, run_module

ARGUMENTS: dict[str, Any] = {
    "image": {"type": "str", "required": True},
    "platform": {"type": "str", "required": True},
    "timeout": {"type": "int", "default": 20},
    **DOCKER,
}


def work(call: Call) -> dict[str, Any]:
    client = call.client
    name, arch = call.params["image"], call.params["platform"]
    found = _find_matching(client, name, arch)
    if found is not None or call.check:
        return {"changed": False, "present": found is not None, "digest": _read_digest(found), "reason": None}
    client.timeout = call.params["timeout"]
    reason = _pull(client, name, arch)
    found = _find_matching(client, name, arch)
    return {"changed": found is not None, "present": found is not None, "digest": _read_digest(found), "reason": reason}


def _pull(client: Any, name: str, arch: str) -> str | None:
    """Pull the image; return why that failed, or None."""
    repository, tag = _split(name)
    reason: str | None = None
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # the SDK's about a missing credential helper: the reason says it
            for message in client.pull(repository, tag=tag, platform=f"linux/{arch}", stream=True, decode=True):
                reason = message.get("error", reason)
    except (APIError, RequestException, OSError) as error:
        reason = explain(error)
    except (DockerException, RuntimeError, ValueError) as error:
        # A credential helper that is missing or fails, whichever error the SDK raises: as good as no registry.
        reason = f"the credentials for the registry cannot be read: {explain(error)}"
    return reason


def _split(name: str) -> tuple[str, str | None]:
    """Repository and tag; a colon before the last slash is a port, and a digest stays part of the repository."""
    head, slash, last = name.rpartition("/")
    if "@" in last:
        return name, None
    repository, colon, tag = last.partition(":")
    return head + slash + repository, tag if colon else "latest"


def _find_matching(client: Any, name: str, arch: str) -> dict[str, Any] | None:
    try:
        image = dict(client.inspect_image(name))
    except NotFound:
        return None
    return image if image.get("Architecture") == arch else None


def _read_digest(image: dict[str, Any] | None) -> str | None:
    digests = (image or {}).get("RepoDigests") or []
    return digests[0] if digests else None


MODULE = Module(ARGUMENTS, work, engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
