"""Lab hosts: what placement needs to know of them, and address ranges held for runs that are being planned."""

from .known_hosts import known_hosts
from .local_host import local_lab_host, probe_lab_host
from .reservations import Reservations

__all__ = ["Reservations", "known_hosts", "local_lab_host", "probe_lab_host"]
