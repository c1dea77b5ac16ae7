"""Rules: what FederatedScope can do only in one process, and what a device of the testbed does not have."""

from __future__ import annotations

from collections.abc import Iterator

from fedsim_runner.catalog.federatedscope_keys import METHODS
from fedsim_runner.spec.search import SWEEP, asks_for_search

from ..model_shapes import explain_too_many_layers
from .course_facts import Course, Refusal, Tree
from .keys import LARGE_MODELS
from .other_data import KEYS, RATINGS, TEXTS, VERTICAL, asked_by

# What a course is about that is refused as a whole.
SEARCH = "search for hyperparameters"
# Those of METHODS that run between processes.
_USABLE_METHODS = ("FedAvg", "FedOpt", "Ditto", "pFedMe", "FedRep", "local")
# Methods that FederatedScope has, but not by this name.
_METHODS_BY_SWITCH = {
    "fedprox": "write FedAvg, and fedprox: {use: true, mu: ...}",
    "fedbn": "write FedAvg, and personalization: {local_param: [bn, norms]}",
    "fedswa": "write FedAvg, and fedswa: {use: true}",
    "nbafl": "write FedAvg, and nbafl: {use: true}",
    "fedasync": "write FedAvg, and asyn: {use: true}",
}
_LABELLED = "data sets other than FederatedScope's own are labelled samples"
_LOADED = "`data: {dataset: federatedscope}` lets FederatedScope load them"
_LARGE_MODELS = ("huggingface_llm", "modelscope_llm")
_ROBUST_RULES = ("krum", "median", "trimmedmean", "bulyan", "normbounding")
# Trainers on parts of a graph, and what yields those.
_SAMPLING_TRAINERS = ("nodeminibatch_trainer", "linkminibatch_trainer")
_SAMPLERS = ("graphsaint-rw", "neighbor")
# Methods whose workers compute with what the network brings as text and lists.
_WORKERS_OF_ONE_PROCESS = {
    "fedsageplus": "the server crashes on the first gradients: it computes with tensors, and they arrive as lists",
    "gcflplus": "the server crashes on the first update: it computes with models that are still text",
    "fedgc": "the server crashes on the first embeddings: it computes with tensors, and they arrive as lists",
}


def values(tree: Tree, course: Course) -> Iterator[Refusal]:
    """Values with which FederatedScope fails at its start."""
    for key, known in (
        ("train.batch_or_epoch", ("batch", "epoch")),
        ("finetune.batch_or_epoch", ("batch", "epoch")),
        ("early_stop.improve_indicator_mode", ("best", "mean")),
        ("asyn.aggregator", ("goal_achieved", "time_up")),
        ("asyn.broadcast_manner", ("after_aggregating", "after_receiving")),
        ("distribute.grpc_compression", ("nocompression", "deflate", "gzip")),
    ):
        if tree[key] not in known and not (key.startswith("distribute") and tree.text(key) in known):
            yield Refusal(key, f"FederatedScope does not know {tree[key]!r}", f"write {' or '.join(known)}")
    for key, low in (
        ("dataloader.batch_size", 1),
        ("eval.freq", 1),
        ("train.local_update_steps", 1),
        ("train.optimizer.lr", 0),
        ("train.optimizer.momentum", 0),
        ("train.optimizer.weight_decay", 0),
        ("early_stop.patience", 0),
        ("early_stop.delta", 0),
        ("asyn.staleness_toleration", 0),
        ("model.model_num_per_trainer", 1),
    ):
        if tree.number(key) < low:
            yield Refusal(key, f"FederatedScope fails with {tree[key]}", f"at least {low}")
    if wrong := explain_too_many_layers(tree.number("model.layer")):
        yield Refusal("model.layer", *wrong)
    if tree["fedswa.use"] is True and tree.number("fedswa.start_rnd") >= tree.number("federate.total_round_num"):
        yield Refusal("fedswa.start_rnd", "the averaging would start after the last round", "below total_round_num")


