"""Queries to a lab host's Docker Engine from the control node: which runs it has and what belongs to them.

Ownership is decided by label, never by name. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from docker import DockerClient
from docker.errors import APIError, DockerException

from fedsim_runner.contract.agent_calls import Call, command_line, parse_answer
from fedsim_runner.contract.agent_socket import ask_here
from fedsim_runner.contract.exec_output import NoOutputError, read_output
from fedsim_runner.contract.names import KIND_AGENT, LABEL_DEVICE, LABEL_KIND, LABEL_RUN, LABEL_STATE, run_filter
from fedsim_runner.lab.access import THIS_MACHINE, LabAccess
from fedsim_runner.lab.engine_client import connect_to_engine, engine_url
from fedsim_runner.lab.host import LabHost

from ..values import UnreachableError
from .remote.tunnel import EngineTunnel

# The Engine's answers to a command in a container that is gone, or that does not run.
ENDED = (404, 409)


class NoEngineError(UnreachableError):
    """The Docker Engine cannot be used; the text says why and what helps."""


class AgentSilentError(UnreachableError):
    """A run's agent runs, but has not answered."""


class LabEngine:
    """The Engine of one lab host.

    Args:
        client: what asks it.
        is_here: it is this machine, so that an agent's socket can be reached.
        state_folders: of a lab host elsewhere, names in its folder of runs' states.
    """

    def __init__(self, client: Any, is_here: bool = True, state_folders: Sequence[str] = ()) -> None:
        self.client = client
        self.state_folders = state_folders
        self._is_here = is_here

    def runs(self) -> dict[str, list[str]]:
        """Names of the containers and volumes that carry a run's label, by run; also of networks, which 0.1.0 made."""
        api, filters = self.client.api, {"label": LABEL_RUN}
        found: dict[str, list[str]] = {}
        for item in api.containers(all=True, filters=filters):
            found.setdefault(item["Labels"][LABEL_RUN], []).append(item["Names"][0].lstrip("/"))
        for item in (*api.networks(filters=filters), *(api.volumes(filters=filters)["Volumes"] or [])):
            found.setdefault(item["Labels"][LABEL_RUN], []).append(item["Name"])
        return {run: sorted(names) for run, names in found.items()}

    def containers(self, run: str, kind: str) -> dict[str, dict[str, Any]]:
        """The Engine's summaries of the run's containers of one kind, by device name (an agent's by ``agent``)."""
        filters = run_filter(run, kind)
        found = self.client.api.containers(all=True, filters=filters)
        return {item["Labels"].get(LABEL_DEVICE, kind): item for item in found}

    def agents(self) -> dict[str, int]:
        """When the agent of each run that has a running one was made (Unix seconds), by run."""
        found = self.client.api.containers(filters={"label": f"{LABEL_KIND}={KIND_AGENT}"})
        return {item["Labels"][LABEL_RUN]: item["Created"] for item in found}

    def ask_agent(self, run: str, call: Call) -> dict[str, Any] | None:
        """The answer of the run's agent; None if it is not running.

        Raises:
            AgentSilentError: it runs, but it or the Engine does not answer.
        """
        agent = self.containers(run, KIND_AGENT).get(KIND_AGENT)
        if agent is None or agent["State"] != "running":
            return None
        api = self.client.api
        try:
            state_folder = agent["Labels"].get(LABEL_STATE) if self._is_here else None
            answer = ask_here(api.base_url, state_folder, call)
            if answer is not None:
                return answer
            created = api.exec_create(agent["Id"], command_line(call))
            stream = api.exec_start(created["Id"], socket=True)
            output, _ = read_output(stream, call.command_within_s, lambda: self._is_running(agent["Id"]))
        except (APIError, NoOutputError, OSError) as error:
            if isinstance(error, APIError) and error.status_code in ENDED:
                return None
            raise AgentSilentError(f"the agent of run {run} does not answer: {error}") from error
        return parse_answer(output.decode(errors="replace"))

    def _is_running(self, container: str) -> bool:
        """Whether a container runs.

        Raises:
            APIError, OSError: the Engine does not say, or has no such container.
        """
        return bool(self.client.api.inspect_container(container)["State"]["Running"])


@contextmanager
def lab_engine(host: LabHost, timeout_s: int = 30, access: LabAccess = THIS_MACHINE) -> Iterator[LabEngine]:
    """Connect to the Engine of a lab host. ``access``: the lab that it is part of.

    Raises:
        NoEngineError: it does not answer, or this user may not use it.
        EngineAddressError: the user's settings of Docker name one that is not on this machine.
    """
    if host.ssh is None:
        with _engine_at(engine_url(host.engine_url), timeout_s) as client:
            yield LabEngine(client)
        return
    with EngineTunnel(host, access) as tunnel:
        try:
            client = connect_to_engine(f"unix://{tunnel.path}", timeout_s)
            client.ping()
        except (DockerException, OSError) as error:
            reason = tunnel.failure or f"the Docker Engine cannot be used: {error}"
            raise NoEngineError(f"lab host {host.name}: {reason}") from error
        try:
            yield LabEngine(client, is_here=False, state_folders=tunnel.state_folders)
        finally:
            client.close()


@contextmanager
def _engine_at(url: str, timeout_s: int) -> Iterator[DockerClient]:
    try:
        client = connect_to_engine(url, timeout_s)
        client.ping()
    except (DockerException, OSError) as error:
        raise NoEngineError(_why(error, url)) from error
    try:
        yield client
    finally:
        client.close()


def _why(error: Exception, url: str) -> str:
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        return (
            "this user may not use the Docker Engine: run the command with sudo, or join group docker "
            "(sudo usermod -aG docker $USER, then log in again)"
        )
    if "No such file" in text or "Connection refused" in text or "ConnectionRefused" in text:
        return (
            f"no Docker Engine answers at {url}: start it (systemctl start docker; Docker Desktop: start the app), or "
            "let `fedsim-provision up` install one on Debian"
        )
    return f"the Docker Engine cannot be used: {text}"
