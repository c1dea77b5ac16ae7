"""An experiment file around a FederatedScope YAML."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.engines.federatedscope.source import SOURCE_VARIABLE
from fedsim_runner.runs.experiment_file import load_experiment
from fedsim_runner.runs.new_experiment import default_output, experiment_around

CONFIG = """
seed: 12
federate: {client_num: 3, total_round_num: 3, make_global_eval: true}
model: {type: lr, out_channels: 10}
criterion: {type: CrossEntropyLoss}
train: {optimizer: {lr: 0.1}}
eval: {best_res_update_round_wise_key: test_loss}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a configuration in it; no source of FederatedScope is at hand."""
    monkeypatch.setenv(SOURCE_VARIABLE, "federatedscope==0.3.0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "My_Study.fs.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def test_it_is_written_checked_and_not_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "My_Study.fs.yaml").write_text(CONFIG.replace("seed: 12\n", ""), encoding="utf-8")
    assert call(["init", "My_Study.fs.yaml"]) == Exit.DONE
    assert "fedsim-provision My_Study.yaml runs it" in capsys.readouterr().out
    made = load_experiment(folder / "My_Study.yaml")
    assert (made.name, made.data.dataset, made.total_rounds) == ("my-study", "digits", 3)
    assert [device.name for device in made.clients] == ["smartphone-high-1", "smartphone-high-2", "smartphone-low"]
    assert {device.engine for device in made.devices} == {"federatedscope"}
    assert call(["init", "My_Study.fs.yaml"]) == Exit.SPEC
    assert "is there already: name another with --output, or use --force" in capsys.readouterr().err
    (folder / "My_Study.fs.yaml").write_text(CONFIG.replace("client_num: 3, ", ""), encoding="utf-8")
    assert call(["init", "My_Study.fs.yaml", "--force", "--clients", "1"]) == Exit.DONE
    assert [device.name for device in load_experiment(folder / "My_Study.yaml").clients] == ["smartphone-high"]


def test_what_still_stops_the_course_is_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "My_Study.fs.yaml").write_text(CONFIG + "quantization: {method: uniform}\n", encoding="utf-8")
    assert call(["init", "My_Study.fs.yaml", "-o", "other.yaml"]) == Exit.SPEC
    written = capsys.readouterr()
    assert "other.yaml: written" in written.out
    assert "quantization.method: clients crash" in written.err


def test_a_configuration_in_another_folder_is_named_from_the_file(folder: Path) -> None:
    (folder / "there").mkdir()
    made = experiment_around([folder / "My_Study.fs.yaml"], None, None, folder / "there")
    assert "federatedscope: {config_file: ../My_Study.fs.yaml}" in made.text
    assert "seed: 12\n" in made.text


def test_no_configuration_is_replaced_by_its_experiment(folder: Path) -> None:
    assert default_output(Path("a/study.yaml")) == Path("study.yaml")
    (folder / "study.yaml").touch()
    assert default_output(Path("study.yaml")) == Path("study.exp.yaml")
    assert default_output(Path("notes")) == Path("notes.yaml")


@pytest.mark.parametrize(
    ("federate", "expected"),
    [("client_num: 200", 10), ("client_num: 200, sample_client_num: 20", 20), ("client_num: 2", 2), ("mode: x", 4)],
)
def test_a_first_run_has_few_clients(folder: Path, federate: str, expected: int) -> None:
    (folder / "many.yaml").write_text(f"federate: {{{federate}, total_round_num: 3}}\n", encoding="utf-8")
    made = experiment_around([folder / "many.yaml"], None, None, folder)
    (folder / "made.yaml").write_text(made.text, encoding="utf-8")
    counts = made.text.count("smartphone-high") + made.text.count("smartphone-low")
    assert (counts == 2 and f"count: {expected // 2}}}" in made.text) or expected == 2
    assert any("200 clients" in remark for remark in made.remarks) is ("200" in federate)


def test_a_data_set_that_is_at_hand_is_used(folder: Path) -> None:
    (folder / "My_Study.fs.yaml").write_text(CONFIG + "data: {root: sets/, type: femnist}\n", encoding="utf-8")
    made = experiment_around([folder / "My_Study.fs.yaml"], None, None, folder)
    assert "data: {dataset: digits}" in made.text
    (remark,) = made.remarks
    assert remark.startswith("data set digits in place of femnist, which is not in ") and f"# {remark}" in made.text
    (folder / "sets").mkdir()
    (folder / "sets" / "femnist").touch()
    made = experiment_around([folder / "My_Study.fs.yaml"], None, None, folder)
    assert "data: {dataset: federatedscope}" in made.text and not made.remarks


@pytest.mark.parametrize(
    ("data", "dataset", "remark"),
    [
        ("{type: toy}", "federatedscope", None),  # FederatedScope makes it
        (
            "{type: file, file_path: mine.pkl}",
            "digits",
            "in place of mine.pkl, which is not there; `data: {dataset: npz",
        ),
        ('{type: "a\\nseed: 9"}', "digits", "in place of a\\nseed: 9, which"),
        ('{type: femnist, root: "a\\0b"}', "digits", "in place of femnist"),
        ("{}", "digits", None),
    ],
)
def test_the_data_set_and_why(folder: Path, data: str, dataset: str, remark: str | None) -> None:
    (folder / "My_Study.fs.yaml").write_text(f"{CONFIG}data: {data}\n", encoding="utf-8")
    made = experiment_around([folder / "My_Study.fs.yaml"], None, None, folder)
    assert f"data: {{dataset: {dataset}}}" in made.text and "\nseed: 9" not in made.text
    assert [remark] == [remark for said in made.remarks if remark in said] if remark else not made.remarks


def test_no_file_is_written_for_more_clients_than_there_can_be(folder: Path) -> None:
    (folder / "clients.yaml").write_text("client_99999999: {train: {optimizer: {lr: 0.5}}}\n", encoding="utf-8")
    with pytest.raises(FedsimError, match="99999999 clients are more than 10000"):
        experiment_around([folder / "My_Study.fs.yaml"], folder / "clients.yaml", None, folder)


def test_nothing_stands_in_for_graphs(folder: Path) -> None:
    config = CONFIG.replace("type: lr", "type: gcn") + "data: {type: cora}\n"
    (folder / "My_Study.fs.yaml").write_text(config, encoding="utf-8")
    made = experiment_around([folder / "My_Study.fs.yaml"], None, None, folder)
    (folder / "made.yaml").write_text(made.text, encoding="utf-8")
    assert made.remarks == ("devices train on graphs with torch-geometric: write the version that you use",)
    written = load_experiment(folder / "made.yaml")
    assert (written.data.dataset, written.requirements) == ("federatedscope", ("torch-geometric",))


def test_settings_per_client_stand_at_their_devices(folder: Path) -> None:
    (folder / "clients.yaml").write_text(
        "client_2: {train: {optimizer: {lr: 0.5}}}\nclient_4:\n  eval:\n    metrics: [acc]\n", encoding="utf-8"
    )
    made = experiment_around([folder / "My_Study.fs.yaml"], folder / "clients.yaml", None, folder)
    lines = made.text.splitlines()
    own = "federatedscope: {train: {optimizer: {lr: 0.5}}}}"
    assert f"  - {{name: client-2, type: smartphone-low, engine: federatedscope, {own}" in lines
    assert any("client-4" in line and line.endswith("federatedscope: {eval: {metrics: [acc]}}}") for line in lines)
    assert sum("client-" in line for line in lines) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "mapping"),
        ("a: 1\n", "not a configuration of FederatedScope: it has no section federate"),
        ("federate: {a: 1, a: 2}\n", "duplicate key"),
    ],
)
def test_what_is_no_configuration_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "wrong.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(FedsimError, match=message) as caught:
        experiment_around([folder / "wrong.yaml"], None, None, folder)
    assert caught.value.exit is Exit.SPEC
    with pytest.raises(FedsimError, match="has no sections client_1"):
        experiment_around([folder / "My_Study.fs.yaml"], folder / "My_Study.fs.yaml", None, folder)


def test_a_number_of_hundreds_of_digits_is_that_of_no_client(folder: Path) -> None:
    text = f"client_{'9' * 900}: {{train: {{optimizer: {{lr: 0.5}}}}}}\n"
    (folder / "clients.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(FedsimError, match="has no sections client_1"):
        experiment_around([folder / "My_Study.fs.yaml"], folder / "clients.yaml", None, folder)


@pytest.fixture
def fork(folder: Path) -> Path:
    """A checkout with a configuration in it."""
    package = folder / "fork" / "federatedscope"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (folder / "fork/setup.py").touch()
    (folder / "fork/scripts").mkdir()
    (folder / "fork/scripts/theirs.yaml").write_text(CONFIG, encoding="utf-8")
    return folder / "fork"


@pytest.mark.parametrize(
    ("named", "config", "written"),
    [
        ("fork", "My_Study.fs.yaml", "fork"),  # a package
        ("./fork", "My_Study.fs.yaml", "./fork"),
        ("git+https://example.org/fs@dev/llm", "fork/scripts/theirs.yaml", "git+https://example.org/fs@dev/llm"),
        (None, "fork/scripts/theirs.yaml", "./fork"),
        (None, "My_Study.fs.yaml", None),
    ],
)
def test_the_federatedscope_that_a_configuration_is_for(
    folder: Path, fork: Path, named: str | None, config: str, written: str | None
) -> None:
    made = experiment_around([folder / config], None, None, folder, named)
    assert yaml.safe_load(made.text)["federatedscope"].get("source") == written
    assert any(remark.startswith("FederatedScope is that of ") for remark in made.remarks) is (written is not None)


def test_the_checkout_that_is_in_use_anyway_is_not_written(
    folder: Path, fork: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = experiment_around([fork / "scripts/theirs.yaml"], None, None, fork)
    assert yaml.safe_load(made.text)["federatedscope"]["source"] == "./"
    monkeypatch.setenv(SOURCE_VARIABLE, str(fork))
    assert "source:" not in experiment_around([fork / "scripts/theirs.yaml"], None, None, folder).text


def test_what_is_no_source_is_refused_by_the_name_of_the_option(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["init", "My_Study.fs.yaml", "--source", "ftp://example.org/x"]) == Exit.SPEC
    assert '--source: "ftp://example.org/x" is not a source of FederatedScope' in capsys.readouterr().err
    assert not (folder / "My_Study.yaml").exists()
