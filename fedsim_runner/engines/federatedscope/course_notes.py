"""What a user should know of a course that FederatedScope runs without complaint."""

from __future__ import annotations

from collections.abc import Iterator

from ..engine_values import SplitData
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
            "the server's evaluation of mlp uses normalisation statistics that were never trained, so its accuracy is "
            "lower than the model's (the light engine's server, .96, has FederatedScope's .85): "
            "personalization.share_non_trainable_para: true shares the clients' statistics, make_global_eval: false "
            f"lets clients evaluate; see {_MORE}"
        )
    if tree.text("federate.method") == "pfedme":
        step = tree.number("personalization.regular_weight") * tree.number("train.optimizer.lr")
        if step < 0.5:
            yield (
                "pFedMe moves the shared model by personalization.regular_weight x train.optimizer.lr = "
                f"{step:g} of the way to the personal one in an epoch, and the shared model is what is evaluated: with "
                f"the default weight of 0.1 (its paper has 15) accuracy stays at chance for many rounds; see {_MORE}"
            )
    meaningless = [name for name in tree.names("eval.metrics") if name in CLASS_METRICS]
    if data.target_shape is not None and meaningless:
        yield f"{' and '.join(meaningless)} count classes, and the labels are numbers: mse and rmse compare those"
