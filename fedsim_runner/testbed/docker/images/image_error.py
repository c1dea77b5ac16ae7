"""The error for images and their build contexts."""

from __future__ import annotations

from fedsim_runner.contract.errors import Exit, FedsimError


class ImageError(FedsimError):
    """An image cannot be planned or its build context cannot be assembled; the text says why and what helps."""

    exit = Exit.PROVISIONING
