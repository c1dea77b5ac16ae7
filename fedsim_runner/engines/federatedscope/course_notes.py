"""What a user should know of a course that FederatedScope runs without complaint."""

from __future__ import annotations

from collections.abc import Iterator

from fedsim_runner.catalog.federatedscope_keys import METHODS
from fedsim_runner.contract.client_sampling import asked_clients

from ..engine_values import SplitData
from ..model_shapes import ModelSettings, tensors_of
from .course_facts import Tree
from .label_rules import CLASS_METRICS

# docs/federatedscope-courses.md has the measurements.
_MORE = "docs/federatedscope-courses.md"


def notes(tree: Tree, own_server: bool, data: SplitData) -> Iterator[str]:
    """``own_server``: whether FederatedScope is the server."""
    normalised = tree.text("model.type") == "mlp" and tree.number("model.layer") >= 2
    shared = tree["personalization.share_non_trainable_para"] is True
    if own_server and normalised and tree["federate.make_global_eval"] is True and not shared:
        yield (
            "the server evaluates mlp with normalisation statistics that were never trained, so the accuracy that it "
            "reports is lower than the model's: personalization.share_non_trainable_para: true shares the clients' "
            f"statistics, federate.make_global_eval: false lets clients evaluate; see {_MORE}"
        )
    if tree.text("federate.method") == "pfedme":
        step = tree.number("personalization.regular_weight") * tree.number("train.optimizer.lr")
        if step < 0.5:
            yield (
                "pFedMe moves the shared model by personalization.regular_weight x train.optimizer.lr = "
                f"{step:g} of the way to the personal one in an epoch, and the shared model is what is evaluated: with "
                f"the default weight of 0.1 (its paper has 15) accuracy stays at chance for many rounds; see {_MORE}"
            )
    yield from _waits_for_all(tree, own_server)
    yield from _keeps_nothing(tree, data)
    meaningless = [name for name in tree.names("eval.metrics") if name in CLASS_METRICS]
    if data.target_shape is not None and meaningless:
        count = f"{meaningless[0]} counts" if len(meaningless) == 1 else f"{' and '.join(meaningless)} count"
        yield f"{count} classes, and the labels are numbers: mse and rmse compare those"


def own_worker(tree: Tree) -> Iterator[str]:
    """What holds for a method that is not upstream's, whose workers may say anything to each other."""
    if tree.text("federate.method") in METHODS:
        return
    yield (
        f"{tree['federate.method']} is a method of the source's own: where it has workers of its own, their messages "
        "are taken from clients' own devices only, and pickles in them may hold numbers only, but whether they were "
        "asked for and what else they hold is not checked; tensors arrive as lists, in messages of kind model_para as "
        "text, as FederatedScope sends them between processes; see docs/security.md"
    )


def _waits_for_all(tree: Tree, own_server: bool) -> Iterator[str]:
    """Asynchronous courses that wait for every client (``core/configs/cfg_asyn.py``)."""
    if not own_server or tree["asyn.use"] is not True or 0 < tree.number("asyn.min_received_rate") <= 1:
        return
    number, rate = tree.number("federate.sample_client_num"), tree.number("federate.sample_client_rate")
    asked = asked_clients(int(tree.number("federate.client_num")), number, rate)
    least = tree.number("asyn.min_received_num")
    if not 0 < least <= asked:
        yield (
            f"asyn.min_received_num is {least:g}, and the number of clients asked at a time is {asked}: FederatedScope "
            "then waits for all of them, as a course without asyn does"
        )


def _keeps_nothing(tree: Tree, data: SplitData) -> Iterator[str]:
    """Parts of the model that clients shall keep, and that it does not have."""
    kept = tree.names("personalization.local_param")
    if not kept or data.shape is None:
        return
    tensors = tensors_of(ModelSettings.of(tree.config), data.shape)
    if tensors and not any(word in tensor.name for tensor in tensors for word in kept):
        yield (
            f"personalization.local_param ({', '.join(kept)}) names no part of {tree['model.type']}: clients keep "
            "nothing of it to themselves"
        )
