"""Rules: names of models, losses, optimizers and the like must be ones that FederatedScope, or its user, has.

With some other names FederatedScope goes on without what was asked for; with most it fails when the course begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedsim_runner.catalog.losses import CLASS_LOSSES, MORE_LOSSES, NUMBER_LOSSES, OTHER_INPUTS
from fedsim_runner.catalog.suggestions import suggestion

from .course_facts import Course, Kind, Refusal, Tree

_FAILS = "it fails when the course begins"
_IGNORES = "it would go on without it, with no more than a warning"
_OPTIMIZERS = (
    "SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "Adafactor",
)  # fmt: skip
# They need a closure, sparse gradients or matrices.
_OTHER_OPTIMIZERS = ("LBFGS", "SparseAdam", "Muon", "myoptimizer")
_SCHEDULERS = (
    "warmup_step", "warmup_noam", "LambdaLR", "MultiplicativeLR", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR",
    "ExponentialLR", "PolynomialLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR",
)  # fmt: skip
_OTHER_SCHEDULERS = ("", "cos_lr_scheduler", "myscheduler", "ReduceLROnPlateau", "SequentialLR", "ChainedScheduler")
_MODELS_OF_OTHER_DATA = (
    "gcn", "sage", "gpr", "gat", "gin", "mpnn", "vmfnet", "hmfnet", "atc_model", "simclr", "simclr_linear",
    "supervised_local", "supervised_fedavg", "xgb_tree", "gbdt_tree", "random_forest",
)  # fmt: skip
_TRAINERS_OF_OTHER_DATA = (
    "graphminibatch_trainer", "linkfullbatch_trainer", "linkminibatch_trainer", "nodefullbatch_trainer",
    "nodeminibatch_trainer", "flitplustrainer", "flittrainer", "fedvattrainer", "fedfocaltrainer", "mftrainer",
    "cltrainer", "lptrainer", "atc_trainer", "verticaltrainer", "none",
)  # fmt: skip


@dataclass(frozen=True)
class _Kind:
    """What one key names.

    Attributes:
        offered: names that a hint may offer.
        others: other names that FederatedScope has: other rules say what is wrong with them, if anything is.
        kind: what it is where code of the source may add others; None: nobody can.
        families: parts that names of a family have.
        lower: whether FederatedScope compares it in lower case.
        otherwise: what becomes of a course with another name.
        of_other_data: names for data that are no labelled samples, which a hint offers for such data.
    """

    key: str
    offered: Sequence[str]
    others: Sequence[str] = ()
    kind: Kind | None = None
    families: Sequence[str] = ()
    lower: bool = False
    otherwise: str = _FAILS
    of_other_data: Sequence[str] = ()


# auxiliaries/*_builder.py, monitors/metric_calculator.py and what contrib/ of v0.3.0 adds.
KINDS = (
    _Kind(
        "model.type",
        ("lr", "mlp", "convnet2", "convnet5", "vgg11", "lstm", "quadratic"),
        ("fedsam_conv2", "mynet"),
        "model",
        ("transformers", "_llm", "gnn_", "resnet"),
        lower=True,
        of_other_data=_MODELS_OF_OTHER_DATA,
    ),
    _Kind(
        "trainer.type",
        ("general", "cvtrainer", "nlptrainer", "local_entropy_trainer", "sam_trainer"),
        ("mytorchtrainer", "mytrainer"),
        "trainer",
        lower=True,
        of_other_data=_TRAINERS_OF_OTHER_DATA,
    ),
    _Kind(
        "criterion.type",
        (*CLASS_LOSSES, *NUMBER_LOSSES),
        (*OTHER_INPUTS, *MORE_LOSSES, "NT_xentloss", "RegressionMSELoss", "mycriterion"),
        "loss",
    ),
    *(
        _Kind(f"{section}.optimizer.type", _OPTIMIZERS, _OTHER_OPTIMIZERS, "optimizer")
        for section in ("train", "finetune", "fedopt")
    ),
    _Kind("train.scheduler.type", _SCHEDULERS, _OTHER_SCHEDULERS, "scheduler"),
    _Kind("regularizer.type", ("proximal_regularizer",), ("",), "regularizer"),
    _Kind("dataloader.type", ("base",), ("raw", "pyg", "graphsaint-rw", "neighbor", "mf"), "dataloader"),
    _Kind(
        "aggregator.robust_rule",
        ("fedavg",),
        ("krum", "median", "trimmedmean", "bulyan", "normbounding"),
        "aggregator",
        otherwise=_IGNORES,
    ),
    _Kind(
        "eval.metrics",
        ("acc", "correct", "loss", "avg_loss", "total", "f1", "ap", "roc_auc", "mse", "rmse", "loss_regular"),
        ("imp_ratio", "std", "poison_attack_acc", "squad", "newsqa", "cnndm", "msqg"),
        "metrics",
        ("hits@",),
        otherwise=_IGNORES,
    ),
    _Kind("eval.report", ("weighted_avg", "avg", "fairness", "raw", "group_avg"), otherwise=_IGNORES),
    _Kind("eval.split", ("train", "val", "test"), otherwise=_IGNORES),
)


def names(tree: Tree, course: Course) -> Iterator[Refusal]:
    """Names that neither FederatedScope nor the code that its source adds to it has."""
    for kind in KINDS:
        for given in tree.names(kind.key):
            name = given.lower() if kind.lower else given
            if name in (*kind.offered, *kind.others, *kind.of_other_data) or any(
                part in name for part in kind.families
            ):
                continue
            if kind.kind is None or not course.is_added(kind.kind, name, kind.lower):
                reason = f'FederatedScope does not know "{given}": {kind.otherwise}'
                offered = (kind.of_other_data if course.other_data else ()) or kind.offered
                hint = suggestion(given, list(offered)) or "choose another"
                elsewhere = kind.kind is not None and "did you mean" not in hint
                yield Refusal(kind.key, reason, f"{hint}; {course.where_else}" if elsewhere else hint)