def not_between_processes(tree: Tree, course: Course) -> Iterator[Refusal]:
    """Features that work only where all participants share one process."""
    if tree.text("quantization.method") != "none":
        yield Refusal(
            "quantization.method",
            "clients crash on the first model: over the network its tensors are text, which is multiplied",
            "write none; distribute.grpc_compression: gzip makes messages smaller",
        )
    if tree["federate.use_diff"] is True:
        yield Refusal(
            "federate.use_diff",
            "FederatedScope's checks allow it only together with hpo.fedex and hpo.fts (AssertionError)",
            "write false",
        )
    for key in ("hpo.fedex.use", "hpo.fts.use", "hpo.pfedhpo.use"):
        if tree[key] is True:
            yield Refusal(key, "its search space is a file that devices do not have", "write false", SEARCH)
    if asks_for_search(tree.config):
        yield Refusal(
            "hpo.scheduler",
            "FederatedScope's hpo.py searches, by running many courses; a course is one of them and ignores hpo",
            f"remove hpo, and give the candidates to a sweep: {SWEEP}",
            SEARCH,
        )
    if tree.text("attack.attack_method"):
        yield Refusal(
            "attack.attack_method",
            "attackers are made in standalone mode only: here none of the clients would attack",
            "remove it",
            "attacks",
        )
    several = tree.number("model.model_num_per_trainer") > 1
    if several or tree.text("federate.method") == "fedem":
        yield Refusal(
            "model.model_num_per_trainer" if several else "federate.method",
            "clients crash on the first models: the trainer of several models cannot load what the network brings",
            "one model per trainer",
        )
    if course.own_server:
        yield from _not_in_the_server(tree, course)


def _not_in_the_server(tree: Tree, course: Course) -> Iterator[Refusal]:
    if tree["federate.use_ss"] is True:
        yield Refusal(
            "federate.use_ss",
            "the server crashes on the first update: it multiplies the parts of the secret, which arrive as text",
            "write false",
        )
    if tree.names("eval.monitoring"):
        yield Refusal(
            "eval.monitoring",
            "the server crashes on the first update: it computes with models that are still text",
            "remove it",
        )
    rule = tree["aggregator.robust_rule"]
    if rule in _ROBUST_RULES:
        yield Refusal(
            "aggregator.robust_rule",
            f"{rule} makes the server crash on the first update: it computes with models that are still text",
            "write fedavg",
        )
    yield from methods(tree, course)
    method = tree.text("federate.method")
    if method in _WORKERS_OF_ONE_PROCESS:
        yield Refusal("federate.method", _WORKERS_OF_ONE_PROCESS[method], "write FedAvg")
    if course.other_data == TEXTS:
        yield Refusal(
            "data.type",
            "the server of several tasks crashes on the first update: it computes with models that are still text",
            "run one experiment for each task",
            TEXTS,
        )
    if method == "global" and len(course.clients) > 1:
        yield Refusal(
            "federate.method",
            "one client trains on the data of all, which only standalone mode gives it",
            "one client device, whose data are all; or write FedAvg",
        )


def methods(tree: Tree, course: Course) -> Iterator[Refusal]:
    """A method that neither FederatedScope nor its source has."""
    method = tree.text("federate.method")
    if method not in METHODS and not course.is_added("worker", method, True):
        yield Refusal(
            "federate.method",
            f"FederatedScope does not know {tree['federate.method']}, and would run FedAvg with no more than a warning",
            _METHODS_BY_SWITCH.get(method) or f"write one of {', '.join(_USABLE_METHODS)}; {course.where_else}",
        )


def noise(tree: Tree, course: Course) -> Iterator[Refusal]:
    """Differential privacy by noise."""
    if tree["nbafl.use"] is True and tree["federate.make_global_eval"] is True and course.own_server:
        yield Refusal(
            "nbafl.use",
            "the server crashes when it starts, because its noise follows from a number of training samples, and a "
            "server that evaluates has none",
            "write make_global_eval: false, so that the clients evaluate",
        )


