"""The error of this package."""


class ImageError(Exception):
    """An image cannot be planned or its context not assembled; the text says why and what mends it.

    ``exit_code``: what fedsim-provision ends with; None: as for every failure of provisioning.
    """

    exit_code: int | None = None
