"""Data that are no labelled samples train three rounds as FederatedScope makes them.

Ratings, a user's pairs, and trees, for which each client has features of its own.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.federatedscope import runnable_checkout
from tests.unit.engines.federatedscope.three_rounds import run_three_rounds

pytestmark = pytest.mark.federatedscope

RATINGS = """
import numpy as np
from scipy import sparse
from federatedscope.core.data import DummyDataTranslator
from federatedscope.core.data.utils import convert_data_mode
from federatedscope.register import register_data

def ratings(users, seed):
    numbers = np.random.default_rng(seed)
    return sparse.csc_matrix((numbers.random((users, 20)) < 0.6) * numbers.integers(1, 6, (users, 20)), dtype="float32")

def few_ratings(config, client_cfgs):
    if config.data.type != "few_ratings":
        return None
    data = {number: {"train": ratings(6 + number, number), "test": ratings(6 + number, -number % 7)}
            for number in range(1, config.federate.client_num + 1)}
    config.merge_from_list(["model.num_item", 20])
    data = DummyDataTranslator(config, client_cfgs)(data)
    data[0] = data[1]
    return convert_data_mode(data, config), config

register_data("few_ratings", few_ratings)
"""
TWINS = """
import torch
from federatedscope.core.data import BaseDataTranslator
from federatedscope.core.data.utils import convert_data_mode
from federatedscope.register import register_data

class Twins(torch.utils.data.Dataset):
    def __init__(self, count):
        self.x = torch.randn(count, 4)
    def __len__(self):
        return len(self.x)
    def __getitem__(self, index):
        # As augmentations are: drawn anew each time.
        return [self.x[index], self.x[index] + 0.01 * torch.randn(4)], index % 2

def twins(config, client_cfgs):
    if config.data.type != "twins":
        return None
    data = BaseDataTranslator(config, client_cfgs)((Twins(60), Twins(20), Twins(20)))
    return convert_data_mode(data, config), config

register_data("twins", twins)
"""
TWIN_MODEL = """
import torch
from federatedscope.register import register_model

def twin_model(config, shape):
    if config.type == "twin_model":
        return torch.nn.Linear(4, 4)

register_model("twin_model", twin_model)
"""
TWIN_TRAINER = """
from federatedscope.core.trainers import GeneralTorchTrainer
from federatedscope.core.trainers.context import CtxVar
from federatedscope.core.trainers.enums import LIFECYCLE
from federatedscope.register import register_trainer

class TwinTrainer(GeneralTorchTrainer):
    def _hook_on_batch_forward(self, ctx):
        (left, right), _ = ctx.data_batch
        found = ctx.model(left)
        ctx.y_true, ctx.y_prob = CtxVar(right, LIFECYCLE.BATCH), CtxVar(found, LIFECYCLE.BATCH)
        ctx.loss_batch = CtxVar(((found - right) ** 2).mean(), LIFECYCLE.BATCH)
        ctx.batch_size = len(left)

    def update(self, model_parameters, strict=False):
        # As written for standalone mode, where models are not encoded.
        self.ctx.model.load_state_dict(model_parameters, strict=strict)

def twin_trainer(kind):
    if kind == "twin_trainer":
        return TwinTrainer

register_trainer("twin_trainer", twin_trainer)
"""
FEATURES = """
import numpy as np
from federatedscope.core.data import DummyDataTranslator
from federatedscope.core.data.utils import convert_data_mode
from federatedscope.register import register_data

def few_features(config, client_cfgs):
    if config.data.type != "few_features":
        return None
    x = np.random.default_rng(1).random((80, 4))
    y = (x[:, 0] + x[:, 3] > 1).astype(float)
    data = {0: {"train": None, "val": None, "test": {"x": x[60:], "y": y[60:]}}}
    for number, part in ((1, x[:, :2]), (2, x[:, 2:])):
        data[number] = {"train": {"x": part[:60]}, "val": None, "test": {"x": part[60:]}}
    data[2]["train"]["y"], data[2]["test"]["y"] = y[:60], y[60:]
    return convert_data_mode(DummyDataTranslator(config, client_cfgs)(data), config), config

register_data("few_features", few_features)
"""
TREE: dict[str, Any] = {
    "federate": {"total_round_num": 3},
    "criterion": {"type": "MSELoss"},
    "train": {"batch_or_epoch": "epoch", "optimizer": {"lr": 0.1}},
    "eval": {"split": ["test"], "metrics": [], "count_flops": False, "best_res_update_round_wise_key": "test_loss"},
}
# Files in the checkout, and what the course has besides.
KINDS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "ratings, with FederatedScope's own trainer and loader": (
        {"federatedscope/contrib/data/few_ratings.py": RATINGS},
        {
            "data": {"type": "few_ratings"},
            "model": {"type": "hmfnet", "hidden": 4},
            "dataloader": {"type": "mf", "batch_size": 16},
            "trainer": {"type": "mftrainer"},
            "eval": {**TREE["eval"], "best_res_update_round_wise_key": "test_avg_loss"},
        },
    ),
    "samples of several arrays, all of a user's own": (
        {
            "federatedscope/contrib/data/twins.py": TWINS,
            "federatedscope/contrib/model/twins.py": TWIN_MODEL,
            "federatedscope/contrib/trainer/twins.py": TWIN_TRAINER,
        },
        {
            "data": {"type": "twins", "splitter": "lda", "splitter_args": [{"alpha": 100}]},
            "model": {"type": "twin_model", "task": "regression"},
            "dataloader": {"batch_size": 8},
            "trainer": {"type": "twin_trainer"},
        },
    ),
    "trees, each client with features of its own": (
        {"federatedscope/contrib/data/few_features.py": FEATURES},
        {
            "data": {"type": "few_features"},
            "model": {"type": "xgb_tree", "num_of_trees": 3, "max_tree_depth": 3},
            "dataloader": {"type": "raw"},
            "criterion": {"type": "CrossEntropyLoss"},
            "train": {"optimizer": {"eta": 0.5}},
            "trainer": {"type": "verticaltrainer"},
            "vertical": {"use": True, "algo": "xgb", "dims": [2, 4]},
        },
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_three_rounds(kind: str, tmp_path: Path) -> None:
    files, changes = KINDS[kind]
    checkout = tmp_path / "FederatedScope"
    original = runnable_checkout()
    shutil.copytree(original / "federatedscope", checkout / "federatedscope", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(original / "setup.py", checkout)
    for name, text in files.items():
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text(text, encoding="utf-8")
    tree = {"data": {"dataset": "federatedscope"}, "federatedscope": {"config": {**TREE, **changes}}}
    folder, losses = run_three_rounds(tmp_path, checkout, f"objects-{list(KINDS).index(kind)}", tree)
    assert losses[-1] < losses[0]
    table = json.loads((folder / "participants" / "labels.json").read_text(encoding="utf-8"))
    assert (table["shape"], table["classes"]) == (None, [])
    assert table["sizes"]["phone-1"]["train"] > 0
    with np.load(folder / "participants" / "phone-1" / "shard.npz", allow_pickle=False) as shard:
        assert sorted(shard.files) == ["facts", "object"]
