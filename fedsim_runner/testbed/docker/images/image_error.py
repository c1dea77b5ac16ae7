"""The error of this package."""

from __future__ import annotations

from fedsim_runner.contract.errors import Exit, FedsimError


class ImageError(FedsimError):
    """An image cannot be planned or its context not assembled; the text says why and what mends it."""

    exit = Exit.PROVISIONING
