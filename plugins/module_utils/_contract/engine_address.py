"""Which Docker Engine the control node works with: the one that ``docker`` itself would use.

In this order: ``DOCKER_HOST``, the context that ``DOCKER_CONTEXT`` or else the user's ``config.json`` names, the
default socket. Containers mount folders of the lab host, and the agent the Engine's socket, so the Engine of the
control node must listen on a unix socket there; any other address is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .errors import Exit, FedsimError
from .paths import StateFolder

DEFAULT_ENGINE: Final = "unix:///var/run/docker.sock"
UNIX: Final = "unix://"
#: What helps a user whose settings of Docker name another Engine.
TAKE_DEFAULT: Final = "unset DOCKER_HOST and run `docker context use default`"


class EngineAddressError(FedsimError):
    """The Engine's address cannot be used, or is not known; the text names it and says what helps."""

    exit = Exit.LAB


@dataclass(frozen=True)
class EngineAddress:
    """Where the Engine listens.

    Attributes:
        url: for example ``unix:///var/run/docker.sock``.
        source: what says so: ``DOCKER_HOST`` or a context; empty for the default.
    """

    url: str
    source: str = ""


def find_engine(environment: Mapping[str, str] | None = None) -> EngineAddress:
    """Return the address of the control node's Engine.

    Args:
        environment: variables to look at; this process's if left out.

    Raises:
        EngineAddressError: it is not on this machine, or its context is not known.
    """
    address = _find(os.environ if environment is None else environment)
    try:
        socket_path(address.url)
    except EngineAddressError as error:
        raise EngineAddressError(f"{error.message}, as {address.source} says", hint=error.hint) from error
    return address


def settings_file(environment: Mapping[str, str] | None = None) -> Path:
    """Return the file with the user's settings of Docker, which need not exist; ``environment`` as for find_engine."""
    return _configuration_folder(os.environ if environment is None else environment) / "config.json"


def socket_path(url: str) -> str:
    """Return the path of the Engine's socket.

    Raises:
        EngineAddressError: the address is not that of a unix socket.
    """
    path = url.removeprefix(UNIX)
    if path == url or not path.startswith("/"):
        raise EngineAddressError(
            f"the Docker Engine is {url}, but fedsim-runner works with an Engine on the same machine, over its unix "
            "socket",
            hint=f"{TAKE_DEFAULT}, which takes {DEFAULT_ENGINE}; for an Engine on another machine, run "
            "fedsim-provision there",
        )
    return path


def is_same_engine(one: str, other: str) -> bool:
    """Whether two addresses lead to the same socket: /var/run is a link to /run on most machines."""
    return os.path.realpath(socket_path(one)) == os.path.realpath(socket_path(other))


def read_engine_of(state: StateFolder) -> str | None:
    """Return the address of the Engine that carries a run; None if its state folder does not say."""
    try:
        url = state.engine.read_text(encoding="utf-8").strip()
        socket_path(url)
    except (OSError, ValueError, EngineAddressError):
        return None
    return url


def check_engine_of(state: StateFolder, url: str) -> None:
    """Check that a run is not on another Engine of this machine than the one at ``url``.

    Raises:
        EngineAddressError: it is; nothing of it would be found, and its state folder must stay.
    """
    recorded = read_engine_of(state)
    if recorded is not None and not is_same_engine(recorded, url):
        raise EngineAddressError(
            f"run {state.path.name} is on the Docker Engine at {recorded}, and this command works with that at {url}",
            hint=f"give the command the same Engine: DOCKER_HOST={recorded}",
        )


def _find(environment: Mapping[str, str]) -> EngineAddress:
    if variable := environment.get("DOCKER_HOST", "").strip():
        return EngineAddress(variable, "DOCKER_HOST")
    folder = _configuration_folder(environment)
    source = "DOCKER_CONTEXT"
    name = environment.get(source, "").strip()
    if not name:
        source = str(settings_file(environment))
        name = str(_read(settings_file(environment)).get("currentContext") or "")
    if name in ("", "default"):
        return EngineAddress(DEFAULT_ENGINE)
    # The folder of a context has the digest of its name, see docker/cli cli/context/store.
    meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    endpoints = _read(meta).get("Endpoints")
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = endpoint.get("Host") if isinstance(endpoint, dict) else None
    if not isinstance(host, str) or not host:
        raise EngineAddressError(
            f"{source} names the Docker context {name}, which has no address in {meta}",
            hint="`docker context ls` shows those that there are; `docker context use default` takes this machine's "
            "Engine",
        )
    return EngineAddress(host, f"Docker context {name} ({source})")


def _configuration_folder(environment: Mapping[str, str]) -> Path:
    if folder := environment.get("DOCKER_CONFIG"):
        return Path(folder)
    if home := environment.get("HOME"):
        return Path(home) / ".docker"
    try:
        return Path.home() / ".docker"
    except RuntimeError:  # a user without a home folder has no settings
        return Path("/") / ".docker"


def _read(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is none, as ``docker`` then uses its defaults."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
