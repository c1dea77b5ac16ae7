"""The commands that ``ctl`` sends to the running agent: each call of the contract and the method that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..contract.agent_calls import (
    ApplyLinks,
    Holds,
    JoinLab,
    MeasureLinks,
    OfferLab,
    OpenGate,
    Packets,
    Probe,
    Status,
    Stop,
    parse_call,
)
from .run_agent import Agent


def answer(agent: Agent, name: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Carry out one command.

    Raises:
        ValueError: the command is unknown or does not take these arguments.
    """
    match parse_call(name, arguments):
        case Probe():
            return dict(agent.probed)
        case OfferLab(port):
            return agent.lab_calls.offer(port)
        case JoinLab(settled, port, check):
            return agent.lab_calls.join(settled, port, check)
        case ApplyLinks(check, devices):
            return agent.link_calls.apply(check, devices)
        case MeasureLinks(again, devices):
            return agent.link_calls.measure(again, devices)
        case OpenGate(open_at):
            return agent.open_gate(open_at)
        case Status():
            return agent.status()
        case Holds():
            return agent.holds()
        case Packets():
            return agent.link_calls.packet_counters()
        case Stop():
            agent.stopping.set()
            return {"stopping": True}
    raise AssertionError(f"no method answers the call {name}")
