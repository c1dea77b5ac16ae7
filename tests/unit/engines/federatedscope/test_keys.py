"""The keys that a version of FederatedScope knows, read from its source."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.catalog.federatedscope_keys import FORK_KEYS, LOADER_KEYS, OLDER_KEYS, known_keys
from fedsim_runner.engines.federatedscope.course_facts import NAME_ANOTHER, NAME_THE_FORK
from fedsim_runner.engines.federatedscope.keys import Section, check_keys, read_keys
from fedsim_runner.engines.federatedscope.source_code import CodeError
from tests.federatedscope import SETTINGS, SOURCE

TRAINING = """
from federatedscope.core.configs.config import CN
from federatedscope.core.configs.yacs_config import Argument


def extend_training_cfg(cfg):
    cfg.federate = CN()
    cfg.federate.client_num = 0
    cfg.federate.mode = 'standalone'
    cfg.federate.sampler = Argument('uniform', description="how")
    cfg.federate.limit = 300 * 1024 * 1024
    cfg.federate.who = somebody()
    cfg.federate.join_in_info = []
    cfg.federate.rate = -1.0
    cfg.train = CN()
    cfg.train.optimizer = CN(new_allowed=True)
    cfg.train.optimizer.lr = 0.1
    cfg.early = CN()
    cfg.early.lr = 0.1
    cfg.register_cfg_check_fun(assert_training_cfg)


def assert_training_cfg(cfg):
    cfg.federate.made_up = 1
"""
BASE = """
class CN(dict):
    def __init__(self, new_allowed=False):
        self.is_ready_for_run = False


def init_global_cfg(cfg):
    cfg.seed = 0
    cfg.use_gpu = False
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout" / "federatedscope" / "core" / "configs"
    folder.mkdir(parents=True)
    (folder / "cfg_training.py").write_text(TRAINING, encoding="utf-8")
    (folder / "config.py").write_text(BASE, encoding="utf-8")
    own = tmp_path / "checkout" / "federatedscope" / "contrib" / "configs"
    own.mkdir(parents=True)
    (own / "mine.py").write_text("def extend(cfg):\n    cfg.mine = True\n", encoding="utf-8")
    return tmp_path / "checkout"


def problems(tree: dict[str, Any], known: Section) -> list[str]:
    return [str(problem) for problem in check_keys(tree, known)]


