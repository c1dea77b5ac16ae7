"""Count which of FederatedScope's own experiments plan, unchanged, and why others do not.

python tools/federatedscope_support.py CHECKOUT            # print the table
python tools/federatedscope_support.py CHECKOUT --files    # one line for each file, with all reasons
python tools/federatedscope_support.py CHECKOUT --write    # write docs/federatedscope-support.md

Counted is every YAML file of the checkout with a top-level ``federate:``, outside benchmark/FedHPOBench. Each becomes
the ``config_file`` of an experiment with data set ``federatedscope`` and as many clients as it asks for, at most ten.
Data, packages and the interpreter are those of this machine, as the user configuration of fedsim-runner names them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.engines.federatedscope.other_data import clients_of
from fedsim_runner.lab.host import LabHost
from fedsim_runner.runs.experiment_file import parse_experiment
from fedsim_runner.runs.planning import make_plan_or_refuse
from fedsim_runner.yamlfile.spec_errors import NOT_AT_HAND, SpecError, SpecErrors

PAGE = Path(__file__).resolve().parent.parent / "docs" / "federatedscope-support.md"
LEFT_OUT = "benchmark/FedHPOBench"
CLIENTS_MAX = 10
# Large enough for all: what a lab carries is not asked here.
LAB = LabHost("lab", cpus=64, memory_bytes=256 << 30, arch="amd64", gpu_ids=("0",))

PLANS, NOT_HERE, REFUSED = "plans", "lacks only data or packages", "refused"
SEVERAL = "keys to correct"
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s/]+/)+")
EXPERIMENT = """\
name: counted
seed: {seed}
devices:
  - {{name: server, type: edge-server, role: server, engine: federatedscope, overrides: {{gpus: 0}}}}
  - {{name: client, type: smartphone-high, count: {clients}, engine: federatedscope}}
data: {{dataset: federatedscope}}
federatedscope:
  source: {source}
  config_file: {file}
"""


@dataclass(frozen=True)
class Verdict:
    """What became of one file.

    Attributes:
        file: its path in the checkout.
        notes: the plan's notes, where it plans.
        mistakes: why it does not, all of them in the order in which a user sees them.
    """

    file: str
    notes: tuple[str, ...] = ()
    mistakes: tuple[SpecError, ...] = ()

    @property
    def outcome(self) -> str:
        if not self.mistakes:
            return PLANS
        return NOT_HERE if all(mistake.topic in NOT_AT_HAND for mistake in self.mistakes) else REFUSED

    @property
    def first(self) -> SpecError:
        """The first mistake; of a refused file, the first that has to be corrected in it."""
        refused = [mistake for mistake in self.mistakes if mistake.topic not in NOT_AT_HAND]
        return (refused or self.mistakes)[0]

    @property
    def reason(self) -> str:
        """What it comes to: the first topic, else the only key, else that there are several."""
        first = self.mistakes[0]
        if first.topic and not (first.topic in NOT_AT_HAND and self.outcome == REFUSED):
            return first.topic
        keys = {mistake.path for mistake in self.mistakes if mistake.topic not in NOT_AT_HAND}
        return f"`{keys.pop()}`" if len(keys) == 1 else SEVERAL


def experiments(checkout: Path) -> Iterator[Path]:
    """The files that are counted, sorted."""
    for path in sorted(checkout.rglob("*.y*ml")):
        relative = path.relative_to(checkout)
        if path.suffix not in (".yaml", ".yml") or relative.is_relative_to(LEFT_OUT):
            continue
        if re.search(r"^federate:", path.read_text(encoding="utf-8"), re.MULTILINE):
            yield path


def judge(path: Path, checkout: Path) -> Verdict:
    """Plan an experiment around one file."""
    file = str(path.relative_to(checkout))
    clients, seed = _written(path)
    text = EXPERIMENT.format(
        seed=seed, clients=min(clients or CLIENTS_MAX, CLIENTS_MAX), source=checkout, file=path.relative_to(checkout)
    )
    try:
        experiment = parse_experiment(text, checkout / "counted.yaml", engines=True)
        plan = make_plan_or_refuse(experiment, [LAB], "counted")
    except SpecErrors as errors:
        return Verdict(file, mistakes=errors.errors)
    except FedsimError as error:
        if isinstance(error.__cause__, SpecErrors):
            return Verdict(file, mistakes=error.__cause__.errors)
        return Verdict(file, mistakes=(SpecError(file, 0, 0, "", str(error)),))
    return Verdict(file, notes=plan.notes)


def _written(path: Path) -> tuple[int, int]:
    """The number of clients and the seed that a file asks for; 0: none. Some sets have data for so many clients."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        clients = tree["federate"].get("client_num", 0) or clients_of(tree.get("data", {})) or 0
        return int(clients), int(tree.get("seed", 0))
    except (yaml.YAMLError, TypeError, ValueError, AttributeError):
        return 0, 0


