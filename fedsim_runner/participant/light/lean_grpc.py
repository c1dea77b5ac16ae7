"""gRPC without its half for asyncio, which this engine does not use: that costs 4 MB, and a sixth of the loading."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

ASYNCIO, UNUSED = "asyncio", "grpc.aio"


class _Postponed(ModuleType):
    """Stands in for asyncio, which gRPC's core imports but does not touch; if it does, the real one is imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(ASYNCIO) is self:
            del sys.modules[ASYNCIO]
        return getattr(importlib.import_module(ASYNCIO), name)


def import_grpc() -> None:
    """Import gRPC; call this before anything else imports it."""
    if ASYNCIO in sys.modules or "grpc" in sys.modules:
        return
    sys.modules[ASYNCIO] = stand_in = _Postponed(ASYNCIO)
    sys.modules[UNUSED] = ModuleType(UNUSED)
    try:
        importlib.import_module("grpc")
    finally:
        del sys.modules[UNUSED]
        if sys.modules.get(ASYNCIO) is stand_in:
            del sys.modules[ASYNCIO]
