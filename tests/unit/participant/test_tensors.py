"""The restricted unpickler, and shards: tensors are read, everything else is refused."""

from __future__ import annotations

import base64
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.participant.exit_errors import ParticipantError
from fedsim_runner.participant.light.shards import load_shard
from fedsim_runner.participant.tensors import (
    TensorError,
    decode_parameter,
    decode_parameters,
    encode_parameters,
    loads,
)

# pickle.dumps(torch.tensor([[1.5, -2.0, 3.0], [4.0, 5.0, 6.25]])) and of its transpose, by torch 2.13.0.
TORCH_TENSOR = base64.b64decode(
    "gASVlAEAAAAAAACMDHRvcmNoLl91dGlsc5SMEl9yZWJ1aWxkX3RlbnNvcl92MpSTlCiMDXRvcmNoLnN0b3JhZ2WUjBBfbG9h"
    "ZF9mcm9tX2J5dGVzlJOUQgkBAACAAooKbPycRvkgaqhQGS6AAk3pAy6AAn1xAChYEAAAAHByb3RvY29sX3ZlcnNpb25xAU3p"
    "A1gNAAAAbGl0dGxlX2VuZGlhbnECiFgKAAAAdHlwZV9zaXplc3EDfXEEKFgFAAAAc2hvcnRxBUsCWAMAAABpbnRxBksEWAQA"
    "AABsb25ncQdLBHV1LoACKFgHAAAAc3RvcmFnZXEAY3RvcmNoCkZsb2F0U3RvcmFnZQpxAVgJAAAAOTc5OTAyNzIwcQJYAwAA"
    "AGNwdXEDSwZOdHEEUS6AAl1xAFgJAAAAOTc5OTAyNzIwcQFhLgYAAAAAAAAAAADAPwAAAMAAAEBAAACAQAAAoEAAAMhAlIWU"
    "UpRLAEsCSwOGlEsDSwGGlImMC2NvbGxlY3Rpb25zlIwLT3JkZXJlZERpY3SUk5QpUpR0lFKULg=="
)
TORCH_TRANSPOSED = base64.b64decode(
    "gASVlAEAAAAAAACMDHRvcmNoLl91dGlsc5SMEl9yZWJ1aWxkX3RlbnNvcl92MpSTlCiMDXRvcmNoLnN0b3JhZ2WUjBBfbG9h"
    "ZF9mcm9tX2J5dGVzlJOUQgkBAACAAooKbPycRvkgaqhQGS6AAk3pAy6AAn1xAChYEAAAAHByb3RvY29sX3ZlcnNpb25xAU3p"
    "A1gNAAAAbGl0dGxlX2VuZGlhbnECiFgKAAAAdHlwZV9zaXplc3EDfXEEKFgFAAAAc2hvcnRxBUsCWAMAAABpbnRxBksEWAQA"
    "AABsb25ncQdLBHV1LoACKFgHAAAAc3RvcmFnZXEAY3RvcmNoCkZsb2F0U3RvcmFnZQpxAVgJAAAAOTc5OTAyNzIwcQJYAwAA"
    "AGNwdXEDSwZOdHEEUS6AAl1xAFgJAAAAOTc5OTAyNzIwcQFhLgYAAAAAAAAAAADAPwAAAMAAAEBAAACAQAAAoEAAAMhAlIWU"
    "UpRLAEsDSwKGlEsBSwOGlImMC2NvbGxlY3Rpb25zlIwLT3JkZXJlZERpY3SUk5QpUpR0lFKULg=="
)
# {'train': {'x': torch.ones(2, 3), 'y': torch.tensor([1, 0])}, 'test': {...the same}}, pickled by torch 2.13.0.
TORCH_SHARD = base64.b64decode(
    "gASV2AIAAAAAAAB9lCiMBXRyYWlulH2UKIwBeJSMDHRvcmNoLl91dGlsc5SMEl9yZWJ1aWxkX3RlbnNvcl92MpSTlCiMDXRv"
    "cmNoLnN0b3JhZ2WUjBBfbG9hZF9mcm9tX2J5dGVzlJOUQgkBAACAAooKbPycRvkgaqhQGS6AAk3pAy6AAn1xAChYEAAAAHBy"
    "b3RvY29sX3ZlcnNpb25xAU3pA1gNAAAAbGl0dGxlX2VuZGlhbnECiFgKAAAAdHlwZV9zaXplc3EDfXEEKFgFAAAAc2hvcnRx"
    "BUsCWAMAAABpbnRxBksEWAQAAABsb25ncQdLBHV1LoACKFgHAAAAc3RvcmFnZXEAY3RvcmNoCkZsb2F0U3RvcmFnZQpxAVgJ"
    "AAAAOTgwMTY1MzkycQJYAwAAAGNwdXEDSwZOdHEEUS6AAl1xAFgJAAAAOTgwMTY1MzkycQFhLgYAAAAAAAAAAACAPwAAgD8A"
    "AIA/AACAPwAAgD8AAIA/lIWUUpRLAEsCSwOGlEsDSwGGlImMC2NvbGxlY3Rpb25zlIwLT3JkZXJlZERpY3SUk5QpUpR0lFKU"
    "jAF5lGgGKGgJQgABAACAAooKbPycRvkgaqhQGS6AAk3pAy6AAn1xAChYEAAAAHByb3RvY29sX3ZlcnNpb25xAU3pA1gNAAAA"
    "bGl0dGxlX2VuZGlhbnECiFgKAAAAdHlwZV9zaXplc3EDfXEEKFgFAAAAc2hvcnRxBUsCWAMAAABpbnRxBksEWAQAAABsb25n"
    "cQdLBHV1LoACKFgHAAAAc3RvcmFnZXEAY3RvcmNoCkxvbmdTdG9yYWdlCnEBWAkAAAA5ODAxNjU1MzZxAlgDAAAAY3B1cQNL"
    "Ak50cQRRLoACXXEAWAkAAAA5ODAxNjU1MzZxAWEuAgAAAAAAAAABAAAAAAAAAAAAAAAAAAAAlIWUUpRLAEsChZRLAYWUiWgR"
    "KVKUdJRSlHWMBHRlc3SUaAJ1Lg=="
)
VALUES = np.array([[1.5, -2.0, 3.0], [4.0, 5.0, 6.25]], np.float32)


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def test_tensors_of_torch() -> None:
    np.testing.assert_array_equal(loads(TORCH_TENSOR), VALUES)
    np.testing.assert_array_equal(loads(TORCH_TRANSPOSED), VALUES.T)


