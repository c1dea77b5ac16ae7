"""Connecting to a lab host's Docker Engine from the control node."""

from __future__ import annotations

import docker

from ..contract.engine_address import EngineAddressError, find_engine, settings_file


def engine_url(url: str | None) -> str:
    """The address of a lab host's Engine: the given one, or where ``docker`` itself would look.

    Raises:
        EngineAddressError: the user's settings of Docker name an Engine that is not on this machine.
    """
    return url or find_engine().url


def connect_to_engine(url: str | None, timeout_s: int) -> docker.DockerClient:
    """Return a client of the Engine at ``url``, or where ``docker`` itself would look for it.

    Raises:
        EngineAddressError: as for :func:`engine_url`; or the user's settings of Docker are not as it writes them.
        DockerException, OSError: it cannot be reached.
    """
    # Not from_env(): that knows no contexts, and takes TLS settings for a unix socket's.
    try:
        return docker.DockerClient(base_url=engine_url(url), timeout=timeout_s)
    except OSError:
        raise
    except (AttributeError, TypeError, ValueError) as error:  # the SDK expects each value to be of its type
        raise EngineAddressError(
            f"Docker's settings of this user cannot be read: {error}", hint=f"correct or remove {settings_file()}"
        ) from error
