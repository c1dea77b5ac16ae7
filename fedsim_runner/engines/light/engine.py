"""What the control node knows about the light engine."""

from __future__ import annotations

from collections.abc import Iterator

from fedsim_runner.catalog.engines import EngineFacts

from ..engine_values import Course, Refusal
from ..protocol import Engine


class LightEngine(Engine):
    """Small participants of numpy and gRPC, see :mod:`fedsim_runner.participant.light`."""

    # 1 second on an ordinary core, 4 on the slowest that was tried.
    facts = EngineFacts("light", start_cpu_s=5.0, memory_bytes=48 << 20)

    def check_config(self, course: Course) -> Iterator[Refusal]:
        # Brings numpy, which is not needed to read the facts.
        from fedsim_runner.participant.light.settings import Problem, UnsupportedSettingsError, parse_settings

        own = [one for one in course.participants if one.engine == self.facts.name]
        seen: set[Problem] = set()
        # Clients differ only in their addresses.
        for participant in {one.role: one for one in own}.values():
            try:
                parse_settings(participant.config)
            except UnsupportedSettingsError as error:
                for problem in error.problems:
                    if problem not in seen:
                        seen.add(problem)
                        yield Refusal(tuple(problem.key.split(".")), problem.reason, problem.hint)


ENGINE = LightEngine()
