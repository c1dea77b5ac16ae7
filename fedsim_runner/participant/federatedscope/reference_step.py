"""One training step of MobileNetV3-small on 16 images of 224 x 224, 1,000 classes, with SGD and cross-entropy.

The model is that of Howard and others, "Searching for MobileNetV3" (arXiv:1905.02244, table 2); it has 2,542,856
parameters. Images and labels are random: they do not change what a step takes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

# Of each block: kernel, expanded channels, output channels, squeeze and excite, hard swish, stride.
BLOCKS = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)
BATCH = 16
CLASSES = 1000
# As much of the heap as steps use, and what stays unused between its pieces: with this, twelve steps needed no more.
HEAP_BYTES = 480 << 20
# Less than what is mapped outside the heap, which images with torch set to 32 MiB.
PIECE_BYTES = 16 << 20
# A part is a step on one small image.
PART_SIDE = 112
PART_RATE = 0.01


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: Callable[[], nn.Module] | None = None
) -> nn.Module:
    """A convolution with batch normalisation."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([] if act is None else [act()]))


class SqueezeExcite(nn.Module):
    """Weights of channels from their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, int(channels / 4 + 4) // 8 * 8)
        inner += 8 if inner < 0.9 * channels / 4 else 0
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.expand = nn.Conv2d(inner, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.expand(torch.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * nn.functional.hardsigmoid(weights)


class Block(nn.Module):
    """An inverted residual."""

    def __init__(
        self, inputs: int, kernel: int, inner: int, outputs: int, excite: bool, hard: bool, stride: int
    ) -> None:
        super().__init__()
        act = nn.Hardswish if hard else nn.ReLU
        layers = [] if inner == inputs else [convolution(inputs, inner, 1, act=act)]
        layers.append(convolution(inner, inner, kernel, stride, inner, act))
        if excite:
            layers.append(SqueezeExcite(inner))
        layers.append(convolution(inner, outputs, 1))
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return x + y if self.adds else y


def make_model() -> nn.Module:
    """The whole model."""
    layers, channels = [convolution(3, 16, 3, 2, act=nn.Hardswish)], 16
    for kernel, inner, outputs, excite, hard, stride in BLOCKS:
        layers.append(Block(channels, kernel, inner, outputs, excite, hard, stride))
        channels = outputs
    layers += [convolution(channels, 576, 1, act=nn.Hardswish), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(
        *layers, nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1024, CLASSES)
    ).train()


def make_part() -> Callable[[], None]:
    """Return a function that does a step on one small image.

    A course follows in the same process: its random numbers, and what counts steps of optimizers, are left alone.
    """
    with torch.random.fork_rng(devices=[]):
        model = make_model()
        images = torch.rand(1, 3, PART_SIDE, PART_SIDE)
    for layer in model:
        if isinstance(layer, nn.Dropout):
            layer.eval()

    def part() -> None:
        model.zero_grad()
        model(images).square().mean().backward()
        with torch.no_grad():
            for weights in model.parameters():
                weights -= PART_RATE * weights.grad

    return part


def make_step(threads: int) -> Callable[[], None]:
    """Return a function that does one step with so many threads."""
    torch.set_num_threads(threads)
    _take_heap()
    torch.manual_seed(1)
    model, loss = make_model(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.rand(BATCH, 3, 224, 224), torch.randint(CLASSES, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        loss(model(images), labels).backward()
        optimizer.step()

    return step


def _take_heap() -> None:
    """Have the heap grow to what steps need before the first of them.

    It would grow during several steps, each of which would take up to a quarter longer: the kernel has to provide every
    page. The pieces are held all at once and filled, as a page that nobody has written to is not there yet.
    """
    pieces = [torch.ones(PIECE_BYTES, dtype=torch.uint8) for _ in range(HEAP_BYTES // PIECE_BYTES)]
    del pieces
