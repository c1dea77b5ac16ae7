"""What a FederatedScope tree says of the testbed's own keys and of standalone mode: kept, changed or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.spec.schema import DataSection
from fedsim_runner.spec.settled_config import Settled, Surroundings, settle_config
from fedsim_runner.yamlfile.document import Document, parse
from fedsim_runner.yamlfile.overlay import lay_over

ROUNDS = "federate: {total_round_num: 3}\n"
COLLECTED = Path(__file__).resolve().parents[2] / "data/runs-0.1.0/mends/collected"
# One key of each kind that the testbed sets, with a value that it does not set.
OWNED = """
use_gpu: true
device: 0
seed: 5
outdir: exp_out
expname: mine
verbose: 0
federate:
  total_round_num: 3
  mode: standalone
  client_num: 200
  sample_client_num: 32
  resource_info_file: capacity
  save_to: models/lr.pt
distribute: {use: false, role: client, server_host: 10.0.0.1, grpc_compression: gzip}
data: {root: /data, type: femnist, splits: [0.6, 0.2, 0.2], quadratic: {dim: 3}, made_up: 1}
wandb: {use: true, name_user: me}
dataloader: {num_workers: 4, batch_size: 8}
"""


def settle(
    text: str, brought: str | None = "mine.yaml", dataset: str = "digits", real: bool = True
) -> tuple[Settled, list[str]]:
    document = parse(text, "file.yaml")
    data = DataSection.model_validate({"dataset": dataset})
    settled = settle_config(document.value(), document, Surroundings(7, 3, data, Path("/folder"), brought, real))
    return settled, mistakes(document)


def mistakes(document: Document) -> list[str]:
    return [error.path for error in document.errors]


def test_a_brought_file_is_overridden_with_one_note_that_lists_what() -> None:
    settled, wrong = settle(OWNED)
    assert wrong == []
    assert settled.config == {
        "federate": {"total_round_num": 3, "save_to": "lr.pt"},
        "distribute": {"grpc_compression": "gzip"},
        "wandb": {"name_user": "me"},
        "dataloader": {"batch_size": 8},
    }
    (note,) = settled.notes
    assert note == (
        "mine.yaml: the testbed sets federate.client_num (3), federate.resource_info_file, data.* (data set digits), "
        "outdir, expname, seed (7), use_gpu, device, wandb.use, dataloader.num_workers, distribute.*, verbose, the "
        "folder of federate.save_to (lr.pt), federate.sample_client_num (all 3): what the file says there is not used"
    )


def test_in_the_experiment_file_each_is_a_mistake() -> None:
    _, wrong = settle(OWNED, brought=None)
    assert sorted(wrong) == sorted(
        [
            "federate.client_num", "federate.resource_info_file", "federate.sample_client_num", "outdir", "expname",
            "seed", "use_gpu", "device", "wandb.use", "verbose", "data.type", "data.root", "data.splits",
            "data.quadratic", "data.made_up", "distribute.server_host", "dataloader.num_workers",
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "use_gpu: false\ndevice: -1\nwandb: {use: false}\n",
        "outdir: exp\nexpname: ''\nexpname_tag: ''\nverbose: 1\nseed: 0\n",
        "outdir: /fedsim/out\nexpname: course\nseed: 7\n",
        "data: {type: toy, root: data, splits: [0.8, 0.1, 0.1], file_path: '', quadratic: {dim: 1}, batch_size: 64}\n",
        "data: {type: file, file_path: /fedsim/in/shard.npz}\n",
        "distribute: {use: true, role: client, server_host: 0.0.0.0, server_port: 50050, data_idx: -1}\n",
        "distribute: {use: false}\n",
    ],
)
@pytest.mark.parametrize("brought", [None, "mine.yaml"])
def test_what_says_the_same_or_a_default_is_no_mistake_and_no_note(text: str, brought: str | None) -> None:
    settled, wrong = settle(ROUNDS + text, brought)
    assert wrong == []
    assert settled.notes == ()
    assert settled.config == {"federate": {"total_round_num": 3}, **({"verbose": 1} if "verbose" in text else {})}


@pytest.mark.parametrize("participant", ["server", "near"])
def test_the_collected_config_of_a_run_is_accepted(participant: str) -> None:
    text = (COLLECTED / participant / "course" / "config.yaml").read_text(encoding="utf-8")
    settled, wrong = settle(text)
    assert wrong == []
    assert all(note.startswith("mine.yaml: the testbed sets") for note in settled.notes)
    assert "data" not in settled.config
    assert "outdir" not in settled.config
    assert settled.config["model"]["type"] == "lr"


def test_outdated_keys_that_federatedscope_reads_are_moved_as_it_does() -> None:
    text = ROUNDS + "data: {batch_size: 32, shuffle: false, num_workers: 0}\ndataloader: {batch_size: 8, type: base}\n"
    settled, wrong = settle(text)
    assert wrong == []
    assert settled.config["dataloader"] == {"batch_size": 32, "type": "base", "shuffle": False}
    assert settled.notes == (
        "mine.yaml: outdated keys are read as FederatedScope reads them: data.batch_size as dataloader.batch_size, "
        "data.shuffle as dataloader.shuffle",
    )
    assert settle(text, brought=None)[1] == ["data.batch_size", "data.shuffle"]


def test_federatedscopes_own_data_keep_their_section_for_its_loader() -> None:
    text = ROUNDS + "data: {type: femnist, root: data/, subsample: 0.05, batch_size: 10}\n"
    settled, wrong = settle(text, dataset="federatedscope")
    assert wrong == []
    assert settled.data == {"type": "femnist", "root": "/folder/data", "subsample": 0.05}
    assert settled.config["dataloader"] == {"batch_size": 10}
    assert not any("data.*" in note for note in settled.notes)


SWITCHES = "federate: {total_round_num: 3, online_aggr: true, share_local_model: true}\n"


@pytest.mark.parametrize("brought", [None, "mine.yaml"])
def test_switches_of_standalone_mode_are_removed_with_a_note(brought: str | None) -> None:
    settled, wrong = settle(SWITCHES, brought)
    assert wrong == []
    assert settled.config == {"federate": {"total_round_num": 3}}
    (note,) = settled.notes
    assert note.startswith("federate.online_aggr and federate.share_local_model: false here")


def test_merged_test_data_are_the_servers_test_set() -> None:
    text = "federate: {total_round_num: 3, merge_test_data: true, merge_val_data: true}\neval: {metrics: [acc]}\n"
    settled, wrong = settle(text)
    assert wrong == []
    assert settled.config == {
        "federate": {"total_round_num": 3, "make_global_eval": True},
        "eval": {"metrics": ["acc"], "best_res_update_round_wise_key": "test_loss"},
    }
    assert len(settled.notes) == 2


def test_switches_that_are_off_need_no_note() -> None:
    off = "federate: {total_round_num: 3, online_aggr: false, merge_test_data: false, merge_val_data: false}\n"
    settled, _ = settle(off)
    assert settled.config == {"federate": {"total_round_num": 3}}
    assert settled.notes == ()


@pytest.mark.parametrize(
    ("other", "key"),
    [
        ("asyn: {use: true}", "federate.online_aggr"),
        ("personalization: {local_param: [bn]}", "federate.share_local_model"),
    ],
)
def test_a_switch_that_changes_the_course_is_refused(other: str, key: str) -> None:
    settled, wrong = settle(SWITCHES + other + "\n")
    assert wrong == [key]
    assert not any(note.startswith(key) for note in settled.notes)


def test_online_aggregation_ignores_ignore_weight() -> None:
    assert settle("federate: {total_round_num: 3, online_aggr: true, ignore_weight: true}\n")[1] == [
        "federate.online_aggr"
    ]


@pytest.mark.parametrize(
    ("key", "real", "expected"),
    [
        (None, True, "test_loss"),
        ("val_loss", True, "test_loss"),
        ("test_acc", True, "test_acc"),
        ("val_acc", True, "val_acc"),
        (None, False, None),
    ],
)
def test_the_servers_best_round_is_chosen_by_what_it_has(key: str | None, real: bool, expected: str | None) -> None:
    written = f"eval: {{best_res_update_round_wise_key: {key}}}\n" if key else ""
    settled, _ = settle("federate: {total_round_num: 3, make_global_eval: true}\n" + written, real=real)
    found: Any = settled.config.get("eval", {}).get("best_res_update_round_wise_key")
    assert found == expected
    assert len(settled.notes) == int(expected != key)


def test_where_clients_evaluate_their_validation_loss_counts() -> None:
    settled, _ = settle(ROUNDS)
    assert "eval" not in settled.config


SEARCH = ROUNDS + "hpo: {scheduler: sha, ss: space.yaml, init_cand_num: 5, sha: {budgets: [1, 1]}"


def test_a_file_for_a_search_is_a_single_course_with_a_note() -> None:
    settled, wrong = settle(SEARCH + "}\n")
    assert wrong == []
    assert settled.config == {"federate": {"total_round_num": 3}}
    (note,) = settled.notes
    assert note.startswith("mine.yaml: hpo is for FederatedScope's hpo.py, which searches by running many courses")
    assert "--grid" in note


def test_a_search_within_a_course_and_a_forks_keys_stay() -> None:
    settled, _ = settle(SEARCH + ", fedex: {use: true}, made_up: 1}\n")
    assert settled.config["hpo"] == {"fedex": {"use": True}, "made_up": 1}


def test_a_search_that_the_experiment_file_asks_for_stays() -> None:
    settled, _ = settle(SEARCH + "}\n", brought=None)
    assert settled.config["hpo"]["scheduler"] == "sha"
    assert settled.notes == ()
    tree, over = parse(SEARCH + "}\n", "mine.yaml"), parse("hpo: {scheduler: rs}\n", "file.yaml")
    lay_over(tree, over)
    around = Surroundings(7, 3, DataSection.model_validate({"dataset": "digits"}), Path("/folder"), "mine.yaml", True)
    assert settle_config(tree.value(), tree, around).config["hpo"]["scheduler"] == "rs"


def test_a_whole_dump_has_a_section_for_the_search_that_nobody_asked_for() -> None:
    dump = "hpo: {scheduler: rs, init_cand_num: 16, ss: '', sha: {budgets: [], iter: 0}, pbt: {max_stage: 5}}\n"
    assert settle(ROUNDS + dump)[0].notes == ()
