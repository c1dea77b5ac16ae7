"""Signed frames: whole messages from whoever has the secret, and nothing else."""

from __future__ import annotations

import pytest

from fedsim_runner.agent.lab.frames import LONGEST, ForgedError, Opener, Signer, connection_key

KEY = connection_key(b"secret", b"a" * 16, b"b" * 16)


def test_messages_arrive_in_any_pieces() -> None:
    signer, opener = Signer(KEY, "to_server"), Opener(KEY, "to_server")
    data = signer.frame({"one": 1}) + signer.frame({"two": [2]})
    found = [message for byte in data for message in opener.feed(bytes([byte]))]
    assert found == [{"one": 1}, {"two": [2]}]


@pytest.mark.parametrize(
    "opener",
    [
        Opener(connection_key(b"another", b"a" * 16, b"b" * 16), "to_server"),
        Opener(connection_key(b"secret", b"a" * 16, b"c" * 16), "to_server"),
        Opener(KEY, "from_server"),
    ],
    ids=["another secret", "another connection", "the other direction"],
)
def test_what_is_not_from_the_other_side_is_refused(opener: Opener) -> None:
    with pytest.raises(ForgedError):
        list(opener.feed(Signer(KEY, "to_server").frame({"one": 1})))


def test_a_frame_is_not_taken_twice_and_not_changed() -> None:
    frame = Signer(KEY, "to_server").frame({"one": 1})
    opener = Opener(KEY, "to_server")
    assert list(opener.feed(frame)) == [{"one": 1}]
    with pytest.raises(ForgedError):
        list(opener.feed(frame))
    with pytest.raises(ForgedError):
        list(Opener(KEY, "to_server").feed(frame[:-2] + b"2}"))


def test_a_length_that_is_none_is_refused_before_anything_is_kept() -> None:
    with pytest.raises(ForgedError):
        list(Opener(KEY, "to_server").feed((LONGEST + 1).to_bytes(4) + b"x" * 32))
