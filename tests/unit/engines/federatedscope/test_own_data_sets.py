"""What the plan says of FederatedScope's own data sets without loading them."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.engines.course_check import refuse_unsupported
from fedsim_runner.engines.federatedscope import data_loader
from fedsim_runner.engines.federatedscope.data_names import lacking_in_package, unknown_set, unread_file
from fedsim_runner.engines.federatedscope.interpreter import LOADING
from fedsim_runner.engines.federatedscope.other_data import clients_of, other_data
from fedsim_runner.engines.federatedscope.own_data_sets import (
    known_facts,
    missing_data,
    missing_packages,
    not_in_images,
)
from fedsim_runner.engines.federatedscope.source import DEFAULT_SOURCE, SOURCE_VARIABLE
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.runs.experiment_file import parse_experiment
from fedsim_runner.yamlfile.spec_errors import PACKAGES_NOT_AT_HAND, SpecErrors
from tests.builders import lab_host

SPEC = """\
name: theirs
devices:
  - {name: server, type: edge-server, role: server}
  - {name: pi, type: raspberry-pi, count: 3}
data: {dataset: federatedscope}
federatedscope:
  config:
    federate: {total_round_num: 3}
    model: {type: lr, out_channels: 62}
    criterion: {type: CrossEntropyLoss}
    data: DATA
