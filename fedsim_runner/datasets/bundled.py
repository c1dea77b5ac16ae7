"""Reading the data sets bundled in installed packages; :mod:`fedsim_runner.catalog.data_sets` lists them.

The files are read from the package's folder, without importing it: importing scikit-learn alone takes a second,
reading its digits a twentieth of that.
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..catalog.data_sets import BUNDLED, BundledSet
from .labelled_samples import DataSet, Part, Samples
from .packages import missing_package, package_folder

# The highest pixel value of each set: pixels are scaled to 0..1.
_WHITE = {"digits": 16, "mnist_5k": 255}
# Sets whose file begins with a line that is not a sample.
_HEADED = ("iris", "wine", "breast_cancer", "image_segments", "phishing")


def load_bundled(name: str) -> DataSet:
    """Load a bundled data set by its name in the experiment file.

    Raises:
        ValueError: there is no such data set, or its package is not installed or no longer has the file.
    """
    if name not in BUNDLED:
        raise ValueError(f"data set {name!r} is unknown; known: {', '.join(BUNDLED)}")
    facts, folder = BUNDLED[name], package_folder(name)
    if folder is None:
        raise ValueError(f"data set {name} comes with {facts.package}, which is missing: {missing_package(name)}")
    try:
        text = _read_text(folder / facts.file)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"data set {name}: {folder / facts.file} cannot be read: {error}") from error
    rows = list(csv.reader(io.StringIO(text)))[name in _HEADED :]
    names = {label: number for number, label in enumerate(facts.classes)}
    features = np.array([row[:-1] for row in rows], dtype=np.float64)
    # Labels are the class's name, or its number (digits writes it as 7.000e+00).
    labels = [names[row[-1]] if row[-1] in names else int(float(row[-1])) for row in rows]
    return DataSet(facts.classes, Part(Samples(_scale(name, facts, features), np.array(labels, dtype=np.int64))))


def _scale(name: str, facts: BundledSet, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    if facts.standardised:
        spread = features.std(axis=0)
        features = (features - features.mean(axis=0)) / np.where(spread == 0, 1, spread)
    else:
        features = features / _WHITE[name]
    return features.astype(np.float32).reshape(-1, *facts.shape)


def _read_text(path: Path) -> str:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
            return stream.read()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.read(archive.namelist()[0]).decode()
    return path.read_text(encoding="utf-8")
