"""What is said of pictures that FederatedScope loads, from their transforms alone."""

from __future__ import annotations

from typing import Any

import pytest

from fedsim_runner.engines.federatedscope.data_notes import notes


@pytest.mark.parametrize(
    ("transform", "begun"),
    [
        ([["Resize", {"size": [224, 224]}], ["ToTensor"]], ["a sample of 3 x 224 x 224 numbers is 0.6 MB"]),
        ([["Resize", {"size": 256}], ["CenterCrop", {"size": 224}]], ["a sample of 3 x 224 x 224 numbers"]),
        ([["Grayscale"], ["Resize", {"size": [512]}]], ["a sample of 1 x 512 x 512 numbers is 1.0 MB, 1000 of"]),
        ([["Resize", {"size": [32, 32]}], ["ToTensor"]], []),
        ([["RandomHorizontalFlip"], ["ToTensor"]], ["RandomHorizontalFlip draws once for each sample"]),
        (
            [["RandomCrop", {"size": 224, "padding": 4}], "ColorJitter"],
            ["RandomCrop and ColorJitter draw once for each sample", "a sample of 3 x 224 x 224"],
        ),
        ([["ToTensor"], ["Normalize", {"mean": [0.5], "std": [0.5]}]], []),
        ([["Resize", {"size": "large"}], [], [3]], []),
        ("ToTensor", []),
        (None, []),
    ],
)  # fmt: skip
def test_sizes_and_draws(transform: Any, begun: list[str]) -> None:
    found = list(notes({"type": "office-home", "transform": transform}))
    assert len(found) == len(begun)
    for one, expected in zip(found, begun, strict=True):
        assert one.startswith(f"data.transform: {expected}")