"""


def interpreter(folder: Path, *found: str) -> str:
    """A program that says of modules that it finds these and no other."""
    path = folder / "python"
    known = "|".join(found)
    text = f'#!/bin/sh\nshift 2; for name; do case "$name" in {known}) ;; *) echo "$name" ;; esac; done\n'
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An interpreter that finds what FederatedScope always needs, and nothing else that it is asked for."""
    found = interpreter(tmp_path, *LOADING)
    monkeypatch.setattr(data_loader, "interpreter", lambda: found)
    return found


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Upstream as the source, which is not at hand."""
    monkeypatch.setenv(SOURCE_VARIABLE, DEFAULT_SOURCE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return DEFAULT_SOURCE


def planned(folder: Path, data: str) -> Plan:
    study = parse_experiment(SPEC.replace("DATA", data), folder / "x.yaml")
    return make_plan(study, [lab_host(cpus=64)], "theirs")


@pytest.mark.process
def test_packages(python: str) -> None:
    assert missing_packages({"type": "CIFAR10@torchvision"}, python) == ["torchvision"]
    assert missing_packages({"type": "cola@huggingface_datasets"}, python) == ["datasets", "transformers"]
    assert missing_packages({"type": "femnist"}, python) == ["PIL", "torchvision"]
    assert missing_packages({"type": "cora"}, python) == ["torch_geometric"]
    assert missing_packages({"type": "BACE"}, python) == ["torch_geometric", "rdkit"]
    assert missing_packages({"type": "cora", "splitter": "louvain"}, python) == [
        "torch_geometric", "networkx", "community"
    ]  # fmt: skip
    assert missing_packages({"type": "HFLMovieLens1M"}, python) == ["pandas", "torchvision"]
    assert missing_packages({"type": "Cifar4CL"}, python) == ["PIL", "torchvision"]
    assert missing_packages({"type": "PROTEINS@somebodys_own"}, python, {"model": {"type": "gcn"}}) == []
    for kind in ("toy", "shakespeare", "synthetic", "somebodys_own", "set@somebodys_own"):
        assert missing_packages({"type": kind}, python) == []
    # That is reported with the interpreter.
    assert missing_packages({"type": "femnist"}, "/nowhere/python") == []


@pytest.mark.parametrize(
    ("config", "kind", "expected"),
    [
        ({}, "Cora", "graphs"),
        ({}, "graph_multi_domain_mix", "graphs"),
        ({}, "csbm_data", "graphs"),
        ({}, "VFLNetflix", "ratings"),
        ({}, "hetero_nlp_tasks", "several texts at once"),
        ({}, "adult", "a vertical split of the features"),
        ({"model": {"type": "GNN_mine"}}, "mine", "graphs"),
        ({"trainer": {"type": "mftrainer"}}, "mine", "ratings"),
        ({"dataloader": {"type": "pyg"}}, "mine", "graphs"),
        ({"model": {"type": "lr"}, "dataloader": None}, "femnist", None),
        ({"model": {"type": "gcn"}}, "toy", None),
        ({}, "CIFAR10@torchvision", None),
    ],
    ids=str,
)
def test_which_data_are_no_labelled_samples(config: dict[str, Any], kind: str, expected: str | None) -> None:
    assert other_data(config, {"type": kind}) == expected


def test_what_images_lack_is_named() -> None:
    """As something that is not at hand: the file is right."""
    graphs = {"type": "cora"}
    (found,) = not_in_images(graphs, {}, ["einops==0.8.0"])
    assert found.topic == PACKAGES_NOT_AT_HAND
    assert found.reason == "devices train on graphs with torch-geometric, which their images do not have"
    for given in ("torch_geometric", "Torch-Geometric==2.4.0", "torch.geometric[full]>=2"):
        assert list(not_in_images(graphs, {}, [given])) == []
    assert list(not_in_images({"type": "toy"}, {}, [])) == []
    (found,) = not_in_images(graphs, {"dataloader": {"type": "neighbor"}}, ["torch-geometric"])
    assert "torch-sparse" in found.reason


@pytest.mark.parametrize(
    ("data", "clients"),
    [
        ({"type": "graph_multi_domain_mol"}, 7),
        ({"type": "graph_multi_domain_of_mine"}, None),
        ({"type": "csbm", "cSBM_phi": [0.1, 0.9]}, 2),
        ({"type": "csbm"}, 3),
        ({"type": "csbm_data_feb_07"}, None),
        ({"type": "cora"}, None),
    ],
    ids=str,
)
def test_sets_with_data_for_so_many_clients(data: dict[str, Any], clients: int | None) -> None:
    assert clients_of(data) == clients


@pytest.mark.process
def test_packages_that_are_missing_are_a_mistake(python: str, tmp_path: Path) -> None:
    with pytest.raises(FedsimError) as caught:
        refuse_unsupported(planned(tmp_path, "{type: MNIST@torchvision}"))
    assert str(caught.value).splitlines()[0] == (
        f"{tmp_path}/x.yaml:11: federatedscope.config.data.type: FederatedScope loads it in {python}, which does not "
        "find torchvision (install what is missing, or name another interpreter as federatedscope.python in the user "
        "configuration)"
    )


def test_where_a_set_is(tmp_path: Path) -> None:
    tree = {"root": str(tmp_path)}
    for kind, folder in (
        ("femnist", "femnist/raw"),
        ("shakespeare", "shakespeare/processed"),
        ("CIFAR10@torchvision", "cifar-10-batches-py"),
        ("FashionMNIST@torchvision", "FashionMNIST"),
    ):
        place = missing_data({"type": kind, **tree})
        assert place is not None and place.startswith(str(tmp_path))
        (tmp_path / folder).mkdir(parents=True)
        assert missing_data({"type": kind, **tree}) == place  # an empty folder
        (tmp_path / folder / "some.file").touch()
        assert missing_data({"type": kind, **tree}) is None
    for kind in ("toy", "quadratic", "synthetic", "31@openml", "somebodys_own"):
        assert missing_data({"type": kind, **tree}) is None


@pytest.mark.process
@pytest.mark.parametrize("kind", ["toy", "quadratic", "femnist"])
def test_no_set_is_loaded_without_what_federatedscope_always_needs(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = interpreter(tmp_path, "numpy", "scipy", "yaml", "PIL", "torchvision")
    monkeypatch.setattr(data_loader, "interpreter", lambda: found)
    with pytest.raises(FedsimError, match=f"FederatedScope loads it in {found}, which does not find torch "):
        refuse_unsupported(planned(tmp_path, f"{{type: {kind}}}"))


UNKNOWN = {
    "foo@bar": 'FederatedScope takes no data sets from "bar" (known: huggingface_datasets, openml, torchtext, torchvi',
    "MNIST@torchvison": 'FederatedScope takes no data sets from "torchvison" (did you mean "torchvision"?)',
    "a@b@openml": 'FederatedScope takes no data sets from "b@openml" (did you mean "openml"?)',
    "iris@openml": 'openml\'s tasks are numbers, and "iris" is none (write one as in 31@openml)',
    "@torchvision": '"@torchvision" names no data set (write it before the @)',
    "femnst": 'FederatedScope does not know the data set "femnst" (did you mean "femnist"? Otherwise, ',
    "Mini-Graph-DC": 'FederatedScope does not know the data set "Mini-Graph-DC" (did you mean "mini-graph-dc"? ',
    "graph_multi_domain": 'FederatedScope does not know the data set "graph_multi_domain" (did you mean "graph_multi',
    "mine": 'FederatedScope does not know the data set "mine" (a set of your own is code in contrib/data of fed',
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_set_that_nobody_has_is_a_mistake_when_the_file_is_read(name: str, source: str, tmp_path: Path) -> None:
    with pytest.raises(SpecErrors) as caught:
        parse_experiment(SPEC.replace("DATA", f"{{type: '{name}'}}"), tmp_path / "x.yaml", engines=True)
    (error,) = caught.value.errors
    assert str(error).startswith(f"{tmp_path}/x.yaml:11: federatedscope.config.data.type: {UNKNOWN[name]}")


@pytest.mark.parametrize(
    "name",
    [
        "TOY", "Femnist", "csbm_data_feb_07", "HFLNetflix", "hetero_nlp_tasks", "graph_multi_domain_mix", "fb15k-237",
        "mini-graph-dc", "CIFAR10@torchvision", "IMDB@torchtext", "cola@huggingface_datasets", "31@openml",
    ],
)  # fmt: skip
def test_sets_that_federatedscope_has(name: str) -> None:
    assert unknown_set(name, lambda *asked: False) is None


def test_a_file_that_no_set_of_federatedscopes_own_reads() -> None:
    wrong = unread_file({"type": "MNIST@torchvision", "file_path": "x"})
    assert wrong is not None and wrong.reason == "means nothing with data.type: MNIST@torchvision"
    for data in ({"type": "file", "file_path": "x"}, {"type": "toy"}, {"type": "hfl_mnist", "file_path": "x"}):
        assert unread_file(data) is None


def test_sets_of_the_users_own(source: str, tmp_path: Path) -> None:
    assert unknown_set("Foo@bar", lambda *asked: asked == ("data", "foo@bar", True)) is None
    contrib = tmp_path / "checkout" / "federatedscope" / "contrib" / "data"
    contrib.mkdir(parents=True)
    (contrib / "own.py").write_text("def load(config):\n    return config.data.type == 'mine'\n", encoding="utf-8")
    text = SPEC.replace("DATA", "{type: mine}").replace("  config:", "  source: ./checkout\n  config:")
    assert parse_experiment(text, tmp_path / "x.yaml", engines=True).data.tree is not None


@pytest.mark.process
def test_names_are_looked_up_in_the_package_that_has_the_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert lacking_in_package("MNIST@torchvision", sys.executable) is None  # nothing is known of it
    (tmp_path / "torchvision" / "datasets").mkdir(parents=True)
    (tmp_path / "torchvision" / "__init__.py").touch()
    (tmp_path / "torchvision" / "datasets" / "__init__.py").write_text(
        "from .mnist import FashionMNIST, MNIST\nfrom . import mnist\n\nclass Own:\n    pass\n", encoding="utf-8"
    )
    for name in ("MNIST@torchvision", "Own@TorchVision", "31@openml", "toy"):
        assert lacking_in_package(name, sys.executable) is None
    wrong = lacking_in_package("fashion_mnist@torchvision", sys.executable)
    assert wrong is not None and wrong.hint == 'did you mean "FashionMNIST@torchvision"?'
    assert wrong.reason == f'torchvision in {sys.executable} has no data set "fashion_mnist"'


@pytest.mark.process
def test_a_set_that_must_be_downloaded_is_noted(python: str, tmp_path: Path) -> None:
    assert refuse_unsupported(planned(tmp_path, "{type: shakespeare}")) == (
        f"data set shakespeare is not in {tmp_path}/data/shakespeare: FederatedScope will have to download it when the "
        "run begins",
    )
    assert refuse_unsupported(planned(tmp_path, "{type: synthetic}")) == ()


@pytest.mark.process
def test_the_light_engine_does_not_regress(python: str, tmp_path: Path) -> None:
    with pytest.raises(FedsimError, match=r"criterion\.type: the light engine classifies, and the labels are numbers"):
        refuse_unsupported(planned(tmp_path, "{type: toy}"))


@pytest.mark.process
def test_a_file_that_does_not_exist(python: str, tmp_path: Path) -> None:
    with pytest.raises(FedsimError, match=r"x\.yaml:11: federatedscope\.config\.data\.file_path: there is no file /"):
        refuse_unsupported(planned(tmp_path, "{type: file, file_path: a.pkl}"))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({number: {"train": {"x": [], "y": []}} for number in range(9)}))
    assert refuse_unsupported(planned(tmp_path, "{type: file, file_path: a.pkl}")) == ()


def test_what_is_known() -> None:
    toy, quadratic = known_facts({"type": "toy"}), known_facts({"type": "quadratic", "quadratic": {"dim": 4}})
    assert (toy.classes, toy.shape, toy.target_shape) == (None, (5,), (1,))
    assert (quadratic.shape, quadratic.target_shape) == ((4, 4), ())
    assert known_facts({"type": "FEMNIST"}).classes == 62
    assert known_facts({"type": "somebodys_own"}).classes is None


@pytest.mark.process
def test_files_and_numbers_of_single_devices_are_judged_at_their_lines(
    python: str, source: str, tmp_path: Path
) -> None:
    one = {"train": {"x": [[1.0]], "y": [[1.0]]}}
    (tmp_path / "one").write_bytes(pickle.dumps(one))
    text = SPEC.replace(
        "  - {name: pi, type: raspberry-pi, count: 3}",
        "  - {name: a, type: raspberry-pi, federatedscope: {data: {file_path: nowhere}}}\n"
        "  - {name: b, type: raspberry-pi}",
    )

    def refused(text: str, data: str) -> str:
        study = parse_experiment(text.replace("DATA", data), tmp_path / "x.yaml")
        with pytest.raises(FedsimError) as caught:
            refuse_unsupported(make_plan(study, [lab_host(cpus=64)], "theirs"))
        return str(caught.value).replace(f"{tmp_path}/", "")

    said = refused(text, "{type: file, file_path: one}")
    assert "x.yaml:4: devices[1].federatedscope.data.file_path: there is no file nowhere" in said
    assert (
        "x.yaml:12: federatedscope.config.data.file_path: one holds one participant's data, and b has no file" in said
    )
    said = refused(text.replace("data: {file_path: nowhere}", "distribute: {data_idx: 3}"), "{type: toy}")
    assert "x.yaml:4: devices[1].federatedscope.distribute.data_idx: the set is split among 2 clients" in said
