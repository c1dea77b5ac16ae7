"""Counting which of FederatedScope's experiments plan: a small checkout, and the real one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fedsim_runner.engines.federatedscope import own_data_sets, source_check
from fedsim_runner.yamlfile.spec_errors import DATA_NOT_AT_HAND, SpecError
from tests.federatedscope import SETTINGS, SOURCE
from tools import federatedscope_support
from tools.federatedscope_support import NOT_HERE, PLANS, REFUSED, Verdict, experiments, judge, page, table

KEYS = """
def extend(cfg):
    cfg.federate = CN()
    cfg.federate.total_round_num = 50
    cfg.federate.client_num = 0
    cfg.federate.method = 'FedAvg'
    cfg.federate.mode = 'standalone'
    cfg.data = CN()
    cfg.data.type = 'toy'
    cfg.data.root = 'data'
    cfg.model = CN()
    cfg.model.type = 'lr'
    cfg.use_gpu = False
"""
PLANNING = "federate: {total_round_num: 3, client_num: 200, mode: standalone}\nuse_gpu: true\ndata: {type: toy}\n"
FILES = {
    "scripts/plans.yaml": PLANNING,
    "scripts/trees.yml": PLANNING + "model: {type: xgb_tree}\nmade_up: 1\n",
    "scripts/one_key.yaml": PLANNING + "made_up: 1\n",
    "scripts/two_keys.yaml": PLANNING + "made_up: 1\nuse: 2\n",
    "scripts/other.yaml": "  federate: nested\n",
    "benchmark/FedHPOBench/left_out.yaml": PLANNING,
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in {**FILES, "federatedscope/core/configs/cfg_all.py": KEYS, "federatedscope/__init__.py": "",
                       "setup.py": ""}.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_each_file_is_counted_once_with_its_reason(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_data_sets, "missing_packages", lambda tree, python, config: [])
    monkeypatch.setattr(source_check, "fits", lambda source: True)  # it has nothing that patches could rely on
    verdicts = [judge(path, checkout) for path in experiments(checkout)]
    assert {one.file: one.outcome for one in verdicts} == {
        "scripts/one_key.yaml": REFUSED,
        "scripts/plans.yaml": PLANS,
        "scripts/trees.yml": REFUSED,
        "scripts/two_keys.yaml": REFUSED,
    }
    vertical = "a vertical split of the features"
    assert [one.reason for one in verdicts if one.mistakes] == ["`made_up`", vertical, federatedscope_support.SEVERAL]
    # The one that nothing can be done about comes first, and the others are told as well.
    assert [mistake.path for mistake in verdicts[2].mistakes] == ["model.type", "made_up"]
    assert any("use_gpu" in note for note in verdicts[1].notes)
    shown = table(verdicts)
    assert "| plans | 1 | 25% |" in shown
    assert f"| {vertical} | 1 | `model.type`: xgb_tree needs {vertical}" in shown
    assert "- `scripts/plans.yaml`" in page(verdicts)
    ran = f"{federatedscope_support.RAN}\n| file | stands for |\n"
    assert page(verdicts, f"old\n{ran}") == page(verdicts) + ran


def test_data_or_packages_that_are_not_at_hand_are_no_mistake() -> None:
    missing = SpecError("a.yaml", 1, 1, "data.root", "there is nothing", None, DATA_NOT_AT_HAND)
    wrong = SpecError("a.yaml", 2, 1, "made_up", "unknown key")
    alone, both = Verdict("a.yaml", mistakes=(missing,)), Verdict("b.yaml", mistakes=(missing, wrong))
    assert (alone.outcome, alone.reason) == (NOT_HERE, DATA_NOT_AT_HAND)
    assert (both.outcome, both.reason) == (REFUSED, "`made_up`")
    assert "Without a mistake: 1 of 2, 50%." in table([alone, both])


def test_the_page_names_no_folder_of_the_machine_that_counted() -> None:
    missing = SpecError("a.yaml", 1, 1, "data.root", "there is no file /home/me/data/all, or 1/2 of it", None)
    assert "`data.root`: there is no file .../all, or 1/2 of it |" in table([Verdict("a.yaml", mistakes=(missing,))])


@pytest.mark.federatedscope
@pytest.mark.lengthy
def test_of_federatedscopes_own_experiments_none_is_refused_without_a_reason() -> None:
    if not SOURCE:
        pytest.skip(f"no FederatedScope to test against: {SETTINGS} name no checkout")
    checkout = Path(SOURCE).resolve()
    verdicts = [judge(path, checkout) for path in experiments(checkout)]
    assert len(verdicts) == 147
    found = Counter(one.outcome for one in verdicts)
    assert found[PLANS] + found[NOT_HERE] >= 0.4 * len(verdicts)
    for one in verdicts:
        assert all(mistake.message for mistake in one.mistakes)
        assert "internal" not in str(one.mistakes)
