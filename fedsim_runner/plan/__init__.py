"""Devices on lab hosts: addresses, limits and the common cpu factor. Pure: same input, same plan."""

from .placement import make_plan
from .placement_error import PlacementError
from .plan_data import plan_as_dict

__all__ = ["PlacementError", "make_plan", "plan_as_dict"]
