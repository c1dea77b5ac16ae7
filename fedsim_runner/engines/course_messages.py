"""How large the messages of a planned course are, from its configuration and the shape of its data."""

from __future__ import annotations

import math

from ..catalog.data_sets import BUNDLED
from ..contract.units import size
from ..inventory import build_common_part
from ..plan.model import MessageSizes, Plan
from ..spec.federatedscope_tree import tree_document
from ..yamlfile.spec_errors import SpecErrors
from .engine_values import ModelQuestion
from .protocol import engine


def expected_messages(plan: Plan, has_time: bool = False) -> MessageSizes | None:
    """Return the sizes of a course's messages; None: the server's engine does not know its model, or nobody the data.

    Args:
        plan: of a course that its engines accept.
        has_time: whether an engine may start a program to find out.

    Raises:
        SpecErrors: no participant would accept the largest message.
    """
    experiment = plan.experiment
    question = ModelQuestion(experiment.config, _sample_shape(plan), experiment.federatedscope_source, has_time)
    sizes = engine(experiment.server.engine).message_sizes(question)
    if sizes is not None and sizes.largest > sizes.limit:
        document = tree_document(experiment.source, experiment.path, experiment.overrides)
        document.report(
            ("model",),
            f"the model has {sizes.numbers:,} numbers, which are {size(sizes.largest)} in the largest message, and a "
            f"participant accepts {size(sizes.limit)}: the course would fail there",
            "choose a smaller model" + (f", or set a larger {sizes.limit_key}" if sizes.limit_key else ""),
        )
        raise SpecErrors(document.errors).counted(str(experiment.path or "the experiment file"))
    return sizes


def _sample_shape(plan: Plan) -> tuple[int, ...] | None:
    """The shape of one sample as participants get it; None: it is known only once the data have been loaded."""
    data = plan.experiment.data
    facts = BUNDLED.get(data.dataset)
    if facts is not None:
        return (math.prod(facts.shape),) if data.layout == "flat" else facts.shape
    # Brings numpy, which bundled data sets do not need here.
    from ..datasets.data_split import make_shards

    device_file = build_common_part(plan).as_dict()
    try:
        shards = make_shards(device_file).shards
    except (ValueError, OSError):
        return None  # reported where the data are made, with a hint
    return tuple(next(part for splits in shards.values() for part in splits.values()).x.shape[1:])
