"""Rules: ``data.type`` must name a set that FederatedScope, a package that it takes sets from, or its user has."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from fedsim_runner.catalog.suggestions import nearest, suggestion

from ..engine_values import Refusal
from .course_facts import Kind

_PATH = ("data", "type")
# core/data/utils.py, in any case; users' own code may look for these as well.
_SETS = (
    "toy", "quadratic", "femnist", "celeba", "cifar4cl", "cifar4lp", "shakespeare", "twitter", "subreddit", "synthetic",
    "cora", "citeseer", "pubmed", "dblp_conf", "dblp_org", "ciao", "epinions", "fb15k-237", "wn18", "hiv", "proteins",
    "imdb-binary", "bbbp", "tox21", "bace", "sider", "clintox", "esol", "freesolv", "lipo", "cikmcup",
    "synthetic_vfl_data", "adult", "abalone", "credit", "blog", "vflmovielens1m", "vflmovielens10m", "hflmovielens1m",
    "hflmovielens10m", "vflnetflix", "hflnetflix",
)  # fmt: skip
# contrib/data
_ADDED = ("file", "mini-graph-dc")
# Names of families: the beginning of one, a part of another, and several graphs at once, in this case only.
_BEGINNING = "csbm"
_PART = "hetero_nlp_tasks"
_GRAPHS = re.compile(r"graph_multi_domain.*(mol|small|mix|biochem)$", re.DOTALL)
# What a hint may offer besides those.
_OFFERED = (
    "hetero_nlp_tasks", "csbm", "graph_multi_domain_mol", "graph_multi_domain_small", "graph_multi_domain_biochem",
    "graph_multi_domain_mix", "MNIST@torchvision", "CIFAR10@torchvision", "IMDB@torchtext",
)  # fmt: skip
_PACKAGES = ("torchvision", "torchtext", "huggingface_datasets", "openml")
# Packages whose sets are names in their own code.
_WITH_NAMES = ("torchvision", "torchtext")
_OWN = "a set of your own is code in contrib/data of federatedscope.source"


def unknown_set(name: str, is_added: Callable[[Kind, str, bool], bool]) -> Refusal | None:
    """Why FederatedScope has no set of this name; None: it has, its user may have, or only its package knows.

    Args:
        name: ``data.type``.
        is_added: as :func:`.source_at_hand.names_added_by` returns it.
    """
    wrong = _explain(name)
    return wrong if wrong is not None and not is_added("data", name.lower(), True) else None


def unread_file(data: Mapping[str, Any]) -> Refusal | None:
    """Why ``data.file_path`` means nothing; None: it does, or code of a user's own may read it."""
    kind = str(data.get("type"))
    if not data.get("file_path") or kind in _ADDED or _explain(kind) is not None:
        return None
    return Refusal(("data", "file_path"), f"means nothing with data.type: {kind}", "remove it")


def lacking_in_package(name: str, python: str) -> Refusal | None:
    """Why the package that ``data.type`` names has no such set; None: it has, or does not say.

    ``python``: the interpreter that loads the set.
    """
    from .interpreter import loading_interpreter, names_in_module

    wanted, _, package = name.partition("@")
    package = package.lower()
    if package not in _WITH_NAMES:
        return None
    known = names_in_module(loading_interpreter(python), package, "datasets")
    if not known or wanted in known:
        return None
    near = nearest(wanted, sorted(one for one in known if one[0].isupper()))
    hint = "capital letters matter" if near is None else f'did you mean "{near}@{package}"?'
    return Refusal(_PATH, f'{package} in {python} has no data set "{wanted}"', hint)


def _explain(name: str) -> Refusal | None:
    lowered = name.lower()
    if lowered in _SETS or name in _ADDED:
        return None
    if lowered.startswith(_BEGINNING) or _PART in lowered or _GRAPHS.match(name):
        return None
    wanted, at, package = lowered.partition("@")
    if not at:
        near = suggestion(name, [*_SETS, *_ADDED, *_OFFERED], or_all=False)
        hint = _OWN if near is None else f"{near} Otherwise, {_OWN}"
        return Refusal(_PATH, f'FederatedScope does not know the data set "{name}"', hint)
    if package not in _PACKAGES:
        reason = f'FederatedScope takes no data sets from "{package}"'
        return Refusal(_PATH, reason, suggestion(package, list(_PACKAGES)))
    if package == "openml" and not wanted.isdecimal():
        return Refusal(_PATH, f'openml\'s tasks are numbers, and "{wanted}" is none', "write one as in 31@openml")
    return None if wanted else Refusal(_PATH, f'"{name}" names no data set', "write it before the @")
