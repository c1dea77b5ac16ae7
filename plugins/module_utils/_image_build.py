"""Building one image with the Engine's builder: a clear message when it fails, and no leftovers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_IMAGE,
    LABEL_IMAGE,
    LABEL_IMAGE_NAME,
    LABEL_IMAGE_PARENT,
    LABEL_KIND,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import APIError, NotFound, explain

#: Label of every stage of our Dockerfiles, which tells leftovers of a killed build from other people's images.
OUR_IMAGES = f"{LABEL_KIND}={KIND_IMAGE}"

#: Passed to the builder if set on the lab host: a base from a registry fetches Debian packages.
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
#: Lines of output repeated in a message about a failed step.
SHOWN_LINES = 8

_STEP = re.compile(r"^Step \d+/\d+ : ")
_MADE = re.compile(r"^ ---> ([0-9a-f]{12,64})\s*$")


class BuildFailedError(FedsimError):
    """An image could not be built; the text names the image and the Dockerfile's step, with its last output."""

    exit = Exit.PROVISIONING


def list_own_images(client: Any) -> dict[str, dict[str, Any]]:
    """Return our images on this Engine by reference: id, size in bytes, and the size beyond the parent's. One call."""
    listed = client.images(filters={"label": [OUR_IMAGES]})
    found: dict[str, dict[str, Any]] = {}
    for image in listed:
        labels = image.get("Labels") or {}
        for ref in image.get("RepoTags") or ():
            if LABEL_IMAGE in labels and ref.endswith(":" + labels[LABEL_IMAGE]):
                found[ref] = {
                    "id": image["Id"],
                    "size": image["Size"],
                    "parent": labels.get(LABEL_IMAGE_PARENT) or None,
                }
    for entry in found.values():
        entry["own"] = entry["size"] - found.get(entry["parent"], {"size": 0})["size"]
    return found


@contextlib.contextmanager
def lock_builder() -> Iterator[None]:
    """Wait until no other run builds here; it may be building the same images."""
    # Not the folder for temporary files, which each call of Ansible has for itself.
    folder = Path("/run/lock" if os.access("/run/lock", os.W_OK) else "/tmp")
    # Everybody can write to the folder: never follow a link that somebody else put there.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(folder / f"fedsim-images-{os.geteuid()}.lock", flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sweep(client: Any) -> list[str]:
    """Remove leftovers of a killed build: our untagged images and stopped build containers. Call under the lock."""
    removed = []
    for container in client.containers(all=True, filters={"label": [OUR_IMAGES], "status": ["exited", "created"]}):
        # A step's container uses an unnamed image; one with a named image is a user's, which inherited the labels.
        with contextlib.suppress(APIError):  # the builder itself may be removing it right now
            if not client.inspect_image(container["ImageID"]).get("RepoTags"):
                client.remove_container(container["Id"])
    for image in client.images(filters={"label": [OUR_IMAGES], "dangling": True}):
        if _remove(client, image["Id"]):
            removed.append(image["Id"])
    return removed


def build(
    client: Any, layer: dict[str, Any], context: IO[bytes], parent: str, network: str, platform: str | None
) -> str:
    """Build ``layer`` from its context archive and tag it. Returns the image's id.

    Its parent is on this Engine already, so no registry is asked, and ``client`` needs no credentials for one.

    Raises:
        BuildFailedError: a step failed, or the Engine refused.
    """
    log = _Log()
    try:
        stream = client.build(
            fileobj=context, custom_context=True, tag=layer["ref"], rm=True, forcerm=True, nocache=True,
            network_mode=network, buildargs={layer["parent_argument"]: parent, **_read_proxies(network)},
            labels={
                LABEL_KIND: KIND_IMAGE, LABEL_IMAGE: layer["key"], LABEL_IMAGE_NAME: layer["name"],
                LABEL_IMAGE_PARENT: layer["parent"] or "",
            },
            platform=platform, decode=True,
        )  # fmt: skip
        for message in stream:
            log.feed(message)
    except (APIError, OSError) as error:
        log.error = log.error or explain(error)
    finally:
        _remove_unused(client, log.made)
    if log.error is not None:
        raise BuildFailedError(log.message(layer["name"]))
    return str(client.inspect_image(layer["ref"])["Id"])


class _Log:
    """The builder's output: its current step, the intermediate images, the error."""

    def __init__(self) -> None:
        self.step = "before its first step"
        self.lines: list[str] = []
        self.made: list[str] = []
        self.error: str | None = None

    def feed(self, message: dict[str, Any]) -> None:
        if "error" in message:
            self.error = str(message["error"]).strip()
        for line in str(message.get("stream", "")).splitlines():
            made = _MADE.match(line)
            if _STEP.match(line):
                self.step, self.lines = line.strip(), []
            elif made:
                self.made.append(made[1])
            elif line.strip():
                self.lines.append(line.strip())

    def message(self, name: str) -> str:
        output = "".join(f"\n  {line}" for line in self.lines[-SHOWN_LINES:])
        return f"image {name} was not built: {self.step}: {self.error}" + (f"\nIts output:{output}" if output else "")


def _read_proxies(network: str) -> dict[str, str]:
    if network == "none":
        return {}
    return {name: os.environ[name] for name in PROXY_VARIABLES if os.environ.get(name)}


def _remove_unused(client: Any, made: list[str]) -> None:
    """Remove a build's intermediate images that no finished image needs."""
    for image in reversed(made):
        try:
            tags = client.inspect_image(image).get("RepoTags")
        except NotFound:
            continue
        if not tags:
            _remove(client, image)


def _remove(client: Any, image: str) -> bool:
    """Remove an image unless another image or a container needs it: the Engine then refuses, rightly."""
    try:
        client.remove_image(image)
    except APIError as error:
        if error.status_code in (404, 409):
            return False
        raise
    return True
