"""The lab host's Docker Engine: connecting with errors that say what helps, and the few calls that modules share."""

from __future__ import annotations

import re
import shutil
import time
import traceback
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.engine_address import (
    DEFAULT_ENGINE,
    TAKE_DEFAULT,
    EngineAddressError,
    is_same_engine,
    socket_path,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.exec_output import NoOutputError, read_output
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.log_text import shown
from ansible_collections.fedsim.testbed.plugins.module_utils._shipped_sdk import find_sdk

find_sdk()
try:
    import docker
    from docker.errors import APIError, DockerException, NotFound, create_api_error_from_http_exception
    from requests.exceptions import ConnectionError as LostError
    from requests.exceptions import HTTPError, RequestException
    from requests.exceptions import Timeout as SlowError

    SDK_ERROR = None
except ImportError:
    docker = None
    APIError = DockerException = NotFound = RequestException = LostError = SlowError = HTTPError = OSError
    SDK_ERROR = traceback.format_exc()

MINIMUM_API = (1, 41)
MINIMUM_ENGINE = "20.10"
#: Seconds an Engine under load may take for one call; while 100 containers are created, single calls wait.
TIMEOUT_S = 120
#: Seconds within which a container that is already being removed must be gone.
GONE_WITHIN_S = 60
#: Seconds within which an Engine that restarts is back, and between two looks.
BACK_WITHIN_S = 30
LOOK_AGAIN_S = 0.5
#: Seconds between the end of a command's output and its exit status.
EXIT_STATUS_WITHIN_S = 30

#: How the SDK's message begins if the Engine has not answered its first question.
ASKED_FOR_VERSION = "Error while fetching server API version"
#: Settings that name no credentials. They must not be empty, or the SDK reads the user's.
NO_CREDENTIALS = '{"auths": {"none.invalid": {}}}'

#: Where an Engine's daemon may be; a module's PATH often lacks sbin.
DAEMON_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class EngineError(FedsimError):
    """The Engine cannot be used; the text says why and what to do."""

    exit = Exit.LAB

    def __init__(self, what: str, hint: str = "", *, fixable_by_role: bool = False) -> None:
        """``fixable_by_role``: role lab_host can fix it."""
        super().__init__(what, hint=hint)
        self.fixable_by_role = fixable_by_role


class EngineMissingError(EngineError):
    """No Engine listens at the address."""


class EngineSilentError(EngineError):
    """An Engine has not answered in time: it is there, and need be neither installed nor started."""


def connect(docker_host: str, timeout: int = TIMEOUT_S) -> Any:
    """Return a low-level client that speaks the newest API that both sides know.

    Raises:
        EngineError: no SDK, no Engine, one that is not on this machine, no permission, settings of Docker that cannot
            be read, or an Engine that is too old or too new for the SDK.
        EngineMissingError: no Engine listens there.
        EngineSilentError: the Engine has not answered in ``timeout`` seconds.
    """
    if docker is None:
        raise EngineError(
            "the Python that Ansible uses on this lab host has no Docker SDK",
            "install python3-docker (Debian, Ubuntu) or `pip install docker` into it",
            fixable_by_role=True,
        )
    try:
        socket_path(docker_host)
        client = docker.APIClient(base_url=docker_host, version="auto", timeout=timeout)
    except EngineAddressError as error:
        raise EngineError(error.message, error.hint) from error
    except Exception as error:
        if "timed out" in str(error):
            raise EngineSilentError(
                f"the Docker Engine at {docker_host} has not answered in {timeout} s",
                "wait until it has less to do; if it hangs, restart it",
            ) from error
        raise _explain_missing_engine(error, docker_host) from error
    api_version = tuple(int(part) for part in client.api_version.split("."))
    if api_version < MINIMUM_API:
        client.close()
        raise EngineError(
            f"the Docker Engine at {docker_host} supports API {client.api_version} at most",
            f"fedsim needs Engine {MINIMUM_ENGINE} (API 1.41) or newer",
        )
    return client


def wait_for_engine(docker_host: str) -> Any:
    """Like :func:`connect`, but an Engine that restarts is waited for: it works on a run, so it was there.

    Raises:
        EngineError: as :func:`connect`.
    """
    deadline = time.monotonic() + BACK_WITHIN_S
    while True:
        try:
            return connect(docker_host)
        except EngineMissingError:
            if time.monotonic() > deadline:
                raise
        time.sleep(LOOK_AGAIN_S)


def explain(error: BaseException) -> str:
    """Return an exception as one line; the Engine's own explanation if there is one."""
    explanation = getattr(error, "explanation", None)
    if explanation:
        return str(explanation.decode() if isinstance(explanation, bytes) else explanation)
    if isinstance(error, LostError) and not isinstance(error, SlowError):
        return "the Docker Engine has closed the connection: it was stopped or restarted"
    text = str(error).strip()
    return text or type(error).__name__


def forget_credentials(client: Any, folder: str) -> None:
    """Have the client send no credentials for registries.

    Where they are in a helper's care, the SDK asks the helper for all of them, and fails if it is missing.

    Args:
        client: a low-level client.
        folder: a folder for the settings that take the place of the user's.
    """
    path = Path(folder) / "config.json"
    path.write_text(NO_CREDENTIALS, encoding="utf-8")
    client.reload_config(str(path))


def find_daemon() -> str | None:
    """Path of an installed dockerd, whether it runs or not."""
    return shutil.which("dockerd", path=DAEMON_PATH)


def _explain_missing_engine(error: BaseException, docker_host: str) -> EngineError:
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
    if not text.startswith(ASKED_FOR_VERSION):
        return EngineError(
            f"Docker's settings on this lab host cannot be read ({text})", "correct or remove config.json in ~/.docker"
        )
    # The operating system's message is the innermost of several exceptions in one text.
    system = re.search(r"Error\(\d+, '([^']+)'", text)
    what = f"no Docker Engine answers at {docker_host} ({system[1] if system else text})"
    if not is_same_engine(docker_host, DEFAULT_ENGINE):
        # The role would start or install one that listens elsewhere.
        return EngineMissingError(what, f"start it; or, for the one at {DEFAULT_ENGINE}, {TAKE_DEFAULT}")
    return EngineMissingError(
        what,
        "start it (`systemctl start docker`) or install one; on Debian and Ubuntu a run does so itself",
        fixable_by_role=True,
    )


def list_containers(client: Any, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return all containers, running or not, in one call."""
    return list(client.containers(all=True, filters=filters))


def inspect_or_none(client: Any, name: str) -> dict[str, Any] | None:
    """Return a container's description; None if the Engine says that there is no such container.

    Raises:
        APIError, RequestException: it does not say, so whether there is one is unknown.
    """
    try:
        return dict(client.inspect_container(name))
    except NotFound:
        return None


def create_container(client: Any, body: dict[str, Any], name: str | None = None, platform: str | None = None) -> str:
    """Create a container and return its id.

    Args:
        client: a low-level client.
        body: what the Engine is asked for.
        name: the container's name; None: the Engine's choice.
        platform: that of the image; None: the Engine's own. Only recent SDKs know it: that of Debian 12 does not.
    """
    if platform is None:
        return str(client.create_container_from_config(body, name)["Id"])
    url = f"{client.base_url}/v{client.api_version}/containers/create"
    named = {} if name is None else {"name": name}
    answer = client.post(url, params={**named, "platform": platform}, json=body, timeout=client.timeout)
    try:
        answer.raise_for_status()
    except HTTPError as error:
        create_api_error_from_http_exception(error)
    return str(answer.json()["Id"])


def remove_container(client: Any, identifier: str) -> None:
    """Remove by force; if it is already being removed, wait until it is gone."""
    try:
        client.remove_container(identifier, force=True, v=True)
        return
    except NotFound:
        return
    except APIError as error:
        if error.response is None or error.response.status_code != 409:
            raise
    except RequestException:
        pass  # the Engine has not answered in time: it may still be removing it
    deadline = time.monotonic() + GONE_WITHIN_S
    while inspect_or_none(client, identifier) is not None:
        if time.monotonic() > deadline:
            raise EngineError(f"its removal has not ended in {GONE_WITHIN_S} s")
        time.sleep(0.1)


def is_running(client: Any, container: str) -> bool:
    """Whether a container runs; True if the Engine does not say."""
    try:
        found = inspect_or_none(client, container)
    except (APIError, RequestException):
        return True
    return found is not None and bool(found["State"]["Running"])


def run_in(client: Any, container: str, command: list[str], within_s: float) -> tuple[int, str, str]:
    """Run a command in a running container; return exit status, stdout and stderr.

    Args:
        client: a low-level client.
        container: name or id.
        command: program and arguments.
        within_s: seconds that the command may take.

    Raises:
        EngineError: it takes longer, the container ends meanwhile, or the Engine does not tell the exit status.
    """
    created = client.exec_create(container, command, stdout=True, stderr=True)
    stream = client.exec_start(created["Id"], socket=True)
    try:
        out, err = read_output(stream, within_s, lambda: is_running(client, container))
    except NoOutputError as error:
        raise EngineError(f"`{command[0]}` in {container}: {error}") from error
    deadline = time.monotonic() + EXIT_STATUS_WITHIN_S
    # A busy Engine closes the output before it knows the status.
    while (status := client.exec_inspect(created["Id"])["ExitCode"]) is None:
        if time.monotonic() > deadline:
            raise EngineError(f"the Engine does not tell how `{command[0]}` ended in {container}")
        time.sleep(0.1)
    return int(status), out.decode(errors="replace"), err.decode(errors="replace")


def read_last_lines(client: Any, container: str, lines: int = 5) -> str:
    """Return the end of a container's log, for a message."""
    try:
        text = client.logs(container, stdout=True, stderr=True, tail=lines).decode(errors="replace").strip()
    except (APIError, RequestException) as error:
        return f"its log cannot be read ({explain(error)})"
    return "\n".join(map(shown, text.splitlines())) or "it logged nothing"
