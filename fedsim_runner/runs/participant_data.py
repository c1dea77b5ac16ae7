"""Whose data are whose, in one FederatedScope YAML per participant: one loader, own files, numbers of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalog.federatedscope_keys import known_keys
from ..spec.device_data import FILE, NUMBER
from ..yamlfile.document import Document
from ..yamlfile.dump import dump_line

File = tuple[Document, Mapping[str, Any]]
_ONE_LOADER = "write the same in all files: the parts of all are made at once"


@dataclass
class PlacedData:
    """Where the data of all come from, and who gets what.

    Attributes:
        section: FederatedScope's ``data`` for all.
        over: the part of it that the server's file does not have so.
        server: what the server's device gets of the data.
        clients: what a client's device gets of them, by number from 1.
        remarks: what a reader should know.
    """

    section: dict[str, Any]
    over: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    clients: dict[int, dict[str, Any]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def place_data(document: Document, tree: Mapping[str, Any], clients: Sequence[File]) -> PlacedData:
    """Sort the participants' data; contradictions are reported in their documents.

    Args:
        document: the server's.
        tree: what is in it.
        clients: theirs, in the order of their numbers.
    """
    servers, (leader, leading) = _data(tree), clients[0]
    has_data, first = bool(servers.get("type")), _data(leading)
    for other, values in clients[1:]:
        _compare(other, _data(values), leader, first)
    if has_data:
        _compare(document, servers, leader, first)
    common = {key: value for key, value in first.items() if key != FILE[1]}
    placed = PlacedData(
        {**servers, **common}, {key: value for key, value in common.items() if servers.get(key) != value}
    )
    are_files = str(common.get("type", "")).lower() == "file"
    if are_files:
        _place_files(placed, servers if has_data else {}, clients)
    numbers = [_number(*one) for one in clients]
    _place_numbers(placed, numbers, None if are_files else len(clients))
    server = _number(document, tree) if has_data else -1
    if server > 0 and (are_files or server <= len(clients)):
        placed.server[NUMBER[0]] = {NUMBER[1]: server}
    return placed


def _compare(document: Document, own: Mapping[str, Any], leader: Document, first: Mapping[str, Any]) -> None:
    """Report what differs from the first client's data, apart from the file."""
    for key in dict.fromkeys((*own, *first)):
        mine, theirs = (_in_force(one, key) for one in (own, first))
        if key != FILE[1] and mine != theirs:
            message = f"is {dump_line(mine)}, and in {Path(leader.file).name} {dump_line(theirs)}"
            document.report(("data", key), message, _ONE_LOADER)


def _place_files(placed: PlacedData, servers: Mapping[str, Any], clients: Sequence[File]) -> None:
    files = [_data(values).get(FILE[1]) for _, values in clients]
    for (document, _), file in zip(clients, files, strict=True):
        if not isinstance(file, str) or not file:
            document.report(FILE, "must be the path of a file")
    own = servers.get(FILE[1])
    if all(file == files[0] for file in files):
        placed.section[FILE[1]] = files[0]
        if own != files[0]:
            placed.over[FILE[1]] = files[0]
            if own:
                placed.server[FILE[0]] = {FILE[1]: own}
        return
    for number, file in enumerate(files, 1):
        if file != own:
            placed.clients[number] = {FILE[0]: {FILE[1]: file}}


def _place_numbers(placed: PlacedData, numbers: Sequence[int], count: int | None) -> None:
    """``count``: how many parts there are; None: those that files have."""
    free = [number for number in range(1, len(numbers) + 1) if number not in numbers]
    for client, number in enumerate(numbers, 1):
        given = number
        if number > -1 and count is not None and not 1 <= number <= count:
            given = free.pop(0)
            placed.remarks.append(
                f"client {client} gets part {given} of the data: its data_idx {number} is none of 1 to {count}, and "
                "FederatedScope would draw one"
            )
        if given not in (-1, client):
            placed.clients.setdefault(client, {})[NUMBER[0]] = {NUMBER[1]: given}


def _data(tree: Mapping[str, Any]) -> dict[str, Any]:
    data = tree.get("data")
    return dict(data) if isinstance(data, Mapping) else {}


def _in_force(data: Mapping[str, Any], key: str) -> Any:
    section = known_keys().below(("data",))
    return data.get(key, section.defaults.get(key) if section is not None else None)


def _number(document: Document, tree: Mapping[str, Any]) -> int:
    """``distribute.data_idx``; -1: none."""
    distribute = tree.get("distribute")
    number = distribute.get(NUMBER[1], -1) if isinstance(distribute, Mapping) else -1
    if type(number) is not int:
        document.report(NUMBER, f"must be a whole number, not {dump_line(number)}")
        return -1
    return number
