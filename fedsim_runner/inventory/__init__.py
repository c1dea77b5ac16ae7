"""From a plan to the files Ansible reads: an inventory and one device file per lab host."""

from .build import Inventory, build_common_part, build_inventory, device_config
from .inventory_folder import is_written, read_device_files, write_inventory

__all__ = [
    "Inventory",
    "build_common_part",
    "build_inventory",
    "device_config",
    "is_written",
    "read_device_files",
    "write_inventory",
]
