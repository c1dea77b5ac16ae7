"""Where a fork of FederatedScope does not have what our patches and launcher rely on, read from its source.

Participants ask the same of the imported code when they start (``participant/federatedscope/upstream.py``). Here it is
found in the plan, without running any of it. What cannot be seen in the text of a file, such as a method that a class
inherits, is left to them.
"""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from fedsim_runner.participant.federatedscope.course import PARTS
from fedsim_runner.participant.federatedscope.patches import PLACES
from fedsim_runner.participant.federatedscope.upstream import MADE_FOR, Place

from .fit import cannot_be_distributed, reader
from .source import PACKAGE

_USE = f"use FederatedScope {MADE_FOR}"
_Body = ast.Module | ast.ClassDef
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def misfits(source: Path, patches_off: Collection[str]) -> list[tuple[str, str]]:
    """What relies on a place that is not there, where and why, and what helps; each patch or part once.

    A source of which hardly anything fits has one misfit: it is another program.
    """
    whole = cannot_be_distributed(source)
    if whole is not None:
        return [(whole, _USE)]
    owners = [(f"patch {name}", f"federatedscope.patches.{name}: false switches it off or {_USE}", places)
              for name, places in PLACES.items()]  # fmt: skip
    owners += [(part, _USE, places) for part, places in PARTS.items()]
    found = {
        owner: (f"{owner}: {reason}", hint) for owner, hint, places in owners if (reason := _first(source, places))
    }
    if 2 * len(found) > len(owners):
        first, _ = next(iter(found.values()))
        most = f"{len(found)} of the {len(owners)} parts of the launcher do not fit it, such as"
        return [(f"this is not FederatedScope, or one that was changed too much: {most} {first}", _USE)]
    return [misfit for owner, misfit in found.items() if owner.removeprefix("patch ") not in patches_off]


def _first(source: Path, places: Iterable[Place]) -> str | None:
    """Where and why the first place that is certainly not what it was is not."""
    for place in places:
        reason = mismatch(source, place)
        if reason is not None:
            return f"{place.module}.{place.name} is not what it was made for ({reason})"
    return None


def mismatch(source: Path, place: Place) -> str | None:
    """Why a place is certainly not what it was; None: it is, or the text of its file does not tell."""
    if not place.module.startswith(f"{PACKAGE}."):
        return None
    name = place.module.removeprefix(f"{PACKAGE}.").replace(".", "/") + ".py"
    try:
        with reader(source) as read:
            body: _Body = ast.parse(read(name))
    except (OSError, KeyError, zipfile.BadZipFile):
        return "there is no such file"
    except (SyntaxError, ValueError) as error:
        return f"it cannot be read: {error}"
    *classes, function = place.name.split(".")
    for part in classes:
        inner = [one for one in body.body if isinstance(one, ast.ClassDef) and one.name == part]
        if not inner:
            return None if _may_come_from_elsewhere(body, part) else f"there is no {part}"
        body = inner[-1]
    found = [one for one in body.body if isinstance(one, _Function) and one.name == function]
    if not found:
        return None if _may_come_from_elsewhere(body, function) else f"there is no {function}"
    return _compare(found[-1], place)


def _compare(function: _Function, place: Place) -> str | None:
    arguments = function.args
    taken = tuple(one.arg for one in (*arguments.posonlyargs, *arguments.args))
    if taken[: len(place.parameters)] != place.parameters:
        return f"it takes ({', '.join(taken)})"
    missing = sorted(set(place.mentions) - set(_names(function)))
    return f"it does not use {', '.join(missing)}" if missing else None


def _names(function: _Function) -> Iterator[str]:
    for node in ast.walk(function):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                yield name
            case ast.keyword(arg=str(name)) | ast.Constant(value=str(name)):
                yield name
            case ast.alias(name=name, asname=other):
                yield from (*name.split("."), other or name)


def _may_come_from_elsewhere(body: _Body, name: str) -> bool:
    """Whether something without a definition here may be there all the same: inherited, imported or assigned."""
    if isinstance(body, ast.ClassDef) and any(not _is_object(base) for base in body.bases):
        return True
    for node in body.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            if any((one.asname or one.name) in (name, "*") for one in node.names):
                return True
        elif not isinstance(node, ast.ClassDef | _Function) and name in map(_stored, ast.walk(node)):
            return True
    return False


def _is_object(base: ast.expr) -> bool:
    return isinstance(base, ast.Name) and base.id == "object"


def _stored(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.alias(name=name, asname=other):
            return other or name
    return ""
