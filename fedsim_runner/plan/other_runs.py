"""What other runs hold of a lab host, and what of its processors a new run counts with. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..lab.host import LabHost, Taken

# Reserved for the Engine, the agent and Ansible, so that a fully loaded lab still shapes and measures in time.
RESERVED_CPU_SHARE = 0.1


def usable_cpus(host: LabHost) -> float:
    """Processors of a lab host that a run's devices may have: those that no other run holds, and at least its share.

    With ``n`` other runs the share is one of ``n + 1``. A run is refused for want of memory and not of processors:
    devices without memory are killed, and those with little time are slow.
    """
    whole = host.cpus * (1 - RESERVED_CPU_SHARE)
    held = sum(taken.cpus for taken in host.taken)
    return max(whole - held, whole / (len(host.taken) + 1))


def describe_taken(host: LabHost, amount: Callable[[Taken], float], shown: Callable[[float], str]) -> str:
    """Say which runs hold how much of something, and whose they are; empty: none holds any."""
    holding = [taken for taken in host.taken if amount(taken)]
    return ", ".join(f"run {taken.run}{_whose(taken)} holds {shown(amount(taken))}" for taken in holding)


def describe_held_cpus(host: LabHost) -> Iterator[str]:
    """Yield a note where other runs hold processors of a lab host."""
    held = describe_taken(host, lambda taken: taken.cpus, lambda cpus: f"{cpus:.2f} cpus")
    if not held:
        return
    whole = host.cpus * (1 - RESERVED_CPU_SHARE)
    over = sum(taken.cpus for taken in host.taken) + usable_cpus(host) - whole
    so = "the cpu factor is based on the rest"
    if over > 0.005:
        so = f"the cpu factor is based on a share of {usable_cpus(host):.2f}, and devices of the runs may compete"
    yield f"lab host {host.name}: {held} of its {host.cpus:g}: {so}"


def _whose(taken: Taken) -> str:
    return f" of user {taken.user}" if taken.user else ""
