"""FederatedScope as its own documentation runs it: plain processes on loopback, unmodified, no testbed.

The baseline of the course benchmarks. It needs a checkout and an interpreter with torch; the user configuration
(``~/.config/fedsim/config.yaml``, ``federatedscope: {source: ..., python: ...}``) names them.
"""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedsim_runner.engines.federatedscope.user_settings import user_settings

LOOPBACK = "127.0.0.1"
# NumPy shard -> the pickle that FederatedScope's `data.type: file` reads.
CONVERT = """
import pickle, sys, numpy, torch
arrays = numpy.load(sys.argv[1])
splits = {name.split("_")[0] for name in arrays.files}
shard = {s: {"x": torch.from_numpy(arrays[s + "_x"]), "y": torch.from_numpy(arrays[s + "_y"])} for s in splits}
pickle.dump(shard, open(sys.argv[2], "wb"))
"""
# A participant logs this at the end of its course; its process may hang after that.
ENDED = re.compile(r"Final evaluation is finished!|received finish message")
POLL_S = 0.02
GRACE_S = 5.0


@dataclass(frozen=True)
class BareCourse:
    """``wall_s``: from the first start until all participants logged their end; ``hung``: processes still there."""

    wall_s: float
    cpu_s: float
    finished: bool
    hung: int
    accuracy: float | None


def find_checkout_and_python() -> tuple[Path, str]:
    """Return the checkout and the interpreter.

    Raises:
        SystemExit: none is configured.
    """
    settings = user_settings()
    source = os.environ.get("FEDSIM_FEDERATEDSCOPE_SOURCE") or settings.source
    if not source or not Path(source).is_dir():
        raise SystemExit("this benchmark needs a FederatedScope checkout: ~/.config/fedsim/config.yaml names none")
    return Path(source), settings.python or sys.executable


def run_bare(
    folder: Path, configs: Mapping[str, Mapping[str, Any]], shards: Mapping[str, Path], limit_s: float
) -> BareCourse:
    """Run one course of stock FederatedScope.

    Args:
        folder: for configurations, data and logs.
        configs: FederatedScope configuration by participant; the one with ``distribute.role: server`` is started first,
            the clients when it listens, as stock clients that start too early hang forever.
        shards: each participant's ``shard.npz``.
        limit_s: seconds after which a course counts as hung.
    """
    source, python = find_checkout_and_python()
    ports = _free_ports(list(configs))
    server = next(name for name, tree in configs.items() if tree["distribute"]["role"] == "server")
    for name, tree in configs.items():
        own = folder / name
        own.mkdir(parents=True)
        subprocess.run([python, "-c", CONVERT, shards[name], own / "shard.pkl"], check=True)
        (own / "config.yaml").write_text(yaml.safe_dump(_local(tree, own, ports, name, server)), encoding="utf-8")
    variables = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in (server, *(name for name in configs if name != server)):
            with (folder / name / "console.log").open("wb") as console:
                processes[name] = subprocess.Popen(
                    [python, source / "federatedscope/main.py", "--cfg", folder / name / "config.yaml"],
                    cwd=folder / name,
                    env=variables,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                )
            if name == server:
                _wait(lambda: "Listen to" in _log(folder / server), limit_s)
        finished = _wait(lambda: all(ENDED.search(_log(folder / name)) for name in configs), limit_s)
        wall = time.monotonic() - started
        _wait(lambda: all(process.poll() is not None for process in processes.values()), GRACE_S)
        hung = sum(process.poll() is None for process in processes.values())
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = re.findall(r"'test_acc': ([0-9.]+)", _log(folder / server))
    return BareCourse(wall, cpu, finished, hung, float(found[-1]) if found else None)


def _local(tree: Mapping[str, Any], own: Path, ports: Mapping[str, int], name: str, server: str) -> dict[str, Any]:
    distribute = {"use": True, "role": tree["distribute"]["role"], "data_idx": -1, "server_host": LOOPBACK}
    distribute["server_port"] = ports[server]
    if name != server:
        distribute |= {"client_host": LOOPBACK, "client_port": ports[name]}
    data = {**tree.get("data", {}), "type": "file", "file_path": str(own / "shard.pkl")}
    return {**tree, "distribute": distribute, "data": data, "outdir": str(own), "expname": "course", "use_gpu": False}


def _log(own: Path) -> str:
    try:
        return (own / "console.log").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _wait(condition: Any, limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(POLL_S)
    return False


def _free_ports(names: list[str]) -> dict[str, int]:
    with ExitStack() as stack:
        holders = [stack.enter_context(socket.socket()) for _ in names]
        for holder in holders:
            holder.bind((LOOPBACK, 0))
        return {name: holder.getsockname()[1] for name, holder in zip(names, holders, strict=True)}
