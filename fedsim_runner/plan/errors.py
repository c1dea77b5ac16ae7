"""What placement refuses."""


class PlacementError(Exception):
    """The experiment does not fit the lab. The text says what does not fit and how to mend it."""
