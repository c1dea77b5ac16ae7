"""What a user should know of data that FederatedScope loads and gives to the devices as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Transforms that draw anew whenever a sample is read, besides those whose names begin with Random.
_DRAWING = ("ColorJitter", "AutoAugment", "RandAugment", "TrivialAugmentWide", "AugMix")
# Transforms with an argument that is the size of the picture.
_SIZING = ("Resize", "CenterCrop", "RandomCrop", "RandomResizedCrop", "FiveCrop", "TenCrop")
# Smaller pictures hardly matter to a control node's memory.
_LARGE_BYTES = 100_000
_BYTES_PER_NUMBER = 4


def notes(tree: Mapping[str, Any]) -> Iterator[str]:
    """``tree``: FederatedScope's ``data``."""
    transforms = list(_transforms(tree.get("transform")))
    drawn = [name for name, _ in transforms if name.startswith("Random") or name in _DRAWING]
    if drawn:
        which = f"{drawn[0]} draws" if len(drawn) == 1 else f"{' and '.join(drawn)} draw"
        yield (
            f"data.transform: {which} once for each sample, when the data are loaded, and every epoch has the same "
            "result; in one process FederatedScope draws anew in each"
        )
    sizes = [found for name, given in transforms if name in _SIZING and (found := _size(given.get("size")))]
    if not sizes:
        return
    height, width = sizes[-1]
    grey = any(name == "Grayscale" and given.get("num_output_channels", 1) == 1 for name, given in transforms)
    channels = 1 if grey else 3
    held = height * width * channels * _BYTES_PER_NUMBER
    if held >= _LARGE_BYTES:
        yield (
            f"data.transform: a sample of {channels} x {height} x {width} numbers is {held / 1e6:.1f} MB, 1000 of them "
            f"are {held / 1e6:.1f} GB: this machine holds all samples in memory while FederatedScope loads them, and "
            "each device its own part"
        )


def _transforms(given: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names and arguments from FederatedScope's lists: ``[[Resize, {size: 32}], [ToTensor]]``."""
    for one in given if isinstance(given, list) else ():
        parts = one if isinstance(one, list) else [one]
        if parts and isinstance(parts[0], str):
            yield parts[0], parts[1] if len(parts) > 1 and isinstance(parts[1], Mapping) else {}


def _size(given: Any) -> tuple[int, int] | None:
    sides = given if isinstance(given, list) else [given, given]
    if len(sides) == 1:
        sides = [*sides, *sides]
    whole = len(sides) == 2 and all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    return (sides[0], sides[1]) if whole else None
