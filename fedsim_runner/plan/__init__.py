"""Devices on lab hosts: addresses, limits and the common cpu factor. Pure: same input, same plan."""

from .addresses import TESTBED_RANGE, free_subnet
from .placement import make_plan
from .placement_error import PlacementError
from .plan_data import plan_as_dict

__all__ = ["TESTBED_RANGE", "PlacementError", "free_subnet", "make_plan", "plan_as_dict"]
