"""Comparing two runs of one experiment: which conditions differed, and how far their results differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...contract.course_state import accuracy_of
from ...contract.lenient import whole

# Facts and their places in a manifest; if one of them differs, results or times may differ.
FACTS = (
    ("mode", ("mode",)),
    ("fedsim-runner", ("fedsim_runner",)),
    ("fedsim-runner's commit", ("fedsim_runner_source", "revision")),
    ("FederatedScope's revision", ("federatedscope", "revision")),
    ("FederatedScope's version", ("federatedscope", "version")),
    ("FederatedScope's wheel", ("federatedscope", "sha256")),
    ("patches switched off", ("patches_off",)),
    ("cpu factor", ("cpu_factor",)),
    ("time", ("time",)),
    ("time factor", ("time_factor",)),
    ("link back end", ("link_backend",)),
    ("allow_unshaped", ("allow_unshaped",)),
    ("kernel of the lab host", ("agent", "kernel")),
    ("TCP's congestion control", ("agent", "congestion_control")),
    ("Docker Engine", ("engine", "version")),
    ("cgroup version", ("engine", "cgroup_version")),
    ("kernel of the control node", ("control_node", "kernel")),
    ("processor", ("control_node", "cpu_model")),
    ("number of processors", ("control_node", "cpu_count")),
    ("Python of the control node", ("control_node", "python")),
)
# Without containers participants use the control node's packages.
PROCESS_PACKAGES = ("numpy", "grpcio", "protobuf", "scikit-learn")
SHOWN = 12
SHORT = 12


@dataclass(frozen=True)
class Rounds:
    """The rounds of both runs: how many are equal to the last digit, the first difference and the largest one."""

    original: int
    repetition: int
    compared: int
    equal: int
    first_difference: int | None
    largest_difference: float | None

    @property
    def all_equal(self) -> bool:
        """Whether both runs have the same rounds with the same accuracy."""
        return self.compared > 0 and self.equal == self.compared == self.original == self.repetition


def differing_facts(original: Mapping[str, Any], repetition: Mapping[str, Any]) -> list[str]:
    """Descriptions of the facts that differ; a fact that is missing in either manifest is left out."""
    found = _lab_hosts(original.get("lab_hosts"), repetition.get("lab_hosts"))
    for name, path in FACTS:
        before, now = _at(original, path), _at(repetition, path)
        if before is not None and now is not None and before != now:
            found.append(f"{name}: {_shown(before)}, now {_shown(now)}")
    if original.get("mode") == repetition.get("mode") == "processes":
        before, now = (_at(manifest, ("control_node", "packages")) or {} for manifest in (original, repetition))
        found += _packages("control node", before, now, PROCESS_PACKAGES)
    return found + _images(original.get("images"), repetition.get("images"))


def compare_rounds(original: Mapping[str, Any], repetition: Mapping[str, Any]) -> Rounds:
    """Accuracies of two reports, round by round."""
    before, now = _accuracies(original), _accuracies(repetition)
    both = sorted(set(before) & set(now))
    differences = {key: abs(before[key] - now[key]) for key in both}
    differing = [key for key in both if differences[key] != 0]
    return Rounds(
        original=len(before),
        repetition=len(now),
        compared=len(both),
        equal=len(both) - len(differing),
        first_difference=differing[0] if differing else None,
        largest_difference=max(differences.values()) if both else None,
    )


def describe_rounds(rounds: Rounds) -> str:
    """The comparison as a sentence."""
    if not rounds.compared:
        return "the two runs have no round with an accuracy in common"
    if rounds.all_equal:
        return f"the accuracy is equal to the last digit in all {rounds.compared} rounds"
    parts = []
    if rounds.original != rounds.repetition:
        parts.append(f"rounds with an accuracy: {rounds.original}, now {rounds.repetition}")
    if rounds.first_difference is None:
        parts.append("the accuracy is equal in those that both runs have")
    else:
        parts.append(
            f"the accuracy is equal in {rounds.equal} of {rounds.compared} rounds; it first differs in round "
            f"{rounds.first_difference}, and by at most {rounds.largest_difference:.4g}"
        )
    return "; ".join(parts)


def _accuracies(report: Mapping[str, Any]) -> dict[int, float]:
    entries = report.get("rounds")
    found: dict[int, float] = {}
    for entry in entries if isinstance(entries, list) else []:
        key, accuracy = whole(entry.get("round")), accuracy_of(entry)
        if key is not None and accuracy is not None:
            found[key] = accuracy
    return found


def _lab_hosts(before: object, now: object) -> list[str]:
    if not isinstance(before, Mapping) or not isinstance(now, Mapping) or not before or set(before) == set(now):
        return []
    return [f"lab hosts: {_shown(sorted(before))}, now {_shown(sorted(now))}"]


def _images(before: object, now: object) -> list[str]:
    """Compare images by name: made from other inputs (the tag is their hash), or rebuilt from the same inputs."""
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return []
    old = {_name(reference): (reference, image) for reference, image in before.items()}
    found = []
    for reference, image in now.items():
        if _name(reference) not in old:
            continue
        reference_before, image_before = old[_name(reference)]
        if reference_before != reference:
            found.append(
                f"image {_name(reference)}: made from other files ({_tag(reference_before)}, now {_tag(reference)})"
            )
        elif image_before.get("id") != image.get("id"):
            found.append(
                f"image {reference}: built again, {_shown(image_before.get('id'))}, now {_shown(image.get('id'))}"
            )
        found += _packages(f"image {_name(reference)}", image_before.get("packages"), image.get("packages"))
    return list(dict.fromkeys(found))


def _packages(where: str, before: object, now: object, only: Sequence[str] | None = None) -> list[str]:
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return []
    names = sorted(set(before) | set(now)) if only is None else only
    changed = [name for name in names if before.get(name) != now.get(name)]
    if not changed:
        return []
    shown = [f"{name} {before.get(name) or 'none'}, now {now.get(name) or 'none'}" for name in changed[:SHOWN]]
    return [f"{where}: {'; '.join(shown)}"]


def _at(manifest: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = manifest
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _name(reference: str) -> str:
    return reference.rpartition(":")[0] or reference


def _tag(reference: str) -> str:
    return reference.rpartition(":")[2]


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    text = str(value).removeprefix("sha256:")
    is_digest = len(text) >= 40 and set(text) <= set("0123456789abcdef")
    return text[:SHORT] if is_digest else text
