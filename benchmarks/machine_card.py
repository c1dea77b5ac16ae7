"""The card of the machine: what figures depend on, printed below each table."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

import docker
import psutil


@cache
def machine_card() -> str:
    """Return cores, memory, kernel, Engine and versions of the programs involved, in a few lines of text."""
    memory_gb = psutil.virtual_memory().total / 1e9
    cores = f"{len(os.sched_getaffinity(0))} cores ({_processor()}), {memory_gb:.0f} GB"
    versions = f"Python {platform.python_version()}, ansible-core {version('ansible-core')}"
    return "\n".join(
        (
            f"{cores}, kernel {platform.release()}",
            f"{_engine()}, {_runc()}, {versions}",
            time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        )
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()


def _engine() -> str:
    try:
        client = docker.from_env(timeout=60)
        info = client.info()
    except docker.errors.DockerException as error:
        return f"no Docker Engine ({error})"
    return (
        f"Docker Engine {info['ServerVersion']} ({info['Driver']}, cgroup v{info.get('CgroupVersion', 1)}, "
        f"driver {info['CgroupDriver']})"
    )


def _runc() -> str:
    try:
        done = subprocess.run(["runc", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "runc of unknown version"
    return done.stdout.splitlines()[0].replace("version ", "")
