"""Results: FederatedScope's forms, its early stopper, its best round; and what the log files hold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.participant.federatedscope import loglines
from fedsim_runner.participant.light.models import LogisticRegression
from fedsim_runner.participant.light.results import Best, formatted, merged, rounded
from fedsim_runner.participant.light.run_log import RunLog
from fedsim_runner.participant.light.settings import Settings, parse_settings
from fedsim_runner.participant.reporting import Reporter
from tests.unit.participant.helpers import CONFIG
from tests.unit.participant.helpers import merged as over

CLIENTS = [
    {"test_total": 30, "test_loss": 60.0, "test_acc": 0.5, "test_correct": 15},
    {"test_total": 10, "test_loss": 40.0, "test_acc": 0.9, "test_correct": 9, "val_total": 5},
]


def settings(**sections: Any) -> Settings:
    base = {"federate": {"client_num": 2}, "data": {"file_path": "x.npz"}}
    return parse_settings(over(CONFIG, over(base, sections)))


def test_merged_forms() -> None:
    line = merged(3, CLIENTS, ["weighted_avg", "avg", "raw", "fairness"])
    assert (line["Role"], line["Round"]) == ("Server #", 3)
    # As FederatedScope: totals and counts are plain means in every form.
    counts = {"test_total": 20.0, "test_correct": 12.0}
    assert line["Results_weighted_avg"] == counts | {"test_loss": 55.0, "test_acc": pytest.approx(0.6)}
    assert line["Results_avg"] == counts | {"test_loss": 50.0, "test_acc": pytest.approx(0.7)}
    assert line["Results_raw"]["test_acc"] == [0.5, 0.9]
    spread = line["Results_fairness"]
    assert spread["test_acc_std"] == pytest.approx(0.2)
    assert (spread["test_acc_min"], spread["test_acc_max"]) == (0.5, 0.9)
    assert (spread["test_acc_bottom_decile"], spread["test_acc_top_decile"]) == (0.5, 0.9)
    assert (spread["test_total"], spread["test_correct"]) == (20.0, 12.0)
    assert set(merged(3, CLIENTS, ["avg"])) == {"Role", "Round", "Results_avg"}


def test_results_that_only_some_clients_have_are_left_out() -> None:
    assert "val_total" not in merged(0, list(reversed(CLIENTS)), ["avg"])["Results_avg"]


# Sequences of the watched value, and after how many values FederatedScope's EarlyStopper stops (None: never).
@pytest.mark.parametrize(
    ("key", "stop", "values", "after"),
    [
        ("test_loss", {"patience": 2}, [5, 4, 4.5, 4.6, 1], 4),
        ("test_loss", {"patience": 2}, [5, 4, 4.5, 3.9, 4.2, 4.1], 6),
        ("test_loss", {"patience": 2}, [5, 5, 5, 5], None),  # a value equal to the best is not a loss
        ("test_loss", {"patience": 2, "delta": 0.5}, [5, 4.9, 4.8], 3),
        ("test_acc", {"patience": 1}, [0.5, 0.6, 0.59], 3),
        ("test_acc", {"patience": 1, "delta": 0.1}, [0.5, 0.59], 2),
        ("test_loss", {"patience": 0}, [1, 2, 3, 4, 5, 6, 7], None),
        ("test_loss", {"patience": 2, "improve_indicator_mode": "mean"}, [5, 4, 4.4, 4.3], 4),
        ("test_acc", {"patience": 2, "improve_indicator_mode": "mean"}, [0.5, 0.6, 0.56, 0.55], 4),
        ("val_loss", {"patience": 1}, [1, 2, 3], None),  # the watched value is not among the results
    ],
)
def test_early_stop(key: str, stop: dict[str, Any], values: list[float], after: int | None) -> None:
    best = Best(settings(eval={"best_res_update_round_wise_key": key}, early_stop=stop))
    name = "test_acc" if key == "test_acc" else "test_loss"
    answers = [best.should_stop({name: value}) for value in values]
    assert answers.index(True) + 1 == after if after else not any(answers)


def test_best_is_one_round_not_a_mixture() -> None:
    best = Best(settings(eval={"best_res_update_round_wise_key": "test_loss"}))
    for loss, accuracy in ((3.0, 0.7), (1.0, 0.6), (2.0, 0.9), (math.nan, 0.1)):
        best.update("avg", {"test_loss": loss, "test_acc": accuracy})
    assert best.results == {"avg": {"test_loss": 1.0, "test_acc": 0.6}}


def test_best_forgets_nan() -> None:
    best = Best(settings(eval={"best_res_update_round_wise_key": "test_loss"}))
    for loss in (math.nan, 2.0):
        best.update("avg", {"test_loss": loss})
    assert best.results == {"avg": {"test_loss": 2.0}}


@pytest.fixture
def log(tmp_path: Path) -> Any:
    made = RunLog(settings(outdir=str(tmp_path), expname="course"), {"seed": 7}, Reporter(tmp_path))
    yield made
    made.close()


def test_log_files(log: RunLog, tmp_path: Path) -> None:
    log.results(formatted("Client #1", 0, {"train_loss": 1 / 3}))
    log.results(formatted("Server #", 1, {"test_acc": 2 / 3}))
    log.finished(1, LogisticRegression(4, 3, np.random.default_rng(0)), 10, 20)
    folder = tmp_path / "course"
    lines = (folder / "exp_print.log").read_text(encoding="utf-8").splitlines()
    assert "{'Role': 'Client #1', 'Round': 0, 'Results_raw': {'train_loss': 0.333333}}" in lines[1]
    assert "'total_upload_bytes': 10, 'total_download_bytes': 20" in lines[3]
    assert (folder / "eval_results.log").read_text(encoding="utf-8").count("0.6666666666666666") == 1
    assert len((folder / "eval_results.raw").read_text(encoding="utf-8").splitlines()) == 2
    assert (folder / "config.yaml").read_text(encoding="utf-8") == "seed: 7\n"
    again = RunLog(settings(outdir=str(tmp_path), expname="course"), {}, Reporter(tmp_path))
    again.close()
    assert [path.name[:8] for path in folder.iterdir() if path.is_dir()] == ["sub_exp_"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64(0.5), np.float32(0.25)])
def test_any_number_can_be_read_back_by_the_agent(log: RunLog, tmp_path: Path, value: Any) -> None:
    log.results(formatted("Server #", 1, {"test_loss": value}))
    line = (tmp_path / "course" / "exp_print.log").read_text(encoding="utf-8").splitlines()[-1]
    parsed = loglines.parse(line)
    assert parsed is not None and parsed.results is not None
    np.testing.assert_equal(parsed.results["raw"]["test_loss"], float(value))


def test_rounding_leaves_text_alone() -> None:
    assert rounded({"a": [0.12345678, "172.20.0.10"], "b": 3}) == {"a": [0.123457, "172.20.0.10"], "b": 3}
