"""Run public FederatedScope files of different kinds end to end: three rounds each, judged by the report.

    python tools/public_courses.py CHECKOUT [--only TEXT ...] [--docker] [--keep FOLDER] [--rounds 3]

``CHECKOUT``: a checkout of FederatedScope, whose files are read and never changed. Each file of :data:`KINDS` runs as
``config_file`` of an experiment, unchanged but for the number of rounds; what must be said outside it (which data, how
many devices) is in the experiment file. Where a file's data set has to be downloaded, arrays of the same shape, type
and number of classes stand in for it. Without ``--docker`` the participants are plain processes, and
``federatedscope.python`` of the user's configuration must name an interpreter that has FederatedScope's packages.

A table is printed, one line a file: what it stands for, its data, and "3 rounds" or why it did not get there. The exit
code is 1 if any did not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

MODELS = "scripts/personalization_exp_scripts"
NLP = "federatedscope/nlp/baseline"
CV = "federatedscope/cv/baseline"
EXAMPLES = "scripts/example_configs"
VALLEY = "scripts/wide_valley_exp_scripts"

EXPERIMENT = """\
name: {name}
seed: 1
devices:
  - {{name: server, role: server, {device}}}
  - {{name: client, count: {clients}, {device}}}
course: {{timeout: 900, silence_timeout: 300}}
data: {data}
federatedscope: {{config_file: fs.yaml, source: {source}}}
"""
# Server and clients alike: wired, with memory for every model of the list, and without the GPU of the type.
DEVICE = "type: edge-server, engine: federatedscope, overrides: {cpus: 1, memory_mb: 3072, gpus: 0}"


@dataclass(frozen=True)
class Arrays:
    """Data of the same shape: samples of ``shape`` with one of ``classes`` labels, or with a number each (0 classes).

    ``tokens``: samples are whole numbers below it.
    """

    shape: tuple[int, ...]
    classes: int = 0
    tokens: int = 0
    each: int = 40  # samples for each client

    def __str__(self) -> str:
        kind = f"tokens below {self.tokens}" if self.tokens else "float32"
        labels = f"{self.classes} classes" if self.classes else "a number each"
        return f"{' x '.join(map(str, self.shape))} {kind}, {labels}"

    def write(self, path: Path, clients: int) -> str:
        """Write the arrays; return the experiment file's ``data``."""
        rng = np.random.default_rng(0)
        count = max(self.each * (clients + 1), 2 * self.classes)
        y: Any = np.arange(count) % max(1, self.classes)
        if self.tokens:
            x: Any = rng.integers(0, self.tokens, (count, *self.shape))
        elif not self.classes:
            x = rng.normal(size=(count, *self.shape)).astype(np.float32)
            y = (x @ rng.normal(size=self.shape[-1])).astype(np.float32)
        else:
            # Each class around a point of its own, so that there is something to learn.
            centres = rng.normal(size=(self.classes, *self.shape))
            x = (centres[y] + rng.normal(size=(count, *self.shape))).astype(np.float32)
        np.savez(path, x=x, y=y)
        return f"{{dataset: npz, path: {path.name}, split: iid}}"


@dataclass(frozen=True)
class Made:
    """Data that FederatedScope makes itself."""

    def __str__(self) -> str:
        return "made by FederatedScope"

    def write(self, path: Path, clients: int) -> str:
        """Return the experiment file's ``data``."""
        return "{dataset: federatedscope}"


@dataclass(frozen=True)
class Kind:
    """A public file, what it stands for, its data, and how many clients it is given.

    ``also``: keys that three rounds need changed besides their number.
    """

    stands_for: str
    file: str
    data: Arrays | Made
    clients: int = 3
    also: Mapping[str, Any] = field(default_factory=dict)


FEMNIST = Arrays((1, 28, 28), 62)
CIFAR = Arrays((3, 32, 32), 10)
SHAKESPEARE = Arrays((80,), 80, tokens=80)
SYNTHETIC = Arrays((150,), 2)

