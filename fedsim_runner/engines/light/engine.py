"""What the control node knows about the light engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fedsim_runner.catalog.engines import EngineFacts
from fedsim_runner.plan.model import MessageSizes

from ..engine_values import Course, ModelQuestion, Refusal
from ..initial_model import refuse_model
from ..message_sizes import LIMIT_BYTES, sizes_of
from ..model_shapes import ModelSettings, explain_too_many_layers, tensors_of
from ..protocol import Engine

if TYPE_CHECKING:
    from fedsim_runner.participant.light.settings import Problem


DOES_IT = "FederatedScope does it: engine: federatedscope at the devices"
# Keys with values that only FederatedScope has.
_ELSEWHERE = (
    "asyn.use", "criterion.type", "finetune.before_eval", "model.type", "personalization.local_param",
    "regularizer.type", "train.optimizer.type", "train.scheduler.type", "trainer.type",
)  # fmt: skip


# Keys that FederatedScope, where they are not given, sets to what others say, and writes to its config.yaml.
_FOLLOWING = {
    ("personalization", "local_update_steps"): ("train", "local_update_steps"),
    ("personalization", "lr"): ("train", "optimizer", "lr"),
}


class LightEngine(Engine):
    """Small participants of numpy and gRPC, see :mod:`fedsim_runner.participant.light`."""

    facts = EngineFacts(
        "light",
        # 1 second on an ordinary core, 4 on the slowest that was tried.
        start_cpu_s=5.0,
        memory_bytes=48 << 20,
        # 40 and 500 clients on one lab host: cgroup's usage, of which 27 MB are anonymous memory.
        resident_bytes=28 << 20,
        load_cpu_s=0.35,
        # 3,000,000 numbers, evaluated by the clients: most of it are the lists of numbers of evaluations and the end.
        client_bytes_per_number=210,
        server_bytes_per_number=205,
        ends_at_target=True,
        keeps_models=True,
        takes_back=True,
        # gRPC's and its own: 11 in a client, 13 in the server of 40.
        threads=13,
    )

    def check_config(self, course: Course) -> Iterator[Refusal]:
        # Brings numpy, which is not needed to read the facts.
        from fedsim_runner.participant.light.settings import Problem, UnsupportedSettingsError, parse_settings

        differing = course.differing(self.facts.name)
        alike = [one for one in course.participants if one.engine == self.facts.name and not one.own]
        seen: set[Problem] = set()
        # Clients without settings of their own differ only in their addresses.
        for participant in [*{one.role: one for one in alike}.values(), *differing]:
            problems: list[Problem] = []
            try:
                parse_settings(_without_defaults(participant.config))
            except UnsupportedSettingsError as error:
                problems += error.problems
            layers = participant.config.get("model", {}).get("layer")
            if type(layers) is int and (wrong := explain_too_many_layers(layers)):
                problems.append(Problem("model.layer", *wrong))
            for problem in problems:
                if problem not in seen:
                    seen.add(problem)
                    yield _refusal(problem, participant.name if participant.own else None)

    def files(self, config: Mapping[str, Any]) -> Mapping[str, str]:
        return super().files(_without_defaults(config))

    def check_course(self, course: Course) -> Iterator[Refusal]:
        if course.has_targets():
            reason = "the light engine classifies, and the labels are numbers to regress"
            hint = "FederatedScope does it: engine: federatedscope at the devices"
            yield Refusal(("criterion", "type"), reason, hint)
            return
        yield from self._check_initial_model(course)

    def _check_initial_model(self, course: Course) -> Iterator[Refusal]:
        server = next((one for one in course.participants if one.role == "server"), None)
        if course.initial_model is None or server is None or server.engine != self.facts.name:
            return
        from fedsim_runner.participant.light.saved_model import shapes_of
        from fedsim_runner.participant.light.settings import parse_settings
        from fedsim_runner.participant.light.trainer import build_model
        from fedsim_runner.participant.model_file import misfit

        shape = course.data().shape
        settings = parse_settings(_without_defaults(server.config))
        inputs = settings.inputs if shape is None else math.prod(shape)
        if inputs is None:
            return
        model = build_model(replace(settings, inputs=inputs), {})
        if problem := misfit(course.initial_model, shapes_of(model), model.statistics):
            yield refuse_model(problem)

    def notes(self, course: Course) -> Iterator[str]:
        server = next(one for one in course.participants if one.role == "server")
        model, federate = server.config.get("model", {}), server.config.get("federate", {})
        normalised = model.get("type") == "mlp" and model.get("layer", 2) >= 2
        if server.engine == self.facts.name and normalised and federate.get("make_global_eval") is True:
            yield (
                "the light engine's server evaluates mlp with the normalisation statistics of the test data; "
                "FederatedScope's server, with statistics that were never trained, reports a lower accuracy of the "
                "same model; see docs/federatedscope-courses.md"
            )

    def message_sizes(self, question: ModelQuestion) -> MessageSizes | None:
        settings = ModelSettings.of(question.config)
        # Samples are flattened.
        known = None if question.shape is None else tensors_of(settings, (math.prod(question.shape),))
        if known is None:
            return None
        # Running statistics stay with each participant.
        tensors = [tensor for tensor in known if tensor.trained]
        federate = question.config.get("federate", {})
        return sizes_of(tensors, tensors, federate.get("make_global_eval") is not True, LIMIT_BYTES)


def _refusal(problem: Problem, device: str | None) -> Refusal:
    from fedsim_runner.catalog.federatedscope_keys import METHODS, known_keys
    from fedsim_runner.participant.light.settings import UNKNOWN

    path = tuple(problem.key.split("."))
    is_method = problem.key == "federate.method" and any(f"not '{name}'" in problem.reason.lower() for name in METHODS)
    elsewhere = is_method or problem.key in _ELSEWHERE or (problem.reason == UNKNOWN and known_keys().has(path))
    if elsewhere and problem.hint is None:
        return Refusal(path, problem.reason, DOES_IT, device=device)
    return Refusal(path, problem.reason, problem.hint, device=device)


def _without_defaults(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A tree without keys that only FederatedScope has and that have its defaults, as in a collected config.yaml."""

    def left(values: Mapping[str, Any], at: tuple[str, ...]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, value in values.items():
            path = (*at, name)
            if isinstance(value, Mapping):
                below = left(value, path)
                if below or not value:
                    kept[name] = below
            elif not _is_idle(path, value, tree):
                kept[name] = value
        return kept

    return left(tree, ())


def _is_idle(path: tuple[str, ...], value: Any, tree: Mapping[str, Any]) -> bool:
    from fedsim_runner.catalog.federatedscope_keys import known_keys
    from fedsim_runner.participant.light.settings import supports_key

    if supports_key(".".join(path)):
        return False
    if path in _FOLLOWING:
        followed: Any = tree
        for part in _FOLLOWING[path]:
            followed = followed.get(part) if isinstance(followed, Mapping) else None
        if value == followed:
            return True
    return known_keys().is_default(path, value)


ENGINE = LightEngine()
