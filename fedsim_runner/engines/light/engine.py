"""What the control node knows about the light engine."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fedsim_runner.catalog.engines import EngineFacts
from fedsim_runner.participant.exit_errors import UnsupportedError

from ..engine_values import Course, Refusal
from ..protocol import Engine

# A reason begins with the key that it concerns.
_KEY = re.compile(r"([a-z_]+(?:\.[A-Za-z_]+)*)(?:: )?")


class LightEngine(Engine):
    """Small participants of numpy and gRPC, see :mod:`fedsim_runner.participant.light`."""

    # 1 second on an ordinary core, 4 on the slowest that was tried.
    facts = EngineFacts("light", start_cpu_s=5.0, memory_bytes=48 << 20)

    def check_config(self, course: Course) -> Iterator[Refusal]:
        # Brings numpy, which is not needed to read the facts.
        from fedsim_runner.participant.light.settings import parse_settings

        own = [one for one in course.participants if one.engine == self.facts.name]
        seen: set[str] = set()
        # Clients differ only in their addresses.
        for participant in {one.role: one for one in own}.values():
            try:
                parse_settings(participant.config)
            except UnsupportedError as error:
                for reason in str(error).split("; "):
                    if reason not in seen:
                        seen.add(reason)
                        yield _refusal(reason)


def _refusal(reason: str) -> Refusal:
    found = _KEY.match(reason)
    key = found.group(1) if found else ""
    return Refusal(tuple(key.split(".")) if key else (), reason.removeprefix(f"{key}: "))


ENGINE = LightEngine()
