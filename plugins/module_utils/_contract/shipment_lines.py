"""What lines about images on their way to lab hosts begin with, by which they are recognised in Ansible's output."""

from __future__ import annotations

from typing import Final

SHIPMENT: Final = "images: "
