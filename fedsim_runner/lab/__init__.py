"""Lab hosts: what placement needs to know about them, and address ranges held for runs that are being planned."""

from .local_host import local_lab_host, probe_lab_host
from .reservations import Reservations
from .usable_hosts import list_lab_hosts

__all__ = ["Reservations", "list_lab_hosts", "local_lab_host", "probe_lab_host"]
