"""Lab hosts: what placement needs to know about them."""

from .local_host import local_lab_host, probe_lab_host
from .usable_hosts import list_lab_hosts

__all__ = ["list_lab_hosts", "local_lab_host", "probe_lab_host"]