KINDS = (
    Kind("regression on toy data, lr", f"{EXAMPLES}/single_process.yaml", Made()),
    Kind("a model without layers, L1 loss", f"{EXAMPLES}/quadratic.yaml", Made()),
    Kind("tabular data, lr, Dirichlet split", f"{EXAMPLES}/openml_lr.yaml", Arrays((4,), 2)),
    Kind("FedAvg, lr, the trainer for texts", f"{NLP}/fedavg_lr_on_synthetic.yaml", SYNTHETIC),
    Kind("Ditto, lr", f"{MODELS}/ditto/ditto_lr_on_synthetic.yaml", SYNTHETIC),
    Kind("pFedMe, lr", f"{MODELS}/pfedme/pfedme_lr_on_synthetic.yaml", SYNTHETIC),
    Kind("texts as bags of words, clients sampled", f"{NLP}/fedavg_lr_on_twitter.yaml", Arrays((5000,), 2), clients=10),
    Kind("FedAvg, convnet2", f"{CV}/fedavg_convnet2_on_femnist.yaml", FEMNIST),
    Kind("FedBN, convnet2", f"{CV}/fedbn_convnet2_on_femnist.yaml", FEMNIST),
    Kind("Ditto, convnet2", f"{MODELS}/ditto/ditto_convnet2_on_femnist.yaml", FEMNIST),
    Kind("pFedMe, convnet2", f"{MODELS}/pfedme/pfedme_convnet2_on_femnist.yaml", FEMNIST),
    Kind("FedSWA, evaluation by the server", f"{EXAMPLES}/fedswa.yaml", FEMNIST, also={"fedswa.start_rnd": 1}),
    Kind("colour images, convnet2", f"{CV}/fedavg_convnet2_on_cifar10.yaml", CIFAR),
    Kind("asynchronous aggregation", f"{EXAMPLES}/asyn_cifar10.yaml", CIFAR, clients=10),
    Kind("lstm on sequences of tokens", f"{NLP}/fedavg_lstm_on_shakespeare.yaml", SHAKESPEARE),
    Kind("lstm with 10,000 words", f"{NLP}/fedavg_lstm_on_subreddit.yaml", Arrays((10,), 100, tokens=10_000), 10),
    Kind("a contrib model", f"{VALLEY}/fedavg_on_cifar10.yaml", CIFAR, clients=5),
    Kind("a contrib trainer, FedSAM", f"{VALLEY}/fedsam_on_cifar10.yaml", CIFAR, clients=5),
    Kind("a contrib trainer, FedASAM", f"{VALLEY}/fedasam_on_cifar10.yaml", CIFAR, clients=5),
    Kind(
        "a server's file of distributed mode",
        "scripts/distributed_scripts/distributed_configs/distributed_server.yaml",
        Arrays((5,)),
    ),
    Kind(
        "a file of distributed mode for a server without data",
        "scripts/distributed_scripts/distributed_configs/distributed_server_no_data.yaml",
        Arrays((5,)),
    ),
    Kind(
        "a client's file of distributed mode, images",
        "scripts/distributed_scripts/distributed_configs/distributed_femnist_client_1.yaml",
        FEMNIST,
    ),
    Kind("a file for a search, as one course", f"{EXAMPLES}/toy_sha.yaml", Made()),
    Kind("keys of an older version, tabular data", "benchmark/FedHPOBench/scripts/lr/openml_lr.yaml", Arrays((4,), 2)),
)


@dataclass(frozen=True)
class Outcome:
    """How a course ended; ``problem`` None: all rounds were run."""

    kind: Kind
    problem: str | None
    seconds: float


def main() -> int:
    """Run the chosen kinds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--only", nargs="*", default=[""], help="only files with one of these in their path")
    parser.add_argument("--source", type=Path, help="where FederatedScope comes from; not given: the checkout")
    parser.add_argument("--docker", action="store_true", help="in containers")
    parser.add_argument("--keep", type=Path, help="folder for experiments and runs; not given: a temporary one")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    checkout = arguments.checkout.resolve()
    if not (checkout / "federatedscope").is_dir():
        parser.error(f"{checkout} is not a checkout of FederatedScope")
    chosen = [kind for kind in KINDS if any(text in kind.file for text in arguments.only)]
    with tempfile.TemporaryDirectory(prefix="fedsim-public-") as temporary:
        folder = arguments.keep or Path(temporary)
        print(f"| file | stands for | data | {arguments.rounds} rounds |\n|---|---|---|---|")
        outcomes = []
        for outcome in _run_all(chosen, arguments, folder):
            outcomes.append(outcome)
            kind, result = outcome.kind, outcome.problem or f"run in {outcome.seconds:.0f} s"
            print(f"| `{kind.file}` | {kind.stands_for} | {kind.data} | {result} |", flush=True)
    done = sum(outcome.problem is None for outcome in outcomes)
    print(f"\n{done} of {len(outcomes)} ran {arguments.rounds} rounds")
    return 0 if done == len(outcomes) else 1


def _run_all(kinds: list[Kind], arguments: argparse.Namespace, folder: Path) -> Iterator[Outcome]:
    for kind in kinds:
        began = time.monotonic()
        problem = _run(kind, arguments, folder)
        yield Outcome(kind, problem, time.monotonic() - began)


def _run(kind: Kind, arguments: argparse.Namespace, folder: Path) -> str | None:
    """Run one kind; return why it did not run all rounds, or None."""
    checkout, rounds = arguments.checkout.resolve(), arguments.rounds
    name = f"p{KINDS.index(kind):02}-{Path(kind.file).stem.lower().replace('_', '-')}"[:40].strip("-")
    here = folder / name
    here.mkdir(parents=True, exist_ok=True)
    tree = yaml.safe_load((checkout / kind.file).read_text(encoding="utf-8"))
    for key, value in {"federate.total_round_num": rounds, **kind.also}.items():
        section, _, last = key.partition(".")
        tree[section][last] = value
    (here / "fs.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    data = kind.data.write(here / "samples.npz", kind.clients)
    experiment, source = here / "experiment.yaml", (arguments.source or checkout).resolve()
    experiment.write_text(
        EXPERIMENT.format(name=name, device=DEVICE, clients=kind.clients, data=data, source=source), encoding="utf-8"
    )
    command = [sys.executable, "-m", "fedsim_runner", "run", str(experiment), "--json", "--runs-dir", str(here)]
    command += [] if arguments.docker else ["--no-docker"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    (here / "output.txt").write_text(done.stderr, encoding="utf-8")
    try:
        report = json.loads(done.stdout)
    except ValueError:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return f"exit code {done.returncode}: {said[0] if said else 'no output'}"
    ran = len(report.get("rounds") or ())
    if done.returncode == 0 and ran >= rounds:
        return None
    return f"exit code {done.returncode} after {ran} rounds: {report.get('reason')}"


if __name__ == "__main__":
    sys.exit(main())
