"""The patches: each removes one symptom of FederatedScope, at import, and can be switched off by its name.

A patch is a module with ``PLACES``, the places of FederatedScope that it relies on, and ``apply``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ...absences import Absences
from ..delivery import Delivery
from ..offline import CutConnections
from ..patch_context import PatchContext
from ..upstream import Place, expect_for_patch
from . import (
    async_updates,
    blocked_broadcast,
    busy_wait,
    contrib_modules,
    hostile_messages,
    lean_imports,
    log_addresses,
    lost_join,
    lost_message,
    second_finish,
)

# By the names of :data:`..patch_names.PATCHES`.
PLACES: dict[str, tuple[Place, ...]] = {
    "contrib_modules": contrib_modules.PLACES,
    "lean_imports": lean_imports.PLACES,
    "log_addresses": log_addresses.PLACES,
    "lost_join": lost_join.PLACES,
    "lost_message": lost_message.PLACES,
    "blocked_broadcast": blocked_broadcast.PLACES,
    "busy_wait": busy_wait.PLACES,
    "second_finish": second_finish.PLACES,
    "hostile_messages": hostile_messages.PLACES,
    "async_updates": async_updates.PLACES,
}


def apply_at_import(off: Collection[str]) -> None:
    """Apply the patches that must come before all other imports of FederatedScope."""
    if "contrib_modules" not in off:
        contrib_modules.apply()
    if "lean_imports" not in off:
        lean_imports.apply()


def check(off: Collection[str]) -> None:
    """Check that FederatedScope is what the patches were made for, before any of them except those at import.

    Raises:
        UnsupportedError: it has changed; the text names the patch and what helps.
    """
    for name, places in PLACES.items():
        if name not in off:
            expect_for_patch(name, *places)


def apply_to_logs(off: Collection[str]) -> None:
    """Apply the patch that must come before FederatedScope logs."""
    if "log_addresses" not in off:
        log_addresses.apply()


def apply_to_course(off: Collection[str], shared: PatchContext, absences: Absences | None = None) -> None:
    """Apply all other patches; ``absences``: who is offline; None: nobody ever is."""
    delivery = Delivery(shared)
    if absences is not None:
        shared.cut = CutConnections(absences, delivery.disconnect)
    # Each of them wraps the result of the one before.
    patches: dict[str, Callable[[], None]] = {
        "lost_join": lambda: lost_join.apply(delivery),
        "lost_message": lambda: lost_message.apply(delivery),
        "blocked_broadcast": lambda: blocked_broadcast.apply(shared),
        "busy_wait": busy_wait.apply,
        "hostile_messages": lambda: hostile_messages.apply(shared),
        "second_finish": second_finish.apply,
        "async_updates": async_updates.apply,
    }
    for name, apply in patches.items():
        if name not in off:
            apply()
