"""What the control node knows about the toy engine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.catalog.engines import EngineFacts
from fedsim_runner.engines.engine_values import Course, Refusal
from fedsim_runner.engines.protocol import Engine


class ToyEngine(Engine):
    """Needs nothing but Python, so its image is built on the base."""

    facts = EngineFacts("toy", start_cpu_s=2.0, program="fedsim_toy.participant", dockerfile=Path(__file__).parent)

    def check_config(self, course: Course) -> Iterator[Refusal]:
        pause = course.config.get("toy", {}).get("pause_s", 0)
        if not isinstance(pause, int | float) or pause < 0:
            yield Refusal(("toy", "pause_s"), "must be a number of seconds", "omit it for no pause")

    def files(self, config: Mapping[str, Any]) -> Mapping[str, str]:
        return {**super().files(config), "toy.json": json.dumps(config)}


ENGINE = ToyEngine()
