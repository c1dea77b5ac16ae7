"""The limit of open files: raised as far as possible, and named if that is not enough."""

from __future__ import annotations

import resource

import pytest

from fedsim_runner.agent.host import open_files


def test_a_limit_that_is_too_low_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, pair: limits.append(pair))
    open_files.allow_open_files(400)
    assert limits[-1] == (4096, 4096)
    with pytest.raises(open_files.TooManyDevicesError, match="4096 files open, and 500 devices need 4700"):
        open_files.allow_open_files(500)
    limits.append((1024, resource.RLIM_INFINITY))
    open_files.allow_open_files(100_000)
