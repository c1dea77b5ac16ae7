"""Lab hosts: what placement needs to know of them, and address ranges held for runs that are being planned."""

from .local_host import local_lab_host
from .reservations import Reservations

__all__ = ["Reservations", "local_lab_host"]
