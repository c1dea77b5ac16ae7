"""What the control node knows of FederatedScope as an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedsim_runner.catalog.engines import EngineFacts
from fedsim_runner.contract.errors import Exit, FedsimError

from ..engine_values import Course, Interpreter, Provenance, Refusal
from ..protocol import Engine
from . import course_facts
from .source import SettingsError, SourceError, parse_source, resolve_source, unreachable
from .wheel import CachedSource, source_manifest


class FederatedScopeEngine(Engine):
    """FederatedScope itself, patched at import, see :mod:`fedsim_runner.participant.federatedscope`."""

    facts = EngineFacts(
        "federatedscope",
        # 6 from uncompiled files, more where its pages must be read again and again.
        start_cpu_s=30.0,
        memory_bytes=192 << 20,
        below="torch",
        cuda=True,
        source="FederatedScope",
        natural_shape=True,
        # gRPC and torch have many; its gRPC server has up to one for each client.
        threads=96,
        threads_per_client=1,
    )

    def check_config(self, course: Course) -> Iterator[Refusal]:
        from .keys import KeysError, check_keys, known_keys
        from .source import WAYS_OUT

        source = _at_hand(course.source)
        if source is None:
            return
        try:
            for problem in check_keys(course.config, known_keys(source)):
                yield Refusal(tuple(problem.path), problem.message, problem.mend)
        except KeysError as error:
            raise FedsimError(f"{error}\n{WAYS_OUT}", Exit.LAB) from error

    def check_course(self, course: Course) -> Iterator[Refusal]:
        from .refusals import refusals

        data = course.data()
        participants = [
            (one.role, course_facts.Participant(one.name, one.engine, one.config, data.samples.get(one.name)))
            for one in course.participants
        ]
        server = next(one for role, one in participants if role == "server")
        clients = [one for role, one in participants if role == "client"]
        judged = course_facts.Course(server, clients, data.classes, data.shape, course.has_round_deadline)
        for refusal in refusals(judged):
            yield Refusal(refusal.path, refusal.reason, refusal.mend)

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
            return None  # the images told why
        return Provenance(facts, CachedSource(resolve_source(named)).cached())

    def interpreter(self, named: str | None) -> Interpreter:
        from .interpreter import interpreter

        return interpreter(named)


def _at_hand(named: str | None) -> Path | None:
    """The checkout or wheel in use; None where the source must be fetched first."""
    if named is None:
        return None
    source = parse_source(named, Path.cwd(), "the experiment file")
    return source.path if source.kind in ("checkout", "wheel") else CachedSource(source).cached()


ENGINE = FederatedScopeEngine()
