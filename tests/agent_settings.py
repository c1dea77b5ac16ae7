"""The agent's settings of a run with nothing but links, for tests and benchmarks that have no device file."""

from __future__ import annotations

from fedsim_runner.agent.links.profile import Profile
from fedsim_runner.agent.run_settings import RunSettings


def run_settings(links: Profile) -> RunSettings:
    """The settings of a run whose devices have these links, and no other limits."""
    names = [one.device for one in links.devices]
    return RunSettings(
        lab_host="local",
        link_backend="auto",
        congestion_control="auto",
        allow_unshaped=False,
        verify="warn",
        timeout_s=60,
        silence_timeout_s=60,
        go_on=False,
        min_clients=1,
        total_rounds=1,
        roles={name: "server" if name == links.server else "client" for name in names},
        cpus={},
        memory_bytes={},
        disk_bytes={},
        start_cpu_s={},
        links=links,
    )