def not_here(tree: Tree, course: Course) -> Iterator[Refusal]:
    """Features that need more than the testbed has."""
    if tree.text("backend") != "torch":
        reason = "the images have torch and no other library"
        yield Refusal("backend", reason, "write torch, or remove it", "TensorFlow")
    if tree["sgdmf.use"] is True and not course.loads_data:
        yield Refusal("sgdmf.use", f"it is for ratings, and {_LABELLED}", "write false", RATINGS)
    if tree.text("feat_engr.type"):
        yield Refusal("feat_engr.type", "it is made for standalone mode and vertical splits", "remove it")
    if tree.text("model.type").endswith(("transformers", *_LARGE_MODELS)):
        yield Refusal(
            "model.type",
            f"{tree['model.type']} is a pretrained model, which every participant fetches from a hub when it starts, "
            "and devices reach no network",
            "choose another",
            LARGE_MODELS,
        )
    yield from _other_data(tree, course)
    if tree.text("dataloader.type") == "raw" and course.other_data != VERTICAL:
        yield Refusal(
            "dataloader.type",
            "raw yields single samples, and the losses and models here take batches: training crashes",
            "write base, or remove it",
        )


def _other_data(tree: Tree, course: Course) -> Iterator[Refusal]:
    """Data that are no labelled samples: FederatedScope has to load them, and to train with them on every device."""
    for key in KEYS:
        needs = asked_by(key, str(tree[key]))
        if needs and not course.loads_data and needs != VERTICAL:
            yield Refusal(key, f"{tree[key]} needs {needs}; {_LABELLED}", f"choose another; {_LOADED}", needs)
        elif needs and course.loads_data and needs != course.other_data:
            held = course.other_data or "labelled samples"
            yield Refusal(key, f"{tree[key]} needs {needs}, and the data set holds {held}", "choose another", needs)
    sampler, loader = tree.text("trainer.type"), tree.text("dataloader.type")
    if sampler in _SAMPLING_TRAINERS and loader not in _SAMPLERS:
        reason = f"{sampler} takes parts that are sampled from a graph, and {loader} yields whole ones: it crashes"
        yield Refusal("trainer.type", reason, f"dataloader.type: {' or '.join(_SAMPLERS)}")
    if course.other_data:
        others = [one for one in (course.server, *course.clients) if one.engine != "federatedscope"]
        if others:
            one = others[0]
            reason = f"{course.other_data}: for engine federatedscope only, and {one.name} has {one.engine}"
            yield Refusal("data.type", reason, "write engine: federatedscope for all devices")


def joining(tree: Tree, course: Course) -> Iterator[Refusal]:
    """Sampling, and what clients report when they join."""
    sampler = str(tree["federate.sampler"])
    if course.own_server and sampler in ("group", "responsiveness"):
        reason = "the server crashes when the course starts: it knows clients' resources in standalone mode only"
        yield Refusal("federate.sampler", reason, "write uniform")
    elif course.own_server and sampler != "uniform" and not course.is_added("sampler", sampler, False):
        yield Refusal("federate.sampler", "FederatedScope does not know it", f"write uniform; {course.where_else}")
    requested = tree.names("federate.join_in_info")
    for name in requested:
        if name.lower() == "client_resource":
            yield Refusal(
                "federate.join_in_info",
                "client_resource comes from federate.resource_info_file, which fails in distributed mode",
                "num_sample, or nothing",
            )
        elif name.lower() != "num_sample":
            yield Refusal("federate.join_in_info", f"FederatedScope's clients do not know {name}", "num_sample")
    by_epoch = tree["train.batch_or_epoch"] == "epoch"
    if course.own_clients and by_epoch and "num_sample" in [name.lower() for name in requested]:
        yield Refusal(
            "federate.join_in_info",
            "num_sample crashes FederatedScope's clients with train.batch_or_epoch: epoch when they join",
            "remove it, or write batch_or_epoch: batch",
        )


def asynchronous(tree: Tree, course: Course) -> Iterator[Refusal]:
    if tree["asyn.use"] is not True or not course.own_server:
        return
    if tree["asyn.aggregator"] == "time_up":
        yield Refusal(
            "asyn.aggregator",
            "time_up runs on a simulated clock that stands still between processes: training fails without an error",
            "write goal_achieved; course.round_deadline in the experiment file gives rounds a real time limit",
        )
    for key in course.round_limits:
        yield Refusal(
            "asyn.use",
            f"an asynchronous course has no rounds that end for all, so {key} has no meaning",
            "remove one of them",
        )
