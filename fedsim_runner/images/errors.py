"""The one error of this package."""


class ImageError(Exception):
    """An image cannot be planned or its context not assembled; the text says why and what mends it."""
