"""Courses that FederatedScope cannot run between processes are refused, and no others.

Every refused case here was seen to crash or hang FederatedScope v0.3.0 in a course of one server and its clients, or
needs something that a device of the testbed does not have; every accepted case was seen to finish.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from fedsim_runner.engines.federatedscope import refusals as all_rules
from fedsim_runner.engines.federatedscope.course_facts import NAME_THE_FORK
from fedsim_runner.engines.federatedscope.refusals import CONFIG_RULES, DATA_RULES, Course, Participant, Refusal

BASE: dict[str, Any] = {
    "outdir": "/fedsim/out",
    "federate": {"mode": "distributed", "method": "FedAvg", "total_round_num": 3, "client_num": 3},
    "model": {"type": "lr", "out_channels": 10, "task": "classification"},
    "criterion": {"type": "CrossEntropyLoss"},
    "dataloader": {"batch_size": 32},
    "train": {"batch_or_epoch": "epoch", "local_update_steps": 1},
    "eval": {"metrics": ["acc", "correct"], "best_res_update_round_wise_key": "test_loss"},
    "data": {"type": "file"},
}
VERTICAL = "a vertical split of the features"
# Three clients, as many features each.
TREES: dict[str, Any] = {
    "vertical.use": True, "vertical.algo": "xgb", "vertical.dims": [2, 4, 6], "model.type": "xgb_tree",
    "trainer.type": "verticaltrainer", "dataloader.type": "raw", "criterion.type": "CrossEntropyLoss",
}  # fmt: skip
SAMPLES = {"train": 200, "val": 33, "test": 33}
OWN = "federatedscope"


def tree_with(changes: dict[str, Any]) -> dict[str, Any]:
    """The base tree with ``changes`` by dotted key; None removes a key."""
    tree = copy.deepcopy(BASE)
    for key, value in changes.items():
        *above, last = key.split(".")
        holder = tree
        for part in above:
            holder = holder.setdefault(part, {})
        if value is None:
            holder.pop(last, None)
        else:
            holder[last] = value
    return tree


def course(
    changes: dict[str, Any] | None = None,
    server: str = OWN,
    client: str = OWN,
    samples: dict[str, int] | None = None,
    shape: tuple[int, ...] | None = (64,),
    server_samples: dict[str, int] | None = None,
) -> Course:
    tree = tree_with(changes or {})
    clients = [Participant(f"phone-{number}", client, tree, samples or SAMPLES) for number in (1, 2, 3)]
    own = {("model", "somebodys_own"), ("metrics", "somebodys_own"), ("loss", "somebodys_own"), ("loss", "own")}
    return Course(
        Participant("server", server, tree, server_samples or {"test": 60}),
        clients,
        10,
        shape,
        is_added=lambda kind, name, any_case: (kind, name) in own,
    )


def refusals(judged: Course) -> list[Refusal]:
    """What is refused when the file is read, and when the data are known."""
    return list(dict.fromkeys([*all_rules.refusals(judged, CONFIG_RULES), *all_rules.refusals(judged, DATA_RULES)]))


def keys(judged: Course) -> list[str]:
    return [refusal.key for refusal in refusals(judged)]


def test_a_plain_course_is_accepted() -> None:
    assert keys(course()) == []


def test_a_course_without_federatedscope_is_not_checked() -> None:
    assert keys(course({"quantization.method": "uniform"}, server="light", client="light")) == []


# What is refused, by which key, and a part of the reason.
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"quantization.method": "uniform"}, "quantization.method", "its tensors are text"),
    ({"federate.use_diff": True}, "federate.use_diff", "AssertionError"),
    ({"federate.use_ss": True}, "federate.use_ss", "crashes on the first update"),
    ({"federate.sampler": "group"}, "federate.sampler", "crashes when the course starts"),
    ({"federate.sampler": "responsiveness"}, "federate.sampler", "crashes when the course starts"),
    ({"federate.sampler": ""}, "federate.sampler", "does not know it"),
    ({"federate.join_in_info": ["num_sample"]}, "federate.join_in_info", "when they join"),
    ({"federate.join_in_info": ["client_resource"]}, "federate.join_in_info", "resource_info_file"),
    ({"federate.join_in_info": ["size"]}, "federate.join_in_info", "do not know size"),
    ({"federate.method": "FedSagePlus"}, "federate.method", "arrive as lists"),
    ({"hpo.fedex.use": True}, "hpo.fedex.use", "search space"),
    ({"hpo.fts.use": True}, "hpo.fts.use", "search space"),
    ({"hpo.pfedhpo.use": True}, "hpo.pfedhpo.use", "search space"),
    ({"hpo.scheduler": "rs"}, "hpo.scheduler", "hpo.py searches"),
    ({"hpo.num_workers": 3, "hpo.init_cand_num": 3}, "hpo.scheduler", "hpo.py searches"),
    ({"hpo.ss": "space.yaml"}, "hpo.scheduler", "hpo.py searches"),
    ({"federate.method": "FedFoo"}, "federate.method", "would run FedAvg"),
    ({"federate.method": "FedProx"}, "federate.method", "fedprox: {use: true"),
    ({"nbafl.use": True, "federate.make_global_eval": True}, "nbafl.use", "crashes when it starts"),
    ({"model.type": "gpt2@huggingface_llm"}, "model.type", "fetches from a hub"),
    ({"attack.attack_method": "dlg"}, "attack.attack_method", "standalone"),
    ({"eval.monitoring": ["dissim"]}, "eval.monitoring", "still text"),
    ({"aggregator.robust_rule": "median"}, "aggregator.robust_rule", "still text"),
    ({"aggregator.robust_rule": "krum"}, "aggregator.robust_rule", "still text"),
    ({"federate.method": "global"}, "federate.method", "the data of all"),
    ({"federate.method": "pFedMe", "federate.make_global_eval": True}, "federate.make_global_eval", "counts epochs"),
    ({"federate.method": "Ditto", "federate.make_global_eval": True}, "federate.make_global_eval", "Ditto makes"),
    ({"federate.method": "FedEM"}, "federate.method", "several models"),
    ({"model.model_num_per_trainer": 3}, "model.model_num_per_trainer", "several models"),
    ({"backend": "tensorflow"}, "backend", "torch"),
    ({"vertical.use": True}, "vertical.use", "not features"),
    ({"sgdmf.use": True}, "sgdmf.use", "ratings"),
    ({"feat_engr.type": "min_max_norm"}, "feat_engr.type", "vertical splits"),
    ({"model.type": "gcn"}, "model.type", "needs graphs"),
    ({"model.type": "gnn_gin"}, "model.type", "needs graphs"),
    ({"model.type": "google/bert@transformers"}, "model.type", "devices reach no network"),
    ({"model.type": "xgb_tree"}, "model.type", "vertical"),
    ({"trainer.type": "nodefullbatch_trainer"}, "trainer.type", "needs graphs"),
    ({"dataloader.type": "graphsaint-rw"}, "dataloader.type", "needs graphs"),
    ({"dataloader.type": "raw"}, "dataloader.type", "single samples"),
    ({"asyn.use": True, "asyn.aggregator": "time_up"}, "asyn.aggregator", "simulated clock"),
    ({"criterion.type": "MSELoss"}, "criterion.type", "10 classes"),
    ({"criterion.type": None}, "criterion.type", "FederatedScope's default"),
    ({"criterion.type": "BCEWithLogitsLoss"}, "criterion.type", "10 classes"),
    ({"model.out_channels": 9}, "model.out_channels", "less than the 10 classes"),
    ({"model.out_channels": None}, "model.out_channels", "1 (FederatedScope's default) is less"),
    ({"eval.best_res_update_round_wise_key": "loss"}, "eval.best_res_update_round_wise_key", "does not name a result"),
    ({"eval.best_res_update_round_wise_key": "test_f1"}, "eval.best_res_update_round_wise_key", "never computed"),
    ({"eval.split": ["val"]}, "eval.best_res_update_round_wise_key", "eval.split is val"),
    (
        {"eval.best_res_update_round_wise_key": None, "federate.make_global_eval": True},
        "eval.best_res_update_round_wise_key",
        "val_loss (FederatedScope's default) is not among the server's",
    ),
    ({"federate.make_global_eval": True, "eval.split": ["val"]}, "eval.split", "nothing to evaluate"),
    ({"dataloader.drop_last": True, "dataloader.batch_size": 201}, "dataloader.drop_last", "nothing would be left"),
    ({"dataloader.drop_last": True, "dataloader.batch_size": 40}, "dataloader.drop_last", "drop them all"),
    ({"dataloader.batch_size": 0}, "dataloader.batch_size", "at least 1"),
    ({"eval.freq": 0}, "eval.freq", "at least 1"),
    ({"early_stop.patience": -1}, "early_stop.patience", "at least 0"),
    ({"early_stop.improve_indicator_mode": "worst"}, "early_stop.improve_indicator_mode", "does not know"),
    ({"train.batch_or_epoch": "step"}, "train.batch_or_epoch", "does not know"),
    ({"distribute.grpc_compression": "zip"}, "distribute.grpc_compression", "does not know"),
    ({"asyn.broadcast_manner": "never"}, "asyn.broadcast_manner", "does not know"),
    ({"model.layer": 10**9}, "model.layer", "1,000,000,000 layers are more than any machine holds"),
    ({"fedswa.use": True}, "fedswa.start_rnd", "after the last round"),
]


@pytest.mark.parametrize(("changes", "key", "part"), REFUSED, ids=[str(changes) for changes, _, _ in REFUSED])
def test_what_crashes_is_refused_with_its_reason(changes: dict[str, Any], key: str, part: str) -> None:
    found = refusals(course(changes))
    assert [refusal.key for refusal in found][:1] == [key]
    assert len({refusal.key for refusal in found}) == 1
    assert part in f"{found[0].reason} {found[0].hint}"
    assert found[0].hint
    assert found[0].path == tuple(key.split("."))


@pytest.mark.parametrize(
    "changes",
    [
        {"federate.sample_client_num": 2},
        {"federate.unseen_clients_rate": 0.34},
        {"federate.make_global_eval": True},
        {"federate.join_in_info": ["num_sample"], "train.batch_or_epoch": "batch"},
        {"asyn.use": True, "asyn.min_received_num": 2},
        {"asyn.aggregator": "time_up"},
        {"asyn.use": True, "asyn.overselection": True, "asyn.time_budget": 5},
        {"distribute.grpc_compression": "GZIP"},
        {"eval.split": ["test"]},
        {"eval.best_res_update_round_wise_key": "test_acc"},
        {"eval.best_res_update_round_wise_key": None},
        {"dataloader.drop_last": True},
        {"model.out_channels": 20},
        {"model.type": "somebodys_own"},
        {"trainer.type": "cvtrainer"},
        {"fedprox.use": True, "fedprox.mu": 0.1},
        {"fedopt.use": True, "federate.method": "FedOpt"},
        {"federate.method": "pFedMe"},
        {"federate.method": "ditto"},
        {"federate.method": "local"},
        {"nbafl.use": True},
        {"hpo.scheduler": "rs", "hpo.num_workers": 0, "hpo.pbt.max_stage": 5, "hpo.metric": "client.val_loss"},
        {"hpo.larger_better": False, "hpo.fedex.use": False},
        {"finetune.before_eval": True},
        {"eval.metrics": ["acc", "somebodys_own"]},
        {"eval.report": ["raw"]},
        {"criterion.type": "NLLLoss"},
    ],
    ids=str,
)
def test_what_works_is_accepted(changes: dict[str, Any]) -> None:
    assert keys(course(changes)) == []


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("graphs", {"model.type": "gcn", "dataloader.type": "pyg", "trainer.type": "nodefullbatch_trainer"}),
        ("ratings", {"model.type": "hmfnet", "trainer.type": "mftrainer", "sgdmf.use": True, "criterion.type": None}),
        (
            "pairs of augmented images",
            {"model.type": "simclr", "trainer.type": "cltrainer", "criterion.type": "NT_xentloss"},
        ),
        (
            "graphs",
            {
                "model.type": "gin",
                "federate.make_global_eval": True,
                "eval.split": ["val"],
                "eval.best_res_update_round_wise_key": "val_loss",
            },
        ),
    ],
    ids=str,
)
def test_other_data_are_accepted_where_federatedscope_loads_them(kind: str, changes: dict[str, Any]) -> None:
    unknown = replace(course(changes), classes=None, shape=None)
    loaded = replace(unknown, loads_data=True, other_data=kind)
    assert keys(unknown) != []
    assert keys(loaded) == []
    # But for its own engine only.
    mixed = replace(loaded, clients=[replace(client, engine="light") for client in loaded.clients])
    assert keys(mixed) == ["data.type"]


def test_trees_are_accepted_where_federatedscope_splits_the_features() -> None:
    unknown = replace(course(TREES), classes=None, shape=None)
    loaded = replace(unknown, loads_data=True, other_data=VERTICAL)
    assert {"vertical.use", "model.type", "trainer.type"} <= set(keys(unknown))
    assert keys(loaded) == []
    assert keys(replace(loaded, round_limits=("course.round_deadline",))) == ["vertical.use"]
    assert keys(replace(loaded, goes_offline=True)) == ["vertical.use"]


@pytest.mark.parametrize(
    ("changes", "other", "key"),
    [
        ({"model.type": "xgb_tree"}, VERTICAL, "vertical.use"),
        ({"model.type": "xgb_tree"}, None, "model.type"),
        (TREES | {"vertical.algo": "lr"}, VERTICAL, "vertical.algo"),
        (TREES | {"vertical.protect_method": "he"}, VERTICAL, "vertical.protect_method"),
        (TREES | {"vertical.eval_protection": "he"}, VERTICAL, "vertical.eval_protection"),
        (TREES | {"vertical.mode": "label_scattering"}, VERTICAL, "vertical.mode"),
        (TREES | {"vertical.dims": [2, 4]}, VERTICAL, "vertical.dims"),
        (TREES | {"vertical.dims": [2, 4, 9]}, VERTICAL, "vertical.dims"),
        (TREES | {"vertical.dims": "all"}, VERTICAL, "vertical.dims"),
        ({"model.type": "atc_model"}, "several texts at once", "data.type"),
        ({"federate.method": "GCFLPlus", "model.type": "gin"}, "graphs", "federate.method"),
        ({"federate.method": "fedgc", "model.type": "simclr"}, "pairs of augmented images", "federate.method"),
        ({"hpo.scheduler": "sha", "model.type": "gcn"}, "graphs", "hpo.scheduler"),
        ({"model.type": "hmfnet"}, "graphs", "model.type"),
        ({"model.type": "gcn"}, None, "model.type"),
        (
            {"model.type": "gpr", "trainer.type": "nodeminibatch_trainer", "dataloader.type": "pyg"},
            "graphs",
            "trainer.type",
        ),
        ({"model.type": "gcn", "trainer.type": "graphfullbatch"}, "graphs", "trainer.type"),
        (
            {"model.type": "gin", "trainer.type": "graphminibatch_trainer", "criterion.type": None},
            "graphs",
            "criterion.type",
        ),
    ],
    ids=str,
)
def test_other_data_do_not_make_everything_work(changes: dict[str, Any], other: str | None, key: str) -> None:
    assert key in keys(replace(course(changes), classes=None, shape=None, loads_data=True, other_data=other))


def test_the_hint_for_an_unknown_name_offers_those_for_the_data_at_hand() -> None:
    judged = course({"trainer.type": "graphfullbatch"})
    for other, offered in ((None, "known: cvtrainer, general, "), ("graphs", "nodefullbatch_trainer, ")):
        found = refusals(replace(judged, loads_data=other is not None, other_data=other))
        (unknown,) = (one for one in found if one.key == "trainer.type")
        assert offered in str(unknown.hint)


@pytest.mark.parametrize(
    ("model", "shape", "allowed"),
    [
        ("convnet2", (1, 8, 8), True),
        ("convnet2", (1, 3, 3), False),
        ("convnet2", (64,), False),
        ("convnet5", (1, 28, 28), False),
        ("vgg11", (3, 32, 32), True),
        ("ConvNet2", (1, 8, 8), False),
    ],
)
def test_images_must_be_large_enough(model: str, shape: tuple[int, ...], allowed: bool) -> None:
    assert keys(course({"model.type": model}, shape=shape)) == ([] if allowed else ["model.type"])


@pytest.mark.parametrize(
    ("changes", "train", "allowed"),
    [
        ({}, 193, False),
        ({}, 194, True),
        ({"dataloader.drop_last": True}, 193, True),
        ({"model.layer": 1}, 193, True),
        ({"train.batch_or_epoch": "batch", "train.local_update_steps": 6}, 193, True),
        ({"train.batch_or_epoch": "batch", "train.local_update_steps": 7}, 193, False),
        ({"train.batch_or_epoch": "batch", "train.local_update_steps": 4, "grad.grad_accum_count": 2}, 193, False),
        ({"model.type": "lr"}, 193, True),
        ({"model.type": "convnet2"}, 193, True),
    ],
    ids=str,
)
def test_a_last_batch_of_one_sample(changes: dict[str, Any], train: int, allowed: bool) -> None:
    shape = (1, 8, 8) if changes.get("model.type") == "convnet2" else (64,)
    judged = course({"model.type": "mlp", **changes}, samples={**SAMPLES, "train": train}, shape=shape)
    assert keys(judged) == ([] if allowed else ["dataloader.drop_last"])


def test_the_same_reason_for_many_clients_is_one_refusal() -> None:
    found = refusals(course({"model.type": "mlp"}, samples={**SAMPLES, "train": 193}))
    assert len(found) == 1
    assert found[0].reason.startswith("phone-1's 193 training samples leave a last batch of one")
    assert found[0].reason.endswith("; the same holds for 2 more")


def test_an_evaluation_that_would_drop_everything() -> None:
    dropped = {"dataloader.drop_last": True}
    small = {**SAMPLES, "val": 20}
    assert keys(course(dropped, samples=small)) == ["dataloader.drop_last"]
    assert keys(course(dropped | {"eval.split": ["test"]}, samples=small)) == []
    assert keys(course(dropped | {"federate.make_global_eval": True}, samples=small)) == []
    judged = course(dropped | {"federate.make_global_eval": True}, server_samples={"test": 31})
    assert keys(judged) == ["dataloader.drop_last"]
    # The light engine evaluates what FederatedScope drops.
    assert keys(course(dropped, client="light", samples=small)) == []


def test_nothing_is_refused_because_of_unknown_data() -> None:
    tree = tree_with({"model.type": "mlp", "model.out_channels": 1, "dataloader.drop_last": True})
    unknown = Course(Participant("server", OWN, tree), [Participant("phone-1", OWN, tree)])
    assert keys(unknown) == []


@pytest.mark.parametrize(
    ("changes", "side"),
    [
        ({"federate.use_ss": True}, "server"),
        ({"federate.sampler": "group"}, "server"),
        ({"asyn.use": True, "asyn.aggregator": "time_up"}, "server"),
        ({"federate.make_global_eval": True, "eval.best_res_update_round_wise_key": "val_loss"}, "server"),
        ({"federate.join_in_info": ["num_sample"]}, "client"),
    ],
    ids=str,
)
def test_only_the_side_that_crashes_counts(changes: dict[str, Any], side: str) -> None:
    for server, client in ((OWN, "light"), ("light", OWN)):
        crashes = (server if side == "server" else client) == OWN
        assert len(keys(course(changes, server=server, client=client))) == int(crashes)


def test_a_round_deadline_needs_rounds_that_end() -> None:
    asynchronous = replace(course({"asyn.use": True}), round_limits=("course.round_deadline",))
    assert keys(asynchronous) == ["asyn.use"]
    assert keys(replace(course(), round_limits=("course.round_deadline",))) == []


def test_wrong_types_are_left_to_the_check_of_keys() -> None:
    assert keys(course({"dataloader.batch_size": "many", "eval.freq": [], "federate.join_in_info": "num_sample"})) == [
        "federate.join_in_info"
    ]


def test_numbers_may_be_written_as_text_as_federatedscope_reads_them() -> None:
    assert keys(course({"dataloader.batch_size": "32", "model.out_channels": "10"})) == []
    assert keys(course({"dataloader.batch_size": "0"})) == ["dataloader.batch_size"]
    assert keys(course({"federate.use_diff": "True"})) == ["federate.use_diff"]


def test_numbers_that_are_not_finite_are_left_to_the_check_of_values() -> None:
    assert keys(course({"dataloader.batch_size": float("inf"), "eval.freq": float("nan")})) == []


def test_methods_of_the_users_own_workers_are_accepted() -> None:
    own = course({"federate.method": "MyMethod"})
    assert keys(replace(own, is_added=lambda *asked: asked == ("worker", "mymethod", True))) == []
    assert keys(own) == ["federate.method"]


def test_samplers_of_a_fork_are_accepted() -> None:
    own = course({"federate.sampler": "oort"})
    assert keys(replace(own, is_added=lambda *asked: asked == ("sampler", "oort", False))) == []
    assert keys(own) == ["federate.sampler"]


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("model.type", "convnet3", 'did you mean "convnet5"?'),
        ("trainer.type", "cvtrain", 'did you mean "cvtrainer"?'),
        ("criterion.type", "crossentropyloss", 'did you mean "CrossEntropyLoss"?'),
        ("train.optimizer.type", "sgd", 'did you mean "SGD"?'),
        ("finetune.optimizer.type", "adam", 'did you mean "Adam"?'),
        ("fedopt.optimizer.type", "adam", 'did you mean "Adam"?'),
        ("train.scheduler.type", "steplr", 'did you mean "StepLR"?'),
        ("regularizer.type", "proximal", 'did you mean "proximal_regularizer"?'),
        ("dataloader.type", "torch", f"known: base; {NAME_THE_FORK}"),
        ("aggregator.robust_rule", "Krum", f"known: fedavg; {NAME_THE_FORK}"),
        ("eval.metrics", ["acc", "roc-auc"], 'did you mean "roc_auc"?'),
        ("eval.report", ["average"], 'did you mean "avg"?'),
        ("eval.split", ["test", "valid"], 'did you mean "val"?'),
    ],
)
def test_names_that_nobody_has_are_refused(key: str, value: Any, hint: str) -> None:
    assert [(found.key, found.hint) for found in refusals(course({key: value}))] == [(key, hint)]


@pytest.mark.parametrize("name", ["resnet18", "MyNet", "gpt2@transformers", "LSTM"])
def test_names_of_families_and_in_any_case_are_known(name: str) -> None:
    assert not [found for found in refusals(course({"model.type": name})) if "does not know" in found.reason]


def test_names_of_the_users_own_code_are_accepted() -> None:
    own = course({"model.type": "StudyNet-v2"})
    assert keys(replace(own, is_added=lambda *asked: asked == ("model", "studynet-v2", True))) == []
    (refused,) = refusals(replace(own, where_else="nor has the fork"))
    assert (refused.key, refused.hint.partition("; ")[2]) == ("model.type", "nor has the fork")


@pytest.mark.parametrize(
    ("changes", "topic"),
    [
        ({"model.type": "gcn"}, "graphs"),
        ({"vertical.use": True}, "a vertical split of the features"),
        ({"hpo.scheduler": "sha"}, "search for hyperparameters"),
        ({"attack.attack_method": "dlg"}, "attacks"),
        ({"model.type": "a/b@transformers"}, "large language models"),
        ({"model.type": "hmfnet"}, "ratings"),
        ({"eval.freq": 0}, ""),
    ],
    ids=str,
)
def test_what_a_course_as_a_whole_is_about_is_its_topic(changes: dict[str, Any], topic: str) -> None:
    assert refusals(course(changes))[0].topic == topic
