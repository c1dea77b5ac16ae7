"""The agent: links, gate, supervision, samples and journal of one run on one lab host, as one state."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import PROTOCOL, devicefile, isolation, links, loglines, netns, probe
from .docker_api import Docker, DockerError
from .fleet import Container, Fleet
from .gate import Gate
from .journal import Journal
from .samples import Sampler
from .shaping import Result, Shaper
from .supervision import START_CPU_S, Event, Supervisor
from .tail import Tail

TICK_S = 0.5
SAMPLE_S = 1.0
SETTLE_S = 5.0  # after the course: until participants have written their last files
RESYNC_S = 30.0


class Agent:
    """The state of one run. Docker's events, ticks and commands come from different threads: one lock for all."""

    def __init__(self, state: Path, run: str, docker: Docker) -> None:
        self._state = state
        self._run = run
        self._docker = docker
        self._fleet = Fleet(docker, run)
        self._lock = threading.RLock()
        self._gate = Gate(state)
        (state / "agent" / "cursors").mkdir(parents=True, exist_ok=True)
        self._memory = state / "agent" / "state.json"
        self._journal = Journal(state / "agent" / "journal.jsonl")
        self._sampler = Sampler(state / "agent" / "metrics.csv")
        self._file = devicefile.load(state / "device_file.json")
        self._tails = {name: Tail(state / "devices" / name / "out") for name in self._file.roles}
        self._containers: dict[str, Container] = {}
        self._shaper: Shaper | None = None
        self._unshaped: str | None = None
        self._shaped: set[str] = set()
        self._open_at: float | None = None
        self._supervisor: Supervisor | None = None
        self._ended_at: float | None = None
        self._next_sample = self._next_look = 0.0
        self._probed = probe.probe()
        self.stopping = threading.Event()

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Say so in the journal, see which containers there are, and take up a run that an earlier agent left."""
        self._note(
            {
                "event": "agent_started",
                "backend": self._probed["backend"],
                "kernel": platform.release(),
                "version": PROTOCOL,
                "congestion_control": _congestion_control(),
            }
        )
        try:
            remembered = json.loads(self._memory.read_text())
        except (OSError, ValueError):
            remembered = {}
        self.look()
        if remembered.get("shaped"):
            self.apply(False, list(remembered["shaped"]))
        if remembered.get("open_at") is not None:
            self._take_up(float(remembered["open_at"]))

    def close(self) -> None:
        """End cleanly. Where packets pass through this agent, they stop."""
        with self._lock:
            self._note({"event": "agent_stopped"})
            if self._shaper is not None:
                self._shaper.stop()
            self._sampler.close()
            for tail in self._tails.values():
                tail.close()
            self._journal.close()

    def tick(self) -> None:
        """Twice a second: logs, time limits, samples."""
        with self._lock:
            now = time.time()
            if now >= self._next_look:
                self._next_look = now + RESYNC_S
                self.look()
            if self._supervisor is not None:
                for name in self._tails:
                    self._read_log(name)
                self._watch_over()
            if now >= self._next_sample:
                self._next_sample = max(self._next_sample + SAMPLE_S, now + SAMPLE_S / 2)
                self._sampler.sample(now)

    # -- containers ---------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Compare all containers with what is known; an Engine that does not answer changes nothing."""
        with self._lock:
            try:
                found = self._fleet.look(self._containers)
            except DockerError:
                return
            for name in self._file.roles:
                if name in found:
                    self._observe(found[name])
                elif name in self._containers:
                    self._ended(self._containers.pop(name), 137, False)

    def docker_event(self, event: dict[str, Any]) -> None:
        """What the Engine reports."""
        actor = event.get("Actor") or {}
        attributes = actor.get("Attributes") or {}
        identity = attributes.get("container") if event.get("Type") == "network" else actor.get("ID")
        action = event.get("Action")
        with self._lock:
            known = next((c for c in self._containers.values() if c.id == identity), None)
            if known is None and not (action == "start" and attributes.get("org.fedsim.run") == self._run):
                return
            if known is not None and action == "die":
                # Before anything else: what starts next must not pass the gate unshaped.
                self._gate.shut()
                code = attributes.get("exitCode")
                if known.pid:
                    self._ended(known, int(code) if code and code.isdigit() else 137, None)
                return
            container = self._fleet.inspect(str(identity))
            if container is None or container.device not in self._file.roles:
                return
            self._observe(container)
            if action == "connect" and container.device in self._shaped:
                self._reapply(container.device)

    def _observe(self, container: Container) -> None:
        before = self._containers.get(container.device)
        if before == container:
            return
        if before is not None and before.pid and before.pid != container.pid:
            self._ended(before, container.exit_code, container.oom_killed)
        self._containers[container.device] = container
        if self._supervisor is not None:
            self._supervisor.feed_paused(container.device, container.paused)
        if container.pid and (before is None or before.pid != container.pid):
            self._sampler.watch(container.device, container.pid, container.id)
            self._tails[container.device].look_again()
            self._note({"event": "device_started", "device": container.device})
            if container.device in self._shaped:
                self._reapply(container.device)

    def _ended(self, container: Container, exit_code: int | None, oom_killed: bool | None) -> None:
        """The process behind a container has gone; ``oom_killed`` None: the Engine is asked."""
        name = container.device
        self._sampler.forget(name)
        if self._shaper is not None:
            self._shaper.forget(name)
        if oom_killed is None:
            after = self._fleet.inspect(container.id)
            oom_killed = after is not None and after.oom_killed
        code = 137 if exit_code is None else exit_code
        self._containers[name] = Container(name, container.id, 0, False, code, oom_killed)
        if self._supervisor is None:
            self._note({"event": "device_exited", "device": name, "exit_code": code, "oom_killed": oom_killed})
            return
        self._read_log(name)
        self._feed_exit(name, container.id, code, oom_killed)

    def _feed_exit(self, name: str, container: str, code: int, oom_killed: bool) -> None:
        assert self._supervisor is not None
        lines = self._fleet.last_lines(container)
        with contextlib.suppress(OSError, ValueError):
            said = json.loads(_read_small(self._state / "devices" / name / "out" / "exit.json"))
            # An older start's file says nothing about this end.
            if isinstance(said, dict) and said.get("error") and said.get("exit_code") == code:
                lines.append(str(said["error"]))
        self._note_all(self._supervisor.feed_exit(name, code, oom_killed, time.monotonic(), lines))

    # -- links and gate -----------------------------------------------------------------------------------------------

    def apply(self, check: bool, names: list[str] | None) -> dict[str, Any]:
        """Bring links to what the device file wants (it is read anew).

        Raises:
            links.UnshapableError: no back end here holds them, and ``allow_unshaped`` is not set.
        """
        with self._lock:
            self._file = devicefile.load(self._state / "device_file.json")
            for name in self._file.roles:
                self._tails.setdefault(name, Tail(self._state / "devices" / name / "out"))
            wanted = [name for name in self._file.roles if names is None or name in names]
            self.look()
            try:
                backend = links.choose_backend(
                    self._file.link_backend, self._file.links, self._file.peers, self._probed
                )
            except links.UnshapableError as error:
                if not self._file.allow_unshaped:
                    raise
                return self._go_unshaped(str(error), wanted, check)
            self._unshaped = None
            if self._shaper is None:
                self._shaper = Shaper(
                    self._file.links, self._file.peers, backend, self._probed["iptables"], self._file.seed
                )
            else:
                self._shaper.want(self._file.links, self._file.peers, backend)
            running = {name: c.pid for name in wanted if (c := self._containers.get(name)) is not None and c.pid}
            results = self._shaper.apply({name: netns.of_process(pid) for name, pid in running.items()}, check=check)
            for name in wanted:
                if name not in running:
                    results[name] = Result(failed="its container is not running")
            network: list[str] = []
            if not check:
                self._remember_shaped(results)
                network = isolation.remove_bridge_addresses(self._docker, self._file.network, self._run)
                for address in network:
                    self._note({"event": "bridge_address_removed", "address": address})
            return {
                "changed": bool(network) or any(result.changed for result in results.values()),
                "backend": backend,
                "devices": {name: result.as_dict() for name, result in sorted(results.items())},
            }

    def _go_unshaped(self, reason: str, names: list[str], check: bool) -> dict[str, Any]:
        if not check and self._unshaped != reason:
            self._note({"event": "links_unshaped", "reason": reason})
            self._unshaped = reason
        nothing = {name: Result().as_dict() for name in names}
        return {"changed": False, "backend": None, "unshaped": reason, "devices": nothing}

    def _remember_shaped(self, results: dict[str, Result]) -> None:
        for name, result in results.items():
            if result.failed is None:
                self._shaped.add(name)
                if result.changed:
                    self._note({"event": "link_shaped", "device": name, "changed": True})
        self._remember()

    def _reapply(self, name: str) -> None:
        """A new interface of a device whose link was in force; then the gate, if it was open, opens again."""
        container = self._containers[name]
        if self._shaper is None or not container.pid:
            return
        result = self._shaper.apply({name: netns.of_process(container.pid)})[name]
        if result.failed is not None:
            self._shaped.discard(name)
            self._note({"event": "link_failed", "device": name, "reason": result.failed})
            if self._supervisor is not None:
                self._note_all(self._supervisor.fail(name, f"its link could not be shaped again: {result.failed}"))
            return
        self._note({"event": "link_reapplied", "device": name})
        running = {device for device, c in self._containers.items() if c.pid}
        if self._open_at is not None and self._ended_at is None and running <= self._shaped:
            self._gate.open(self._open_at)

    def open_gate(self, open_at: float | None) -> dict[str, Any]:
        """Let the participants go, now or at a time, once their links are in force; supervision starts then.

        Raises:
            RuntimeError: a running device's link has not been shaped.
        """
        with self._lock:
            if self._open_at is not None:
                return {"changed": False}
            self.look()
            if self._unshaped is None:
                bare = sorted(n for n, c in self._containers.items() if c.pid and n not in self._shaped)
                if bare:
                    raise RuntimeError(f"links are not in force on: {', '.join(bare)}")
            at = time.time() if open_at is None else open_at
            self._begin(at)
            self._gate.open(at)
            self._remember()
            self._note({"event": "gate_opened", "open_at": at})
            for name, container in self._containers.items():
                if not container.pid and container.exit_code is not None:
                    self._feed_exit(name, container.id, container.exit_code, container.oom_killed)
            return {"changed": True}

    def _begin(self, open_at: float) -> None:
        self._open_at = open_at
        self._supervisor = Supervisor(
            self._file.roles,
            self._file.total_rounds,
            self._file.timeout_s,
            self._file.silence_timeout_s,
            time.monotonic() + open_at - time.time(),
            start_s={name: START_CPU_S / cpus for name, cpus in self._file.cpus.items()},
        )

    def _take_up(self, open_at: float) -> None:
        """An agent that was restarted in the middle of a course: read the logs again, without telling them again."""
        self._begin(open_at)
        assert self._supervisor is not None
        for name, tail in self._tails.items():
            for line in tail.lines():
                self._supervisor.feed_line(name, line, time.monotonic())
        running = {name for name, container in self._containers.items() if container.pid}
        if running <= self._shaped or self._unshaped is not None:
            self._gate.open(open_at)
        for name, container in self._containers.items():
            if not container.pid and container.exit_code is not None:
                self._feed_exit(name, container.id, container.exit_code, container.oom_killed)

    def _remember(self) -> None:
        fresh = self._memory.with_suffix(".new")
        fresh.write_text(json.dumps({"open_at": self._open_at, "shaped": sorted(self._shaped)}))
        fresh.replace(self._memory)

    # -- supervision --------------------------------------------------------------------------------------------------

    def _read_log(self, name: str) -> None:
        assert self._supervisor is not None
        for line in self._tails[name].lines():
            self._note_all(loglines.stamped(self._supervisor.feed_line(name, line, time.monotonic()), line))

    def _watch_over(self) -> None:
        supervisor = self._supervisor
        assert supervisor is not None
        if supervisor.outcome is not None:
            return
        now = time.monotonic()
        if supervisor.silent_for(now) >= self._file.silence_timeout_s - 2 * TICK_S:
            for name, container in self._containers.items():
                supervisor.feed_paused(name, container.paused or _stopped(container.pid))
        self._note_all(supervisor.tick(now))
        packets = self._shaper.packets if self._shaper is not None else None
        if packets is not None and not packets.alive:
            reason = "the agent's packet process has ended: no traffic reaches this lab host's devices any more"
            self._note_all(supervisor.fail(None, reason))

    def _end_course(self) -> None:
        """Let participants end that have not: they write their last files, and free the processors."""
        self._ended_at = time.monotonic()
        running = [container for container in self._containers.values() if container.pid]

        def end() -> None:
            for container in running:
                with contextlib.suppress(DockerError):  # it ended by itself, or the Engine is away
                    self._docker.kill(container.id, "TERM")

        threading.Thread(target=end, name="end participants", daemon=True).start()

    def status(self) -> dict[str, Any]:
        """Where the run stands. It is over only when its participants have ended too, or had 5 s to do so."""
        with self._lock:
            supervisor = self._supervisor
            outcome = supervisor.outcome if supervisor is not None else None
            state = "provisioned" if supervisor is None else "running"
            if outcome is not None and self._ended_at is not None:
                ended = not any(container.pid for container in self._containers.values())
                if ended or time.monotonic() - self._ended_at >= SETTLE_S:
                    state = outcome.status
            devices = {}
            for name in self._file.roles:
                container = self._containers.get(name)
                waiting = "absent" if container is None else "waiting" if container.pid else "exited"
                devices[name] = {
                    "state": supervisor.states[name] if supervisor is not None else waiting,
                    "round": supervisor.device_round(name) if supervisor is not None else 0,
                    "exit_code": container.exit_code if container is not None else None,
                }
            return {
                "state": state,
                "round": supervisor.round if supervisor is not None else 0,
                "rounds_done": supervisor.rounds_done if supervisor is not None else 0,
                "total_rounds": self._file.total_rounds,
                "reason": outcome.reason if outcome is not None else None,
                "device": outcome.device if outcome is not None else None,
                "devices": devices,
            }

    # -- commands -----------------------------------------------------------------------------------------------------

    def command(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """What ``ctl`` asks for.

        Raises:
            ValueError: no such command.
        """
        match name:
            case "probe":
                return dict(self._probed)
            case "links-apply":
                return self.apply(bool(arguments.get("check")), arguments.get("devices"))
            case "gate-open":
                return self.open_gate(arguments.get("open_at"))
            case "status":
                return self.status()
            case "packets":
                with self._lock:
                    return (self._shaper.state() if self._shaper is not None else None) or {}
            case "stop":
                self.stopping.set()
                return {"stopping": True}
        raise ValueError(f"no command {name!r}: probe, links-apply, gate-open, status, packets, stop")

    def _note(self, event: Event) -> None:
        self._journal.write(event)

    def _note_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._journal.write(event)
        if self._supervisor is not None and self._supervisor.outcome is not None and self._ended_at is None:
            self._end_course()


def _stopped(pid: int) -> bool:
    """Whether the process is stopped by a signal (SIGSTOP)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T" if pid else False
    except (OSError, IndexError):
        return False


def _congestion_control() -> str | None:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return None


def _read_small(path: Path) -> str:
    """A participant's file, without following a link it may have put there, and only its beginning."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "r", encoding="utf-8", errors="replace") as file:
        return file.read(1 << 16)
