"""The comparison of two runs of one experiment."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fedsim_runner.runs.repetition.comparison import compare_rounds, describe_rounds, differing_facts

MANIFEST: dict[str, Any] = {
    "mode": "docker",
    "fedsim_runner": "0.1.0",
    "fedsim_runner_source": None,
    "federatedscope": {"revision": "ab" * 20, "version": "0.3.0", "sha256": "cd" * 32},
    "patches_off": [],
    "cpu_factor": 0.5,
    "link_backend": "netem",
    "lab_hosts": {"lab1": {}, "lab2": {}},
    "agent": {"kernel": "6.1", "congestion_control": "cubic"},
    "engine": {"version": "26.1", "cgroup_version": "2"},
    "control_node": {
        "kernel": "6.1",
        "cpu_model": "EPYC",
        "cpu_count": 8,
        "python": "3.11.2",
        "packages": {"numpy": "2"},
    },
    "images": {
        "fedsim/agent:aa": {"id": "sha256:" + "1" * 64},
        "fedsim/pi-light:bb": {"id": "sha256:" + "2" * 64, "packages": {"numpy": "2.1", "grpcio": "1.6"}},
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    manifest = copy.deepcopy(MANIFEST)
    *holders, last = (part.replace("~", "/") for part in path.split("/"))
    target: Any = manifest
    for part in holders:
        target = target[part]
    target[last] = value
    return manifest


def test_equal_manifests_have_no_differences() -> None:
    assert differing_facts(MANIFEST, copy.deepcopy(MANIFEST)) == []


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("agent/kernel", "6.12", "kernel of the lab host: 6.1, now 6.12"),
        ("link_backend", "userspace", "link back end: netem, now userspace"),
        ("lab_hosts", {"local": {}}, "lab hosts: lab1, lab2, now local"),
        ("federatedscope/revision", "ef" * 20, "FederatedScope's revision: abababababab, now efefefefefef"),
        ("federatedscope/sha256", "ef" * 32, "FederatedScope's wheel: cdcdcdcdcdcd, now efefefefefef"),
        ("patches_off", ["lost_join"], "patches switched off: none, now lost_join"),
        ("cpu_factor", 0.25, "cpu factor: 0.5, now 0.25"),
        ("engine/version", "27.0", "Docker Engine: 26.1, now 27.0"),
        (
            "images/fedsim~pi-light:bb/id",
            "sha256:" + "3" * 64,
            "image fedsim/pi-light:bb: built again, 222222222222, now 333333333333",
        ),
        ("images/fedsim~pi-light:bb/packages/numpy", "2.2", "image fedsim/pi-light: numpy 2.1, now 2.2"),
        ("mode", "processes", "mode: docker, now processes"),
    ],
)
def test_each_difference_is_named(path: str, value: Any, text: str) -> None:
    assert differing_facts(MANIFEST, changed(path, value)) == [text]


def test_an_image_from_other_files_is_identified_by_its_tag() -> None:
    manifest = copy.deepcopy(MANIFEST)
    manifest["images"] = {"fedsim/pi-light:cc": {"id": "sha256:" + "3" * 64}, "fedsim/new:dd": {"id": "x"}}
    assert differing_facts(MANIFEST, manifest) == ["image fedsim/pi-light: made from other files (bb, now cc)"]


def test_a_fact_that_one_side_lacks_is_not_a_difference() -> None:
    assert differing_facts({**MANIFEST, "engine": None, "images": None}, MANIFEST) == []


def test_packages_of_the_control_node_count_where_participants_ran_on_them() -> None:
    before = {**MANIFEST, "mode": "processes"}
    now = {**changed("control_node/packages", {"numpy": "1"}), "mode": "processes"}
    assert differing_facts(before, now) == ["control node: numpy 2, now 1"]
    assert differing_facts(MANIFEST, changed("control_node/packages", {"numpy": "1"})) == []


def rounds(*accuracies: float | None) -> dict[str, Any]:
    return {"rounds": [{"round": number, "test_acc": value} for number, value in enumerate(accuracies, 1)]}


@pytest.mark.parametrize(
    ("before", "now", "text"),
    [
        (rounds(0.1, 0.2), rounds(0.1, 0.2), "the accuracy is equal to the last digit in all 2 rounds"),
        (
            rounds(0.1, 0.2, 0.3),
            rounds(0.1, 0.25, 0.31),
            "the accuracy is equal in 1 of 3 rounds; it first differs in round 2, and by at most 0.05",
        ),
        (
            rounds(0.1, 0.2),
            rounds(0.1),
            "rounds with an accuracy: 2, now 1; the accuracy is equal in those that both runs have",
        ),
        (rounds(), rounds(0.1), "the two runs have no round with an accuracy in common"),
        (rounds(None), {"rounds": None}, "the two runs have no round with an accuracy in common"),
    ],
)
def test_accuracies_round_by_round(before: dict[str, Any], now: dict[str, Any], text: str) -> None:
    assert describe_rounds(compare_rounds(before, now)) == text
