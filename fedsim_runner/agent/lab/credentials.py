"""What the agents of one run share: the port on the server's lab host, and a secret that proves who belongs to the run.

The agent on the server's lab host makes both when it starts; the plays copy the file to the other lab hosts. It is for
root alone, and goes with the run's state folder.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from fedsim_runner.contract.atomic import CannotWriteError, explain, replacing

#: Lab hosts reach the server's at one of these ports, over TCP and UDP.
PORTS = range(47800, 47900)


@dataclass(frozen=True)
class Credentials:
    """``port``: where the agent on the server's lab host listens."""

    port: int
    secret: bytes


def new_secret() -> bytes:
    """A secret for one run."""
    return secrets.token_bytes(32)


def read_credentials(path: Path) -> Credentials | None:
    """Return what the file says; None while it is missing, or if it makes no sense."""
    try:
        found = json.loads(path.read_text())
        return Credentials(int(found["port"]), bytes.fromhex(found["secret"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_credentials(path: Path, credentials: Credentials) -> None:
    """Write the file, which nobody but its owner may read at any time.

    Raises:
        CannotWriteError: it is as it was.
    """
    text = json.dumps({"port": credentials.port, "secret": credentials.secret.hex()})
    try:
        with replacing(path) as draft:
            draft.touch(0o600)
            draft.write_text(text)
    except OSError as error:
        raise CannotWriteError(explain(error, path)) from error
