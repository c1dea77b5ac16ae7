"""Torch's losses, which FederatedScope builds by their name: what they compare a model's outputs with."""

from __future__ import annotations

# A class of each sample.
CLASS_LOSSES = ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss", "character_loss")
# Numbers between 0 and 1, as many as there are outputs.
PROBABILITY_LOSSES = ("BCELoss", "BCEWithLogitsLoss", "MultiLabelSoftMarginLoss")
# Numbers, as many as there are outputs.
NUMBER_LOSSES = (
    *PROBABILITY_LOSSES, "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "KLDivLoss", "PoissonNLLLoss",
    "SoftMarginLoss", "HingeEmbeddingLoss",
)  # fmt: skip
# More than outputs and labels: FederatedScope's trainers have nothing else to give.
OTHER_INPUTS = (
    "CTCLoss", "CosineEmbeddingLoss", "GaussianNLLLoss", "MarginRankingLoss", "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
)  # fmt: skip
# What else torch has.
MORE_LOSSES = ("MultiLabelMarginLoss", "NLLLoss2d", "AdaptiveLogSoftmaxWithLoss")
