"""One FederatedScope YAML per participant, the form of its distributed mode: what all share, what is each client's own.

The server's file is the configuration. What a client's says otherwise becomes settings of its device, where
FederatedScope reads it in the client; what only the server reads is the server's. Contradictions are mistakes, and
nothing that differs is dropped without a remark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalog.federatedscope_keys import LOADER_KEYS, known_keys
from ..contract.errors import Exit, FedsimError
from ..spec.device_settings import COURSE_WIDE, COURSE_WIDE_KEYS
from ..spec.settled_config import check_values
from ..spec.testbed_keys import USERS_DISTRIBUTE_PREFIX, owned_keys
from ..yamlfile.document import Document
from ..yamlfile.dump import dump_line
from ..yamlfile.spec_errors import SpecError, SpecErrors
from .participant_data import place_data

KeyPath = tuple[str, ...]
# Of what holds for the whole course, what FederatedScope's clients read as well: with another value they would do
# something else than the server takes them to do.
_READ_BY_CLIENTS = frozenset({
    ("aggregator", "robust_rule"), ("asyn", "use"), ("backend",), ("federate", "method"), ("federate", "use_diff"),
    ("federate", "use_ss"), ("personalization", "local_param"), ("personalization", "share_non_trainable_para"),
})  # fmt: skip
# A server without data needs it; where there are data, it follows from them.
_OF_SERVERS_WITHOUT_DATA = ("model", "input_shape")
_ROLE = ("distribute", "role")
_UNKNOWN = object()


@dataclass(frozen=True)
class Brought:
    """What ``init`` writes an experiment file around.

    Attributes:
        config: the configuration's file.
        tree: what is in it, and in force.
        over: what the experiment file gives in place of the file's values.
        server: what the server's device gets of its own.
        own: settings of single clients, by number from 1.
        files: of the clients, where each has one.
        remarks: what a reader should know.
        of_data: the same of the data.
    """

    config: Path
    tree: Mapping[str, Any]
    over: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    files: Sequence[Path] = ()
    remarks: tuple[str, ...] = ()
    of_data: tuple[str, ...] = ()


@dataclass
class _Participant:
    path: Path
    document: Document
    tree: dict[str, Any]
    leaves: dict[KeyPath, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def role(self) -> Any:
        return self.leaves.get(_ROLE, "client")


def read_participants(documents: Mapping[Path, Document]) -> Brought:
    """Sort one file per participant into what an experiment file has.

    Args:
        documents: by their paths, the clients in the order of their numbers.

    Raises:
        SpecErrors: they contradict each other.
        FedsimError: there is no server among them, or no client.
    """
    errors: list[SpecError] = []
    everyone = [_participant(path, document, errors) for path, document in documents.items()]
    for one in everyone:
        if one.role not in ("server", "client"):
            one.document.report(_ROLE, f"must be server or client, not {dump_line(one.role)}")
    servers, clients = ([one for one in everyone if one.role == role] for role in ("server", "client"))
    if errors:
        raise SpecErrors(errors)
    if not servers or not clients:
        missing = "server" if not servers else "client"
        hint = "give one file for each participant, or a single one for all"
        raise FedsimError(f"none of these files has distribute.role: {missing}", Exit.SPEC, hint=hint)
    server, *others = servers
    for other in others:
        other.document.report(_ROLE, f"a second server after {server.name}: a course has exactly one")
    comparison = _Comparison(server)
    own = {number: comparison.settings_of(client) for number, client in enumerate(clients, 1)}
    data = place_data(server.document, server.tree, [(one.document, one.tree) for one in clients])
    if errors:
        raise SpecErrors(errors)
    for number, part in data.clients.items():
        own[number] = {**own[number], **part}
    return Brought(
        server.path,
        {**server.tree, "data": data.section},
        {"data": data.over} if data.over else {},
        data.server,
        own,
        [one.path for one in clients],
        tuple(comparison.remarks(len(clients))),
        tuple(data.remarks),
    )


def _participant(path: Path, document: Document, errors: list[SpecError]) -> _Participant:
    errors.extend(document.errors)
    document.errors = errors
    tree = document.value()
    check_values(tree, (), document)
    data, loader = tree.get("data"), tree.setdefault("dataloader", {})
    if isinstance(data, dict) and isinstance(loader, dict):
        for old, new in LOADER_KEYS.items():  # as FederatedScope does
            if old in data and not known_keys().is_default(("data", old), data[old]):
                loader[new] = data[old]
            data.pop(old, None)
    return _Participant(path, document, tree, dict(_leaves(tree)))


class _Comparison:
    """Compares clients with their server, and remembers what is not the client's own."""

    def __init__(self, server: _Participant) -> None:
        self._server = server
        self._unused: dict[str, None] = {}
        self._decided: defaultdict[tuple[KeyPath, str], list[str]] = defaultdict(list)
        self._also: defaultdict[str, list[str]] = defaultdict(list)
        self._owned = {owned.path for owned in owned_keys(0, None)}

    def settings_of(self, client: _Participant) -> dict[str, Any]:
        """What is in force for this client and not for the server, and makes it train as it does."""
        settings: dict[str, Any] = {}
        for path in dict.fromkeys((*client.leaves, *self._server.leaves)):
            mine, theirs = _in_force(client, path), _in_force(self._server, path)
            if _is_same(mine, theirs) or path[0] == "data" or path == _OF_SERVERS_WITHOUT_DATA:
                continue
            written = path in client.leaves
            if self._is_of_testbed(path):
                if written and path[0] != "distribute":
                    self._unused[".".join(path)] = None
            elif path[0] in COURSE_WIDE or path in COURSE_WIDE_KEYS:
                self._take_of_course(client, path, written)
            elif mine is _UNKNOWN:
                self._also[".".join(path)].append(client.name)
            else:
                _put(settings, path, mine)
        return settings

    def remarks(self, clients: int) -> Iterator[str]:
        """What became of all that is no client's own."""
        name = self._server.name
        number = self._server.leaves.get(("federate", "client_num"), clients)
        if number != clients:
            those = f"{clients} client{'s' * (clients != 1)}"
            yield f"federate.client_num of {name} is {number}: the course has {those}, one for each file"
        for (path, mine), files in self._decided.items():
            theirs = _shown(_in_force(self._server, path))
            have = "has" if len(files) == 1 else "have"
            yield f"{'.'.join(path)}: {name} decides, {theirs}; {_listed(files)} {have} {mine}, which no client reads"
        if self._unused:
            yield f"the testbed sets {_listed(self._unused)}: what the clients' files say there is not used"
        for key, files in self._also.items():
            yield f"{key} of {name} holds for {_listed(files)} as well, where it is not written"

    def _is_of_testbed(self, path: KeyPath) -> bool:
        addresses = path[0] == "distribute" and not path[-1].startswith(USERS_DISTRIBUTE_PREFIX)
        return addresses or path in self._owned

    def _take_of_course(self, client: _Participant, path: KeyPath, written: bool) -> None:
        both = path in _READ_BY_CLIENTS or path[0] == "vertical"
        if not written:
            if both:
                self._also[".".join(path)].append(client.name)
        elif both:
            theirs = _shown(_in_force(self._server, path))
            message = f"holds for all participants, and {self._server.name} has {theirs}"
            client.document.report(path, message, "write the same in all files")
        else:
            self._decided[path, _shown(client.leaves[path])].append(client.name)


def _leaves(tree: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _in_force(participant: _Participant, path: KeyPath) -> Any:
    """What a file says, or FederatedScope's default."""
    if path in participant.leaves:
        return participant.leaves[path]
    section = known_keys().below(path[:-1])
    return _UNKNOWN if section is None else section.defaults.get(path[-1], _UNKNOWN)


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return list(one) == list(other)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _put(tree: dict[str, Any], path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def _shown(value: Any) -> str:
    return "nothing" if value is _UNKNOWN else dump_line(value)


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