def test_valid_values_are_accepted(checkout: Path) -> None:
    tree = {
        "seed": 7,
        "mine": False,
        "federate": {"client_num": 3.0, "sampler": "group", "limit": 5, "who": [1], "join_in_info": 7, "rate": 1},
        "train": {"optimizer": {"lr": "1e-3", "momentum": 0.9, "nested": {"any": "thing"}}},
    }
    assert problems(tree, read_keys(checkout)) == []


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"sed": 7}, 'sed: unknown key of FederatedScope (did you mean "seed"?)'),
        ({"federate": {"mod": ""}}, 'federate.mod: unknown key of FederatedScope (did you mean "mode"?)'),
        ({"train": {"lr": 0.1}}, "train.lr: unknown key of FederatedScope (is it train.optimizer.lr or early.lr?)"),
        ({"optimizer": {"lr": 0.1}}, "optimizer.lr: a key of an older FederatedScope (it is now train.optimizer.lr)"),
        (
            {"federate": {"standalone": True}},
            "federate.standalone: a key of an older FederatedScope, which is gone (federate.mode)",
        ),
        (
            {"llm": {"tok_len": 9}},
            "llm: a key of FederatedScope-LLM, which FederatedScope itself does not have (remove it; or name the "
            "branch as federatedscope.source: git+https://github.com/alibaba/FederatedScope@llm)",
        ),
        (
            {"maml": {"use": True}},
            "maml: a key of the branch B-FHTL, which FederatedScope itself does not have (remove it; that branch is of "
            "an older FederatedScope, which does not run here)",
        ),
        (
            {"train.optimizer.lr": 1},
            "train.optimizer.lr: unknown key of FederatedScope (a dot in a key does not make a section in YAML: write "
            "train: {optimizer: {lr: ...}})",
        ),
        (
            {"train": {"optimizer.lr": 1}},
            "train.optimizer.lr: unknown key of FederatedScope (a dot in a key does not make a section in YAML: write "
            "optimizer: {lr: ...})",
        ),
        ({"zzz": 1}, f"zzz: unknown key of FederatedScope ({NAME_THE_FORK})"),
        ({"federate": {"made_up": 1}}, f"federate.made_up: unknown key of FederatedScope ({NAME_THE_FORK})"),
        ({"is_ready_for_run": True}, f"is_ready_for_run: unknown key of FederatedScope ({NAME_THE_FORK})"),
        ({"federate": {"client_num": True}}, "federate.client_num: must be a number, not True"),
        ({"federate": {"client_num": "three"}}, "federate.client_num: must be a number, not 'three'"),
        ({"federate": {"sampler": 3}}, "federate.sampler: must be text, not 3"),
        ({"federate": {"mode": "7"}}, 'federate.mode: must be text, not "7", which FederatedScope reads as a number'),
        ({"use_gpu": 0}, "use_gpu: must be true or false, not 0"),
        ({"use_gpu": None}, "use_gpu: must be true or false, not None"),
        ({"federate": {"client_num": {"a": 1}}}, "federate.client_num: must be a number, not a mapping"),
        ({"federate": 3}, "federate: must be a mapping, not 3"),
        ({"train": {"optimizer": {"lr": "x" * 60}}}, f"train.optimizer.lr: must be a number, not '{'x' * 36}..."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_reported_with_a_hint(checkout: Path, tree: dict[str, Any], expected: str) -> None:
    assert problems(tree, read_keys(checkout)) == [expected]


def test_every_older_key_is_told_with_where_it_went(checkout: Path) -> None:
    tree = {
        "federate": {"local_update_steps": 4, "batch_or_epoch": "epoch"},
        "optimizer": {"lr": 0.1, "type": "SGD", "grad_clip": 5.0, "nesterov": True},
        "trainer": {"finetune": {"steps": 5}},
    }
    assert problems(tree, read_keys(checkout)) == [
        "federate.local_update_steps: a key of an older FederatedScope (it is now train.local_update_steps)",
        "federate.batch_or_epoch: a key of an older FederatedScope (it is now train.batch_or_epoch)",
        "optimizer.lr: a key of an older FederatedScope (it is now train.optimizer.lr)",
        "optimizer.type: a key of an older FederatedScope (it is now train.optimizer.type)",
        "optimizer.grad_clip: a key of an older FederatedScope (it is now grad.grad_clip)",
        "optimizer.nesterov: a key of an older FederatedScope (it is now train.optimizer.nesterov)",
        "trainer.finetune.steps: a key of an older FederatedScope (it is now finetune.local_update_steps)",
    ]


def test_any_part_of_a_fork_may_have_a_folder_of_keys(checkout: Path) -> None:
    folder = checkout / "federatedscope/nlp/configs"
    folder.mkdir(parents=True)
    (folder / "cfg.py").write_text("def extend(cfg):\n    cfg.prompts = 3\n", encoding="utf-8")
    assert problems({"prompts": 1}, read_keys(checkout)) == []


@pytest.mark.parametrize("tree", [{"ggeur": {"use": True, "clip_model_path": "a"}}, {"zzz": 1}])
def test_a_forks_section_is_one_problem_whose_hint_is_to_name_the_fork(checkout: Path, tree: dict[str, Any]) -> None:
    (problem,) = check_keys(tree, read_keys(checkout))
    assert problem.hint is not None
    assert problem.hint.endswith(NAME_THE_FORK)
    (problem,) = check_keys(tree, read_keys(checkout), NAME_ANOTHER)
    assert problem.hint is not None
    assert problem.hint.endswith(NAME_ANOTHER)


def test_a_wheel_has_the_same_keys(checkout: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "federatedscope-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in checkout.rglob("*.py"):
            archive.write(path, str(path.relative_to(checkout)))
        archive.writestr("federatedscope/core/other.py", "def extend(cfg):\n    cfg.other = 1\n")
    assert set(read_keys(wheel).paths()) == set(read_keys(checkout).paths())


@pytest.mark.parametrize("text", [None, "def f(cfg:", "def f(cfg):\n    cfg.seed = 0\n"])
def test_a_source_without_keys(tmp_path: Path, text: str | None) -> None:
    folder = tmp_path / "federatedscope" / "core" / "configs"
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "cfg_a.py").write_text(text, encoding="utf-8")
    with pytest.raises(CodeError, match=str(tmp_path)):
        read_keys(tmp_path)


def test_a_file_that_is_not_a_wheel(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_text("no archive", encoding="utf-8")
    with pytest.raises(CodeError, match="cannot be read"):
        read_keys(tmp_path / "a.whl")
    with pytest.raises(CodeError, match="cannot be read"):
        read_keys(tmp_path / "b.whl")


@pytest.mark.federatedscope
def test_the_keys_of_federatedscope_itself() -> None:
    if not SOURCE:
        pytest.skip(f"no FederatedScope to test against: {SETTINGS} name no checkout")
    known = read_keys(Path(SOURCE))
    paths = set(known.paths())
    assert len(paths) > 300
    assert {("federate", "client_num"), ("train", "optimizer", "lr"), ("asyn", "min_received_num")} <= paths
    assert {("asyn", "receive_counting"), ("asyn", "aggregator_goal")} & paths == set()
    assert known.sections["train"].sections["optimizer"].open
    assert known.sections["distribute"].defaults["grpc_max_send_message_length"] == 300 * 2**20
    assert not known.unknown


@pytest.mark.federatedscope
def test_the_bundled_keys_are_those_of_the_version_that_is_the_default() -> None:
    if not SOURCE:
        pytest.skip(f"no FederatedScope to test against: {SETTINGS} name no checkout")
    assert known_keys().as_tree() == read_keys(Path(SOURCE)).as_tree(), "run tools/federatedscope_keys.py"


def test_older_keys_and_those_of_forks_are_none_of_the_present_ones() -> None:
    known = known_keys()
    for key in (*OLDER_KEYS, *FORK_KEYS):
        section = known.below(tuple(key.split("."))[:-1])
        assert section is None or section.open or not known.has(tuple(key.split("."))), key
    for target in OLDER_KEYS.values():
        name = target.partition(":")[0].partition(",")[0].partition(" ")[0]
        assert name == "gone" or known.has(tuple(name.split("."))), target
    for old, new in LOADER_KEYS.items():
        assert known.has(("data", old))
        assert known.has(("dataloader", new))
