"""Images: the layers that a set of devices needs, their keys, and the build contexts on the control node.

``layers`` is pure (files in, values out); ``wheelhouse``, ``rootfs`` and ``build_context`` fill the cache of the
control node. The Ansible module ``fedsim_images`` does the building, on the lab host.
"""

from . import host_images
from .image_error import ImageError
from .layers import AUTO_BASE, BOOTSTRAP_BASE, Layer, LayerSources, all_logical_names, plan_layers

__all__ = [
    "AUTO_BASE",
    "BOOTSTRAP_BASE",
    "ImageError",
    "Layer",
    "LayerSources",
    "all_logical_names",
    "host_images",
    "plan_layers",
]
