"""How many examples hypothesis tries: few and the same ones in the checks, many and new ones in ``make soak``."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_SLOW_IS_FINE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("checks", max_examples=40, derandomize=True, database=None, **_SLOW_IS_FINE)
settings.register_profile("soak", max_examples=3000, print_blob=True, **_SLOW_IS_FINE)
# Before pytest reads --hypothesis-profile, if this folder is named on the command line.
settings.load_profile("checks")
