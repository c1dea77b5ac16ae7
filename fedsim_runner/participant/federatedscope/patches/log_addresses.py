"""log_addresses: addresses in log lines are rounded like numbers.

``LoggerPrecisionFilter`` rounds all that looks like a number with a fraction: 172.20.0.10 is logged as 172.2.0.1.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from ..upstream import Place

MODULE = "federatedscope.core.auxiliaries.logging"
PLACES = (
    Place(MODULE, "LoggerPrecisionFilter.filter", ("self", "record"), ("msg", "str_round")),
    Place(MODULE, "LoggerPrecisionFilter.str_round", ("self", "match_res"), ("print_precision", "group")),
)
# A number with a fraction that is not part of a dotted address or version.
NUMBER = re.compile(r"(?<![\d.])[-+]?\d+\.\d+(?!\d|\.\d)")


def apply() -> None:
    """Round numbers, and nothing else, in log lines."""

    def keep_and_round(self: Any, record: Any) -> bool:
        record.msg = NUMBER.sub(self.str_round, str(record.msg))
        return True

    importlib.import_module(MODULE).LoggerPrecisionFilter.filter = keep_and_round