def table(verdicts: Sequence[Verdict]) -> str:
    """The figure and the reasons as Markdown."""
    found = {outcome: [one for one in verdicts if one.outcome == outcome] for outcome in (PLANS, NOT_HERE, REFUSED)}
    lines = ["| outcome | files | share |", "|---|---|---|"]
    for outcome, members in found.items():
        lines.append(f"| {outcome} | {len(members)} | {_share(members, verdicts)} |")
    accepted = [*found[PLANS], *found[NOT_HERE]]
    lines += [
        "",
        f"Without a mistake: {len(accepted)} of {len(verdicts)}, {_share(accepted, verdicts)}.",
        "",
        "| reason | files | message to the user |",
        "|---|---|---|",
    ]
    for outcome in (NOT_HERE, REFUSED):
        for reason, members in _by_reason(found[outcome]):
            message = _most_frequent_message(members)
            lines.append(f"| {reason} | {len(members)} | {message} |")
    return "\n".join(lines) + "\n"


def _by_reason(verdicts: Iterable[Verdict]) -> list[tuple[str, list[Verdict]]]:
    groups: dict[str, list[Verdict]] = {}
    for one in verdicts:
        groups.setdefault(one.reason, []).append(one)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


def _most_frequent_message(verdicts: Sequence[Verdict]) -> str:
    """The most frequent first message of these files, without the file's name and this machine's folders."""
    messages = [f"`{one.first.path}`: {_FOLDERS.sub('.../', one.first.message)}" for one in verdicts]
    return max(sorted(set(messages)), key=messages.count).replace("|", "\\|")


def _share(members: Sequence[Verdict], verdicts: Sequence[Verdict]) -> str:
    return f"{len(members) / len(verdicts):.0%}" if verdicts else "0%"


def page(verdicts: Sequence[Verdict], old: str = "") -> str:
    """The page of the documentation. ``old``: its last version, of which the part about courses that ran is kept."""
    lists = []
    for title, outcome in (("Files that plan", PLANS), ("Files that lack only data or packages", NOT_HERE)):
        lists += [f"## {title}", ""]
        lists += [f"- `{one.file}`" for one in verdicts if one.outcome == outcome] or ["None."]
        lists.append("")
    lists += ["## Files that are refused", ""]
    for reason, members in _by_reason([one for one in verdicts if one.outcome == REFUSED]):
        lists += [f"### {reason[0].upper()}{reason[1:]}", "", *(f"- `{one.file}`" for one in members), ""]
    _, heading, kept = old.partition(RAN)
    return f"{HEAD}\n{table(verdicts)}\n" + "\n".join(lists).rstrip() + "\n" + heading + kept


# Written by hand from what tools/public_courses.py prints.
RAN = "\n## Public files that ran end to end\n"
HEAD = """\
<!-- Written by `python tools/federatedscope_support.py CHECKOUT --write`. -->

# Which FederatedScope experiments run

Every YAML file with a top-level `federate:` in FederatedScope's repository at commit 480b67d is counted, except those
in `benchmark/FedHPOBench`. Each is used, unchanged, as the `config_file` of an experiment with `data:
{dataset: federatedscope}`, devices of the engine federatedscope, and as many clients as it asks for, at most ten. It
*plans* if `fedsim-provision plan` finds no mistake in it. Data sets that are not on the control node, and packages
that its interpreter or the images lack, are not mistakes of the file: with them it plans. Data other than labelled
samples (graphs, ratings, pairs of augmented images) reach the devices in FederatedScope's own form. That a file plans
does not mean that it was run: where its packages are not at hand, it was not. Addresses, folders, GPUs and numbers of
clients in the file are overridden, switches of standalone mode and what is for a search are removed, and keys of older
versions are read where FederatedScope has them now, with a note in the plan ([spec.md](spec.md#federatedscope)).

All reasons against a file are reported in one pass. If its course as a whole is impossible here, that reason comes
first.
"""


def main() -> None:
    """Count, and print or write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkout", type=Path, help="a checkout of FederatedScope")
    parser.add_argument("--files", action="store_true", help="one line for each file")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    verdicts = [judge(path, checkout) for path in experiments(checkout)]
    if options.files:
        for one in verdicts:
            print(f"{one.outcome}: {one.file}")
            for mistake in one.mistakes:
                hint = f" ({mistake.hint})" if mistake.hint else ""
                print(f"    {mistake.path}: {mistake.message}{hint}")
            for note in one.notes:
                print(f"    note: {note}")
    if options.write:
        PAGE.write_text(page(verdicts, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(table(verdicts))


if __name__ == "__main__":
    main()
