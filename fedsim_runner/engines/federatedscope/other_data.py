"""Data of FederatedScope's that are no labelled samples of one shape: which they are, and what they need.

Each device gets its part as FederatedScope makes it (``export_objects.py``), and whether model and data fit is
FederatedScope's own business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

VERTICAL = "a vertical split of the features"
GRAPHS = "graphs"
RATINGS = "ratings"
PAIRS = "pairs of augmented images"
TEXTS = "several texts at once"

# What a value asks for, by key. Data sets that are named here but hold labelled samples are augmented anew in every
# epoch, which arrays could not be.
_BY_VALUE: dict[str, dict[str, str]] = {
    "model.type": {
        **dict.fromkeys(("gcn", "sage", "gpr", "gat", "gin", "mpnn"), GRAPHS),
        **dict.fromkeys(("vmfnet", "hmfnet"), RATINGS),
        "atc_model": TEXTS,
        **dict.fromkeys(("simclr", "simclr_linear", "supervised_local", "supervised_fedavg"), PAIRS),
        **dict.fromkeys(("xgb_tree", "gbdt_tree", "random_forest"), VERTICAL),
    },
    "trainer.type": {
        **dict.fromkeys(
            (
                "graphminibatch_trainer", "linkfullbatch_trainer", "linkminibatch_trainer", "nodefullbatch_trainer",
                "nodeminibatch_trainer", "flitplustrainer", "flittrainer", "fedvattrainer", "fedfocaltrainer",
            ),
            GRAPHS,
        ),
        "atc_trainer": TEXTS,
        **dict.fromkeys(("cltrainer", "lptrainer"), PAIRS),
        "mftrainer": RATINGS,
        "verticaltrainer": VERTICAL,
        "none": VERTICAL,
    },
    "dataloader.type": {**dict.fromkeys(("pyg", "graphsaint-rw", "neighbor"), GRAPHS), "mf": RATINGS},
    "federate.method": {"fedsageplus": GRAPHS, "gcflplus": GRAPHS, "fedgc": PAIRS},
}  # fmt: skip
KEYS = tuple(_BY_VALUE)
# FederatedScope's core/data/utils.py; the first that matches the beginning of data.type counts.
_BY_DATA_SET = (
    (
        re.compile(
            r"cora$|citeseer$|pubmed$|dblp_|csbm|ciao$|epinions$|fb15k|wn18|hiv$|proteins$|imdb-binary$|bbbp$|tox21$|"
            r"bace$|sider$|clintox$|esol$|freesolv$|lipo$|cikmcup|graph_multi_domain"
        ),
        GRAPHS,
    ),
    (re.compile(r".*(movielens|netflix)"), RATINGS),
    (re.compile(r"hetero_nlp_tasks"), TEXTS),
    (re.compile(r"cifar4(cl|lp)$"), PAIRS),
    (re.compile(r"synthetic_vfl_data$|adult$|abalone$|credit$|blog$|.*vertical_fl_data"), VERTICAL),
)
# Sets that hold labelled samples whatever a model or trainer asks for.
_LABELLED = re.compile(r"(toy|quadratic|femnist|celeba|shakespeare|twitter|subreddit|synthetic)$")
# Sets that consist of several, one for each client: how many; and FederatedScope's default of data.cSBM_phi.
_DOMAINS = {"mol": 7, "small": 8, "biochem": 10, "mix": 13}
_GRAPHS = [0.5, 0.5, 0.5]
# Modules: what FederatedScope loads each kind with on the control node, and trains it with on the devices.
_LOADED_WITH: dict[str, tuple[str, ...]] = {
    GRAPHS: ("torch_geometric",), RATINGS: ("pandas", "torchvision"), TEXTS: ("transformers",),
    PAIRS: ("PIL", "torchvision"), VERTICAL: ("pandas", "torchvision"),
}  # fmt: skip
_TRAINED_WITH: dict[str, tuple[str, ...]] = {
    GRAPHS: ("torch_geometric",), TEXTS: ("transformers",), PAIRS: ("torchvision",),
}  # fmt: skip
# What builds a graph of papers from their titles.
_PAPERS = ("networkx", "nltk")
# What splits graphs, by data.splitter, and what samples parts of one, by dataloader.type.
_SPLIT_WITH = {
    "louvain": ("networkx", "community"), "random": ("networkx",), "scaffold": ("rdkit",), "scaffold_lda": ("rdkit",),
}  # fmt: skip
_SAMPLED_WITH = {"graphsaint-rw": ("torch_sparse",), "neighbor": ("torch_sparse",)}
# Settings of data loaders, which devices make: other batches need no other data.
_BATCHES = ("batch_size", "shuffle", "num_workers", "drop_last", "pin_memory")
_MOLECULES = re.compile(r"hiv$|bbbp$|tox21$|bace$|sider$|clintox$|esol$|freesolv$|lipo$")
# Pip requirements that have a module of another name.
_PACKAGES = {"torch_geometric": "torch-geometric", "torch_sparse": "torch-sparse"}


def asked_by(key: str, value: str) -> str | None:
    """The kind of data that a value of one of :data:`KEYS` asks for; None: labelled samples, or nothing."""
    value = value.lower()
    if key == "model.type" and value.startswith("gnn_"):
        return GRAPHS
    return _BY_VALUE[key].get(value)


def other_data(config: Mapping[str, Any], data: Mapping[str, Any]) -> str | None:
    """What a course's data are, if not labelled samples, as far as its configuration says.

    Args:
        config: the course's.
        data: FederatedScope's ``data``, where it loads the data set.
    """
    name = str(data.get("type", ""))
    kind = _of_data_set(name)
    if kind is not None or _LABELLED.match(name.lower()):
        return kind
    for key in KEYS:
        section, _, name = key.partition(".")
        holder = config.get(section)
        value = holder.get(name) if isinstance(holder, Mapping) else None
        kind = asked_by(key, value) if isinstance(value, str) else None
        if kind is not None:
            return kind
    return None


def clients_of(data: Mapping[str, Any]) -> int | None:
    """How many clients a set has data for, where that does not follow from the number of clients."""
    name = str(data.get("type", "")).lower()
    if name.startswith("graph_multi_domain"):
        return next((number for end, number in _DOMAINS.items() if name.endswith(end)), None)
    graphs = data.get("cSBM_phi", _GRAPHS)
    return len(graphs) if name == "csbm" and isinstance(graphs, list) else None


def loaded_with(kind: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Modules with which FederatedScope loads data of a kind; of a user's own set they are unknown."""
    name = str(data.get("type", "")).lower()
    if _of_data_set(name) is None or name == "synthetic_vfl_data":  # unknown, or made from random numbers
        return ()
    needed = [*_LOADED_WITH.get(kind, ()), *(("rdkit",) if _MOLECULES.match(name) else ())]
    if kind == GRAPHS:
        needed += [*_SPLIT_WITH.get(str(data.get("splitter")), ()), *(_PAPERS if name.startswith("dblp_") else ())]
    return tuple(dict.fromkeys(needed))


def lacking(kind: str, config: Mapping[str, Any], requirements: Iterable[str]) -> list[str]:
    """Packages that a device needs for data of a kind, and that the requirements of its image do not name."""
    given = {_normalised(re.split(r"[^A-Za-z0-9._-]", one.strip(), maxsplit=1)[0]) for one in requirements}
    loader = config.get("dataloader")
    sampled = _SAMPLED_WITH.get(str(loader.get("type")), ()) if isinstance(loader, Mapping) else ()
    needed = [_PACKAGES.get(module, module) for module in (*_TRAINED_WITH.get(kind, ()), *sampled)]
    return [package for package in needed if _normalised(package) not in given]


def loader_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a course's configuration that FederatedScope's loaders of such data read, besides ``data``."""
    names = ("dataloader", "model", "vertical")
    sections = {name: config[name] for name in names if isinstance(config.get(name), Mapping)}
    return {
        name: {key: value for key, value in section.items() if name != "dataloader" or key not in _BATCHES}
        for name, section in sections.items()
    }


def _of_data_set(name: str) -> str | None:
    return next((kind for pattern, kind in _BY_DATA_SET if pattern.match(name.lower())), None)


def _normalised(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()
