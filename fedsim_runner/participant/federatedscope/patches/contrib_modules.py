"""contrib_modules: a module of the user's own is not found if another one in its folder lacks a package.

FederatedScope imports each of its contrib folders by ``from federatedscope.contrib.model import *``, which ends at the
first module that cannot be imported; an import error in ``contrib/configs`` ends the participant. Here each module is
imported for itself, and one that fails is left out, with a line in the log.
"""

from __future__ import annotations

import logging

from .. import contrib_import
from ..upstream import Place

PLACES = (Place("federatedscope.core.auxiliaries.model_builder", "get_model", ("model_config",), ("model_dict",)),)

logger = logging.getLogger("federatedscope.contrib")


def apply() -> None:
    """Import contrib modules one by one; this must come before all imports of FederatedScope."""
    contrib_import.leave_out_what_fails()


def log_left_out() -> None:
    """Log the modules that could not be imported."""
    if names := contrib_import.describe_left_out():
        logger.info(f"Left out, as it cannot be imported here: {names}")
