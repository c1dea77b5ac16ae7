"""Devices on lab hosts: addresses, limits and the common cpu factor. Pure: same input, same plan."""

from .addresses import TESTBED_RANGE, free_subnet
from .display import plan_as_dict, render_plan
from .errors import PlacementError
from .placement import make_plan

__all__ = ["TESTBED_RANGE", "PlacementError", "free_subnet", "make_plan", "plan_as_dict", "render_plan"]