@pytest.mark.parametrize("cut", [10, len(TORCH_TENSOR) // 2, len(TORCH_TENSOR) - 1])
def test_broken_tensors(cut: int) -> None:
    with pytest.raises(TensorError):
        loads(TORCH_TENSOR[:cut])


@pytest.mark.parametrize("value", [VALUES, np.float32(3), np.zeros((0, 2), np.float32), np.arange(3)])
def test_our_own_parameters_come_back(value: Any) -> None:
    back = decode_parameters(encode_parameters({"fc.weight": np.asarray(value)}))
    np.testing.assert_array_equal(back["fc.weight"], value)
    assert back["fc.weight"].dtype == np.asarray(value).dtype


def test_nested_lists() -> None:
    np.testing.assert_array_equal(decode_parameter(VALUES.tolist()), VALUES)


@pytest.mark.parametrize(
    "value",
    [
        Call(os.system, "true"),
        Call(eval, "1"),
        Call(getattr, [], "append"),
        Call(np.load, "x"),
        Call(np.dtype, "O"),
        Path("x"),
    ],
)
def test_code_is_refused(value: Any) -> None:
    with pytest.raises(TensorError, match="refused"):
        loads(pickle.dumps(value))
    with pytest.raises(TensorError, match="refused"):
        decode_parameter(base64.b64encode(pickle.dumps(value)).decode())


def test_nothing_runs_before_the_refusal(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with pytest.raises(TensorError, match=r"posix\.system"):
        loads(pickle.dumps([VALUES.tolist(), Call(os.system, f"touch {mark}")]))
    assert not mark.exists()


@pytest.mark.parametrize("name", [b"ctorch\nfrom_numpy\n", b"cnumpy\nfrombuffer\n", b"ctorch\nFloatStorage\n"])
def test_a_pickle_cannot_change_our_functions(name: bytes) -> None:
    state = b"(N}X\x0c\x00\x00\x00__defaults__Nst"  # (None, {"__defaults__": None}), taken by the opcode BUILD
    with pytest.raises(TensorError):
        loads(b"\x80\x03" + name + state + b"b.")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        # The interpreter's unpickler takes 32 GB for this number.
        (b"\x80\x03]r\xff\xff\xff\x7f.", "numbers an object 2147483647"),
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".", "not a pickle of tensors"),
        (b"\x80\x05\x96" + struct.pack("<Q", 1) + b"x.", "the operation BYTEARRAY8"),
        (b"I" + b"9" * 4000 + b"\n.", "the operation INT"),
        (b"\x80\x03K\x0122.", "the operation DUP"),
    ],
)
def test_a_pickle_takes_no_more_memory_than_it_has(data: bytes, words: str) -> None:
    with pytest.raises(TensorError, match=words):
        loads(data)


