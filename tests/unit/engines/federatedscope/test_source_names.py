"""Names that forks and users add to FederatedScope, found in their code without running it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fedsim_runner.engines.federatedscope.course_facts import Kind
from fedsim_runner.engines.federatedscope.source_code import CodeError
from fedsim_runner.engines.federatedscope.source_names import has_name
from tests.federatedscope import SETTINGS, SOURCE

# What forks were seen to change, in small.
FORK = {
    "core/configs/constants.py": 'SERVER_TYPE = {"fedavg": "normal", "fedmm": "normal"}\nSPARE = "unused"\n',
    "core/auxiliaries/trainer_builder.py": """
TRAINERS = {"general": "GeneralTorchTrainer", "glueTrainer": "GLUETrainer"}
def get_trainer(config):
    if config.federate.method.lower() == "fedunlearn":
        return 1
    if config.trainer.type.lower() in ["fedsp_trainer"]:
        return 2
""",
    "core/auxiliaries/model_builder.py": "def get(c):\n    return c.type in ['fedsp_model'] or c.endswith('_vlm')\n",
    "core/auxiliaries/sampler_builder.py": "def get_sampler(strategy):\n    return strategy == 'oort'\n",
    "core/auxiliaries/aggregator_builder.py": "RULES = {'krum': 1, 'fltrust': 2}\n",
    "core/monitors/metric_calculator.py": "SUPPORTED = {'top5': 1}\n",
    "core/workers/client_lsa.py": "def call(method):\n    return method == 'fedlsa'\nregister_worker('lsa', call)\n",
    "cv/trainer/anchors.py": "def call(name):\n    return name == 'anchortrainer'\nregister_trainer('anchors', call)\n",
    "cv/loss/soft.py": "register_criterion('SoftLoss', lambda name: name == 'SoftLoss')\n",
    "core/data/utils.py": "def load(name):\n    return name == 'theirs' or name.endswith('@llm') or 'label' in name\n",
    "fedmm/data/digits.py": "register_data('fedmm_digits', lambda config: config.data.type == 'fedmm_digits')\n",
    "contrib/data/mine.py": "def call(c):\n    return 'mine' in c.type or c.split == 'test' or c.name == 'file'\n",
    "contrib/model/study.py": "def call(c):\n    return 'StudyNet' in c.type\n",
    "contrib/worker/mine.py": "def call(method):\n    return method == 'MyMethod'\n",
    "old/python2.py": "print 'registers nothing'  # register_model( and federate.method\n",
}


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    for name, text in FORK.items():
        path = tmp_path / "fork" / "federatedscope" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "fork"


@pytest.mark.parametrize(
    ("kind", "name", "is_there"),
    [
        ("worker", "fedunlearn", True),
        ("worker", "fedmm", True),
        ("worker", "fedlsa", True),
        ("worker", "mymethod", True),
        ("worker", "mymethod2", False),  # similar is not enough: FedAvg would run
        ("worker", "unused", False),
        ("worker", "fedsp_trainer", False),  # another kind
        ("trainer", "fedsp_trainer", True),
        ("trainer", "gluetrainer", True),
        ("trainer", "anchortrainer", True),
        ("trainer", "fedsp", False),
        ("model", "fedsp_model", True),
        ("model", "studynet-v2", True),
        ("model", "org/llava_vlm", True),
        ("model", "vlm", False),
        ("model", "", False),
        ("data", "mine", True),
        ("data", "study_mine_2", True),
        ("data", "theirs", True),
        ("data", "alpaca@llm", True),
        ("data", "fedmm_digits", True),
        ("data", "theirs_2", False),
        ("data", "latest", False),  # words say nothing
        ("data", "profiles", False),
        ("data", "labels", False),
    ],
)
def test_kinds_that_are_compared_in_lower_case(fork: Path, kind: Kind, name: str, is_there: bool) -> None:
    assert has_name(fork, kind, name, any_case=True) is is_there


@pytest.mark.parametrize(
    ("kind", "name", "is_there"),
    [
        ("sampler", "oort", True),
        ("sampler", "", False),
        ("aggregator", "fltrust", True),
        ("aggregator", "FLTrust", False),
        ("metrics", "top5", True),
        ("loss", "SoftLoss", True),
        ("loss", "softloss", False),
        ("optimizer", "oort", False),
    ],
)
def test_kinds_that_are_compared_as_they_are_written(fork: Path, kind: Kind, name: str, is_there: bool) -> None:
    assert has_name(fork, kind, name) is is_there


def test_a_wheel_has_the_same_names(fork: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "federatedscope-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in fork.rglob("*.py"):
            archive.write(path, str(path.relative_to(fork)))
    assert has_name(wheel, "trainer", "anchortrainer", any_case=True)
    assert has_name(wheel, "model", "studynet", any_case=True)
    assert not has_name(wheel, "model", "othernet", any_case=True)


def test_own_code_that_is_no_python_is_named(fork: Path) -> None:
    (fork / "federatedscope/contrib/model/broken.py").write_text("def call(", encoding="utf-8")
    with pytest.raises(CodeError, match=r"broken\.py"):
        has_name(fork, "model", "studynet")


@pytest.mark.federatedscope
def test_federatedscope_itself_adds_no_names() -> None:
    if not SOURCE:
        pytest.skip(f"no FederatedScope to test against: {SETTINGS} name no checkout")
    lower: tuple[tuple[Kind, str], ...] = (
        ("worker", "fedprox"), ("worker", "krum"), ("trainer", "graphfullbatch"), ("model", "lenet"),
        ("data", "alpaca@llm"), ("data", "mini-graph-dc"),
    )  # fmt: skip
    for kind, name in lower:
        assert not has_name(Path(SOURCE), kind, name, any_case=True), name
    others: tuple[tuple[Kind, str], ...] = (
        ("aggregator", "Krum"), ("metrics", "roc-auc"), ("loss", "crossentropyloss"), ("sampler", "x"),
    )  # fmt: skip
    for kind, name in others:
        assert not has_name(Path(SOURCE), kind, name), name
