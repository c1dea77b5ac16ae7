"""The lab host's Docker Engine: connecting with errors that say how to mend it, and the few calls modules share."""

from __future__ import annotations

import re
import shutil
import traceback
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError

try:
    import docker
    from docker.errors import APIError, DockerException, NotFound
    from requests.exceptions import RequestException

    SDK_ERROR = None
except ImportError:
    docker = None
    APIError = DockerException = NotFound = RequestException = OSError
    SDK_ERROR = traceback.format_exc()

MINIMUM_API = (1, 41)
MINIMUM_ENGINE = "20.10"
#: Seconds an Engine under load may take for one call; creating 100 containers makes single calls wait.
TIMEOUT_S = 120


#: Where an Engine's daemon may lie; a module's PATH often has no sbin.
DAEMON_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class EngineError(FedsimError):
    """The Engine cannot be used; the text says why and what to do."""

    exit = Exit.LAB

    def __init__(self, what: str, fix: str = "", *, by_role: bool = False) -> None:
        """``by_role``: role lab_host can mend it."""
        super().__init__(what, hint=fix)
        self.by_role = by_role


def connect(docker_host: str, timeout: int = TIMEOUT_S) -> Any:
    """A low-level client that speaks the newest API both sides know.

    Raises:
        EngineError: no SDK, no Engine, no permission, or an Engine that is too old or too new for the SDK.
    """
    if docker is None:
        raise EngineError(
            "the Python that Ansible uses on this lab host has no Docker SDK",
            "install python3-docker (Debian, Ubuntu) or `pip install docker` into it",
            by_role=True,
        )
    try:
        client = docker.APIClient(base_url=docker_host, version="auto", timeout=timeout)
    except Exception as error:
        raise _why_no_engine(error, docker_host) from error
    spoken = tuple(int(part) for part in client.api_version.split("."))
    if spoken < MINIMUM_API:
        client.close()
        raise EngineError(
            f"the Docker Engine at {docker_host} speaks API {client.api_version} at most",
            f"fedsim needs Engine {MINIMUM_ENGINE} (API 1.41) or newer",
        )
    return client


def explain(error: BaseException) -> str:
    """An exception in one line, the Engine's own explanation where there is one."""
    explanation = getattr(error, "explanation", None)
    if explanation:
        return str(explanation.decode() if isinstance(explanation, bytes) else explanation)
    text = str(error).strip()
    return text or type(error).__name__


def find_daemon() -> str | None:
    """Path of an installed dockerd, whether it runs or not."""
    return shutil.which("dockerd", path=DAEMON_PATH)


def _why_no_engine(error: BaseException, docker_host: str) -> EngineError:
    text = str(error)
    if "Not supported URL scheme http+docker" in text:
        return EngineError(
            "this Docker SDK is too old for the installed `requests`",
            "install docker 7.1 or newer (`pip install 'docker>=7.1'`)",
        )
    if "is too old" in text or "is too new" in text:
        return EngineError(f"Docker SDK and Engine share no API version ({text})", "update the older of the two")
    if "PermissionError" in text or "Permission denied" in text:
        return EngineError(f"no permission to use {docker_host}", "run as root, or as a member of group docker")
    # What the system said is the innermost of several exceptions in one text.
    system = re.search(r"Error\(\d+, '([^']+)'", text)
    return EngineError(
        f"no Docker Engine answers at {docker_host} ({system[1] if system else text})",
        "start it (`systemctl start docker`) or install one; on Debian and Ubuntu a run does so by itself",
        by_role=True,
    )


def list_containers(client: Any, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
    """All containers, running or not, in one call."""
    return list(client.containers(all=True, filters=filters))


def inspect_or_none(client: Any, name: str) -> dict[str, Any] | None:
    try:
        return dict(client.inspect_container(name))
    except NotFound:
        return None


def run_in(client: Any, container: str, command: list[str]) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command in a running container."""
    created = client.exec_create(container, command, stdout=True, stderr=True)
    out, err = client.exec_start(created["Id"], demux=True)
    status = client.exec_inspect(created["Id"])["ExitCode"]
    return (
        int(status if status is not None else -1),
        (out or b"").decode(errors="replace"),
        (err or b"").decode(errors="replace"),
    )


def last_lines(client: Any, container: str, lines: int = 5) -> str:
    """The end of a container's log, for a message."""
    try:
        text = client.logs(container, stdout=True, stderr=True, tail=lines).decode(errors="replace").strip()
    except (APIError, RequestException) as error:
        return f"its log cannot be read ({explain(error)})"
    return text or "it logged nothing"