def test_a_pickle_does_not_make_a_large_array_of_small_lists() -> None:
    nested: Any = [0.0] * 10
    for _ in range(12):
        nested = [nested] * 10
    with pytest.raises(TensorError, match="an array is made of a list: refused"):
        loads(pickle.dumps(Call(np.copy, nested)))


def test_tuples_in_one_another_do_not_overflow_the_stack() -> None:
    # Once built, they would end the process while their hash is taken.
    with pytest.raises(TensorError, match="more than 20000 tuples: refused"):
        loads(b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s.")


def test_a_parameter_is_not_copied_again_and_again() -> None:
    (own,) = encode_parameters({"": VALUES}).values()
    call = b"cnumpy\ncopy\n"
    nested = base64.b64decode(own).replace(call, call * 9).replace(b"\x85R\x85R.", b"\x85R" * 9 + b"\x85R.")
    np.testing.assert_array_equal(loads(nested), VALUES)
    with pytest.raises(TensorError, match="more than 8 calls"):
        decode_parameter(base64.b64encode(nested).decode())


def test_a_tensor_is_never_larger_than_what_is_stored() -> None:
    # A stride of 0 would repeat one element endlessly.
    huge = TORCH_TENSOR.replace(b"K\x02K\x03\x86", b"J" + struct.pack("<i", 2**31 - 1) + b"K\x03\x86")
    assert huge != TORCH_TENSOR
    with pytest.raises(TensorError, match="larger than its storage"):
        loads(huge)


@pytest.mark.parametrize("value", ["no base64!", "aGFsbG8=", [[1.0], [1.0, 2.0]], ["x"], None, {}])
def test_invalid_parameters(value: Any) -> None:
    with pytest.raises(TensorError):
        decode_parameter(value)


def test_shards_of_both_kinds(tmp_path: Path) -> None:
    (tmp_path / "shard.pkl").write_bytes(TORCH_SHARD)
    shard = load_shard(tmp_path / "shard.pkl")
    assert set(shard) == {"train", "test"}
    assert (shard["train"].x.shape, shard["train"].y.tolist()) == ((2, 3), [1, 0])
    np.savez(tmp_path / "shard.npz", train_x=np.ones((2, 1, 8, 8)), train_y=np.array([1, 0]))
    assert load_shard(tmp_path / "shard.npz")["train"].x.shape == (2, 64)


def test_shards_with_code_or_nonsense(tmp_path: Path) -> None:
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Call(os.system, "true")))
    np.savez(tmp_path / "evil.npz", train_x=np.array([Call(os.system, "true")]), train_y=np.array([1]))
    np.savez(tmp_path / "float.npz", train_x=np.ones((2, 3)), train_y=np.array([1.0, 0.0]))
    np.savez(tmp_path / "long.npz", train_x=np.ones((2, 3)), train_y=np.array([1]))
    np.savez(tmp_path / "nan.npz", train_x=np.array([[np.nan]]), train_y=np.array([1]))
    np.savez(tmp_path / "words.npz", train_x=np.array([["a"]]), train_y=np.array([1]))
    (tmp_path / "text.npz").write_text("x", encoding="utf-8")
    for name in ("nan.npz", "words.npz"):
        with pytest.raises(ParticipantError, match="not finite, expected numbers"):
            load_shard(tmp_path / name)
    for name in ("evil.pkl", "evil.npz", "float.npz", "long.npz", "text.npz", "absent.npz"):
        with pytest.raises(ParticipantError):
            load_shard(tmp_path / name)
