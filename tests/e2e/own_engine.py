"""A Docker Engine of the test's own, which it may restart, in network and mount namespaces of its own.

Its data, its socket and its containers have nothing to do with the machine's Engine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker

STARTS_WITHIN_S = 60
ENDS_WITHIN_S = 60


@dataclass
class OwnEngine:
    """The Engine; not running until :meth:`start`."""

    folder: Path
    holder: subprocess.Popen[bytes]
    daemon: subprocess.Popen[bytes] | None = None
    clients: list[docker.DockerClient] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())

    def run(self, *command: str) -> None:
        """Run a command in the Engine's namespaces."""
        subprocess.run([*self._inside(), *command], check=True, timeout=60)

    def keep_containers(self, on: bool) -> None:
        """Whether containers outlive the Engine (live-restore); a running one reads it again."""
        (self.folder / "daemon.json").write_text(json.dumps({"live-restore": on}))
        if self.daemon is None:
            return
        os.kill(self.pid, signal.SIGHUP)
        client, end = self.client(), time.monotonic() + STARTS_WITHIN_S
        while client.info()["LiveRestoreEnabled"] != on:
            assert time.monotonic() < end
            time.sleep(0.05)

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.daemon = subprocess.Popen(
                [
                    *self._inside(), "dockerd", f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec",
                    f"--pidfile={self.folder}/pid", f"--host={self.url}", "--bridge=none", "--iptables=false",
                    f"--config-file={self.folder}/daemon.json",
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            said = (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
            assert self.daemon.poll() is None and time.monotonic() < end, said
            time.sleep(0.1)

    def stop(self) -> None:
        """End it as its service manager does, and wait until it has ended."""
        assert self.daemon is not None
        os.kill(self.pid, signal.SIGTERM)
        self.daemon.wait(ENDS_WITHIN_S)
        self.daemon = None

    def client(self) -> docker.DockerClient:
        self.clients.append(docker.DockerClient(base_url=self.url, timeout=60))
        return self.clients[-1]

    def _inside(self) -> list[str]:
        return ["nsenter", f"--target={self.holder.pid}", "--net", "--mount", "--"]

    def _answers(self) -> bool:
        try:
            client = docker.DockerClient(base_url=self.url, timeout=5)
            client.ping()
            client.close()
        except (docker.errors.DockerException, OSError):
            return False
        return True


def _await_namespaces(pid: int) -> None:
    """Wait until a process has namespaces of its own: in the machine's, the Engine would remove its bridge."""
    end = time.monotonic() + STARTS_WITHIN_S
    for kind in ("net", "mnt"):
        while Path(f"/proc/{pid}/ns/{kind}").readlink() == Path(f"/proc/self/ns/{kind}").readlink():
            assert time.monotonic() < end, f"process {pid} shares the machine's {kind} namespace"
            time.sleep(0.01)


@contextlib.contextmanager
def own_engine() -> Iterator[OwnEngine]:
    """An Engine that is not running yet. Its containers end with the block."""
    # A short name: the path of a socket takes 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="fsown-", dir="/tmp"))
    holder = subprocess.Popen(["unshare", "--net", "--mount", "--propagation", "private", "sleep", "3600"])
    _await_namespaces(holder.pid)
    engine = OwnEngine(folder, holder)
    engine.keep_containers(False)
    try:
        yield engine
    finally:
        for client in engine.clients:
            client.close()
        if engine.daemon is not None:
            engine.keep_containers(False)
            engine.stop()
        holder.kill()
        holder.wait()
        shutil.rmtree(folder, ignore_errors=True)
