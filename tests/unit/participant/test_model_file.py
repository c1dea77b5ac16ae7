"""Model files: torch's format without torch, and nothing but tensors from them."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.participant.exit_errors import ParticipantError
from fedsim_runner.participant.light.models import LogisticRegression, MultilayerPerceptron
from fedsim_runner.participant.light.saved_model import restore, save
from fedsim_runner.participant.model_file import load_model, read_model, write_model
from fedsim_runner.participant.tensors import TensorError
from tests.unit.participant.test_tensors import Call

MODEL: dict[str, Any] = {
    "fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fc.bias": np.zeros(2, np.float64),
    "norms.0.num_batches_tracked": np.asarray(5, np.int64),
    "none": np.zeros((0, 3), np.float16),
    "mask": np.array([True, False]),
}


def archive(compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    """A file as torch makes one, with these members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as made:
        for name, content in members.items():
            made.writestr(f"model/{name.replace('__', '/').replace('_pkl', '.pkl')}", content)
    return stream.getvalue()


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        return {name.removeprefix("model/"): found.read(name) for name in found.namelist()}


def test_a_model_comes_back() -> None:
    found = read_model(write_model(MODEL, 12))
    assert found.rounds == 12
    assert list(found.parameters) == list(MODEL)
    for name, value in MODEL.items():
        np.testing.assert_array_equal(found.parameters[name], value)
        assert found.parameters[name].dtype == value.dtype
        assert found.parameters[name].shape == value.shape


def test_the_same_model_is_the_same_file() -> None:
    transposed = {**MODEL, "fc.weight": np.asfortranarray(MODEL["fc.weight"])}
    assert write_model(transposed, 3) == write_model(MODEL, 3)
    assert write_model(dict(read_model(write_model(MODEL, 3)).parameters), 3) == write_model(MODEL, 3)


def test_what_torch_has_no_type_for_is_not_written() -> None:
    with pytest.raises(TensorError, match="no arrays of complex128"):
        write_model({"a": np.zeros(2, complex)})


def test_code_is_refused_before_it_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    evil = pickle.dumps({"cur_round": 1, "model": Call(os.system, f"touch {mark}")}, protocol=2)
    with pytest.raises(TensorError, match=r"posix\.system: refused"):
        read_model(archive(data_pkl=evil))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a model in torch's zip format"),
        (pickle.dumps({}), "not a model in torch's zip format"),
        (write_model(MODEL)[:-40], "not a whole zip archive"),
        (archive(version=b"3"), "no data.pkl"),
        (archive(data_pkl=pickle.dumps([1, 2], protocol=2)), "is a list"),
        (archive(data_pkl=pickle.dumps({"model": {}}, protocol=2)), "no parameters"),
        (archive(data_pkl=pickle.dumps({}, protocol=2)), "no parameters"),
        (archive(data_pkl=pickle.dumps({"a": 3}, protocol=2)), "'a' is a int"),
        (archive(data_pkl=b"\x80\x02}q\xff."), "numbers an object"),
        (archive(zipfile.ZIP_DEFLATED, data_pkl=pickle.dumps({}, protocol=2)), "compressed"),
        (archive(data_pkl=members(write_model(MODEL))["data.pkl"]), "lacks the elements"),
        (archive(data_pkl=members(write_model(MODEL))["data.pkl"], data__0=b"1234"), "cut short"),
        (archive(data_pkl=pickle.dumps({}, protocol=2), byteorder=b"big"), "big-endian"),
    ],
)
def test_other_files_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(TensorError, match=reason):
        read_model(data)


def test_a_few_bytes_cannot_claim_the_memory_of_many_models() -> None:
    whole = members(write_model({"a": np.zeros(1 << 16, np.float32)}))
    head, tensor = whole["data.pkl"].split(b"X\x01\x00\x00\x00a", 1)
    tensor = tensor.removesuffix(b"uu.")
    many = b"".join(b"X\x04\x00\x00\x00" + f"{number:04}".encode() + tensor for number in range(500))
    with pytest.raises(TensorError, match="larger than the file"):
        read_model(archive(data_pkl=head + many + b"uu.", data__0=whole["data/0"]))


def test_a_bare_mapping_of_tensors_is_a_model() -> None:
    whole = members(write_model(MODEL))
    inner = whole["data.pkl"].split(b"X\x05\x00\x00\x00model", 1)[1].removesuffix(b"u.")
    data = {f"data__{key}": whole[f"data/{key}"] for key in range(len(MODEL))}
    found = read_model(archive(data_pkl=b"\x80\x02" + inner + b".", **data))
    assert (found.rounds, list(found.parameters)) == (0, list(MODEL))


def test_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TensorError, match=r"gone\.pt: there is no such file"):
        load_model(tmp_path / "gone.pt")
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(TensorError, match=r"pipe\.pt: there is no such file"):
        load_model(tmp_path / "pipe.pt")
    with pytest.raises(TensorError, match=r"xx\.pt: cannot be read: File name too long"):
        load_model(tmp_path / f"{'x' * 300}.pt")
    (tmp_path / "odd.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(TensorError, match=r"odd\.pt: not a whole zip archive"):
        load_model(tmp_path / "odd.pt")


def mlp(seed: int) -> MultilayerPerceptron:
    return MultilayerPerceptron([4, 3, 2], 0.0, True, np.random.default_rng(seed))


def test_the_whole_model_is_saved_and_restored(tmp_path: Path) -> None:
    one, other = mlp(1), mlp(2)
    one.forward(np.random.default_rng(3).normal(size=(8, 4)).astype(np.float32), training=True)
    save(one, tmp_path / "model.pt", 5)
    restore(other, tmp_path / "model.pt")
    for name, value in {**one.parameters, **one.statistics}.items():
        np.testing.assert_array_equal({**other.parameters, **other.statistics}[name], value)
    assert int(other.statistics["norms.0.num_batches_tracked"]) == 1
    assert np.any(other.statistics["norms.0.running_mean"] != 0)
    # The names and shapes of FederatedScope's own, which its server wants all of.
    assert sorted(load_model(tmp_path / "model.pt").parameters) == sorted(
        f"{kind}.{layer}.{what}"
        for layer in (0, 1)
        for kind, names in (
            ("linears", ("weight", "bias")),
            ("norms", ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
        )
        for what in names
    )


@pytest.mark.parametrize(
    ("saved", "reason"),
    [
        ({"fc.weight": np.zeros((2, 3)), "fc.bias": np.zeros(2), "more": np.zeros(1)}, "it has more"),
        ({"fc.weight": np.zeros((2, 3))}, "it lacks fc.bias"),
        ({"fc.weight": np.zeros((2, 4)), "fc.bias": np.zeros(2)}, r"its fc.weight has shape \(2, 4\), the model's has"),
    ],
)
def test_a_model_of_another_kind_is_refused(saved: dict[str, Any], reason: str, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(write_model(saved))
    model = LogisticRegression(3, 2, np.random.default_rng(0))
    with pytest.raises(ParticipantError, match=rf"model\.pt does not fit: {reason}"):
        restore(model, tmp_path / "model.pt")


def test_statistics_may_be_missing(tmp_path: Path) -> None:
    model = mlp(1)
    (tmp_path / "model.pt").write_bytes(write_model(mlp(2).parameters))
    restore(model, tmp_path / "model.pt")
    np.testing.assert_array_equal(model.parameters["linears.0.weight"], mlp(2).parameters["linears.0.weight"])
