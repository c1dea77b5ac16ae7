"""What the control node knows about FederatedScope as an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fedsim_runner.catalog.engines import EngineFacts
from fedsim_runner.catalog.federatedscope_keys import METHODS, Section, known_keys
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.plan.model import MessageSizes

from ..engine_values import Course, Interpreter, ModelQuestion, Provenance, Refusal, SplitData
from ..initial_model import refuse_model
from ..model_shapes import ModelSettings, Tensor, tensors_of
from ..protocol import Engine
from . import course_facts
from .other_data import other_data
from .source import DEFAULT_SOURCE, SettingsError, SourceError, unreachable
from .source_in_use import resolve_source
from .wheel import CachedSource, source_manifest

if TYPE_CHECKING:
    from .keys import KeyProblem
    from .refusals import Rule


class FederatedScopeEngine(Engine):
    """FederatedScope itself, patched at import, see :mod:`fedsim_runner.participant.federatedscope`."""

    facts = EngineFacts(
        "federatedscope",
        # 6 from uncompiled files, more where its pages must be read repeatedly.
        start_cpu_s=30.0,
        memory_bytes=192 << 20,
        # 130 clients with torch and mlp on one lab host of 24 GB: benchmarks/many_torch_clients.py.
        resident_bytes=162 << 20,
        # From compiled files in the page cache: torch 1.7, scipy 0.6.
        load_cpu_s=2.2,
        # At least: as measured with the light engine, whose messages are the same and decoded by the same library.
        client_bytes_per_number=210,
        server_bytes_per_number=205,
        below="torch",
        takes_back=True,
        cuda=True,
        source="FederatedScope",
        natural_shape=True,
        ends_at_target=True,
        keeps_models=True,
        talk_key=("vertical", "use"),
        methods=METHODS,
        # gRPC and torch start many; its gRPC server starts up to one for each client.
        threads=96,
        threads_per_client=1,
    )

    def check_config(self, course: Course) -> Iterator[Refusal]:
        from .keys import check_keys, read_keys
        from .refusals import CONFIG_RULES
        from .source import ALTERNATIVES
        from .source_at_hand import local_source, names_added_by
        from .source_code import CodeError

        resolved = resolve_source(course.source)
        source = local_source(resolved)
        known: Section | None = None
        where_else = course_facts.NAME_ANOTHER if course.source else None
        try:
            if source is not None:
                known = read_keys(source)
            elif resolved.text == DEFAULT_SOURCE:  # the same commit
                known = known_keys()
            facts = _facts(course, SplitData({}))
            facts = replace(facts, is_added=names_added_by(resolved), where_else=where_else or facts.where_else)
            refused = list(self._judge(facts, course, CONFIG_RULES))
        except CodeError as error:
            raise FedsimError(f"{error}\n{ALTERNATIVES}", Exit.LAB) from error
        tree = dict(course.config) if course.data_tree is None else {**course.config, "data": course.data_tree}
        wrong: list[Refusal] = []
        if known is not None:
            wrong += map(_refuse_key, check_keys(tree, known, where_else))
            for one in course.differing(self.facts.name):
                wrong += (_refuse_key(problem, one.name) for problem in check_keys(one.own, known, where_else))
        yield from wrong
        reported = {(refusal.path, refusal.device) for refusal in wrong}
        yield from (refusal for refusal in refused if (refusal.path, refusal.device) not in reported)

    def check_course(self, course: Course) -> Iterator[Refusal]:
        from .refusals import DATA_RULES

        yield from self._judge(_facts(course, course.data()), course, DATA_RULES)
        yield from self._check_initial_model(course)

    def _check_initial_model(self, course: Course) -> Iterator[Refusal]:
        server = next(one for one in course.participants if one.role == "server")
        shape = course.data().shape
        if course.initial_model is None or server.engine != self.facts.name or shape is None:
            return
        # Of a model that only FederatedScope knows its server says so, when it starts.
        tensors = tensors_of(ModelSettings.of(server.config), shape)
        if tensors is None:
            return
        from fedsim_runner.participant.model_file import misfit

        if problem := misfit(course.initial_model, {tensor.name: tensor.shape for tensor in tensors}):
            yield refuse_model(problem)

    def _judge(self, facts: course_facts.Course, course: Course, rules: Sequence[Rule]) -> Iterator[Refusal]:
        from .refusals import refusals

        found = refusals(facts, rules)
        yield from map(_refuse, found)
        reported = {(refusal.key, refusal.hint) for refusal in found}
        for one in course.differing(self.facts.name):
            # What is new where the rules look at this device comes from its own settings.
            for refusal in refusals(facts.seen_from(one.name), rules):
                if (refusal.key, refusal.hint) not in reported:
                    yield _refuse(refusal, one.name)

    def message_sizes(self, question: ModelQuestion) -> MessageSizes | None:
        from .model_messages import message_sizes
        from .source_at_hand import local_source

        config, source = question.config, local_source(resolve_source(question.source))

        def ask(shape: Sequence[int]) -> list[Tensor] | None:
            if not question.has_time or source is None:
                return None
            from .model_question import ask_for_tensors

            return ask_for_tensors(config.get("model", {}), shape, source)

        return message_sizes(course_facts.Tree(config), question.shape, ask)

    def notes(self, course: Course) -> Iterator[str]:
        from . import data_notes, side_files
        from .course_notes import notes, own_worker
        from .source_at_hand import local_source

        server = next(one for one in course.participants if one.role == "server")
        tree, source = course_facts.Tree(server.config), local_source(resolve_source(course.source))
        yield from notes(tree, server.engine == self.facts.name, course.data())
        yield from own_worker(tree)
        if source is not None:
            yield from side_files.notes(tree, source, known_keys())
        if course.data_tree is None:
            return
        kind = other_data(server.config, course.data_tree)
        if kind is None:
            yield from data_notes.notes(course.data_tree)
        else:
            yield (
                f"data set {course.data_tree['type']}: {kind}, which devices get as FederatedScope makes them; how "
                "many samples and classes there are, and how large messages are, is not known before the run"
            )

    def source_in_use(self, named: str | None) -> str:
        source = resolve_source(named)
        problem = source.problem()
        if problem is not None:
            raise FedsimError(unreachable(source, problem), Exit.LAB)
        return source.text

    def image_source(self, named: str | None, origin: str) -> CachedSource:
        return CachedSource(resolve_source(named, origin))

    def provenance(self, named: str | None) -> Provenance | None:
        try:
            facts = source_manifest(named)
        except (SettingsError, SourceError):
            return None  # the images reported why
        return Provenance(facts, CachedSource(resolve_source(named)).cached())

    def interpreter(self, named: str | None) -> Interpreter:
        from .interpreter import interpreter

        return interpreter(named)


def _refuse(refusal: course_facts.Refusal, device: str | None = None) -> Refusal:
    return Refusal(refusal.path, refusal.reason, refusal.hint, refusal.topic, device)


def _refuse_key(problem: KeyProblem, device: str | None = None) -> Refusal:
    return Refusal(tuple(problem.path), problem.message, problem.hint, problem.topic, device)


def _facts(course: Course, data: SplitData) -> course_facts.Course:
    participants = [
        (one.role, course_facts.Participant(one.name, one.engine, one.config, data.samples.get(one.name)))
        for one in course.participants
    ]
    server = next(one for role, one in participants if role == "server")
    clients = [one for role, one in participants if role == "client"]
    loaded = course.data_tree
    return course_facts.Course(
        server,
        clients,
        data.classes,
        data.shape,
        course.round_limits,
        data.target_shape,
        data.largest,
        data.smallest,
        loads_data=loaded is not None,
        goes_offline=course.goes_offline,
        other_data=None if loaded is None else other_data(server.config, loaded),
    )


ENGINE = FederatedScopeEngine()
