"""What a shard may hold besides, or in place of, arrays of samples and labels."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

#: The array of bytes that holds the pickled object. Only devices unpickle it.
OBJECT: Final = "object"
#: The empty array of a shard whose samples FederatedScope hands to its workers as data loaders. They draw random
#: numbers before the model does, so that the same samples as arrays would begin with another model.
IN_BATCHES: Final = "in_batches"


def holds_object(shard: Path) -> bool:
    """Whether a shard holds an object; nothing of it is loaded.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(shard) as archive:
            return any(name.removesuffix(".npy") == OBJECT for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
