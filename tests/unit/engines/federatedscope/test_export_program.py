"""What the program that loads FederatedScope's data restores of older packages."""

from __future__ import annotations

import copy
import sys
from abc import ABC, abstractmethod
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fedsim_runner.engines.federatedscope import export_objects, export_program


class NewTransform(ABC):
    """torch-geometric's since 2.5."""

    def __call__(self, data: Any) -> Any:
        return self.forward(copy.copy(data))

    @abstractmethod
    def forward(self, data: Any) -> Any: ...


def test_transforms_of_graphs_change_the_graph_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("torch_geometric.transforms")
    base = type("BaseTransform", (NewTransform,), {"forward": NewTransform.forward})
    vars(module)["BaseTransform"] = base
    monkeypatch.setitem(sys.modules, module.__name__, module)
    export_program._restore_transforms()

    class Constant(base):  # type: ignore[misc, valid-type]
        def forward(self, data: dict[str, int]) -> dict[str, int]:
            data["x"] = 1
            return data

    class Splitter(base):  # type: ignore[misc, valid-type]
        """FederatedScope's own have no ``forward``."""

    graph: dict[str, int] = {}
    Constant()(graph)
    assert graph == {"x": 1}
    assert Splitter().forward(graph) is graph


def test_where_random_numbers_were_goes_with_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    class ClientData(dict[str, Any]):
        random_numbers: Any

        def __init__(self) -> None:
            self.drawn = np.random.permutation(20)

    module = ModuleType("federatedscope.core.data.base_data")
    vars(module)["ClientData"] = ClientData
    monkeypatch.setitem(sys.modules, module.__name__, module)
    export_objects.note_random_numbers()
    first, second = ClientData(), ClientData()
    for part in (second, first):
        np.random.set_state(part.random_numbers)
        assert np.random.permutation(20).tolist() == part.drawn.tolist()
