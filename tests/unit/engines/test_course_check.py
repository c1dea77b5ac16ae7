"""Engines refuse what they cannot do before anything is built."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedsim_runner.catalog.engines import engine_facts
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.engines.course_check import refuse_unsupported
from fedsim_runner.engines.protocol import engine
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.runs.experiment_file import parse_experiment
from fedsim_runner.runs.planning import make_plan_or_refuse
from fedsim_runner.spec.experiment import Experiment
from fedsim_runner.yamlfile.spec_errors import SpecErrors
from tests.builders import experiment, lab_host

SPEC = """
name: study
devices:
  - {type: edge-server, role: server, name: server, engine: federatedscope}
  - {type: raspberry-pi, name: board, count: 2, engine: federatedscope}
federatedscope:
  source: ./checkout
  config:
    federate:
      total_round_num: 3
      make_global_eval: true
    model: {type: lr, out_channels: 10}
    criterion: {type: CrossEntropyLoss}
    eval: {best_res_update_round_wise_key: test_loss}
"""
KEYS = """
def extend(cfg):
    cfg.federate = CN()
    cfg.federate.total_round_num = 50
    cfg.federate.make_global_eval = False
    cfg.federate.sampler = 'uniform'
    cfg.model = CN()
    cfg.model.type = 'lr'
    cfg.model.out_channels = 1
    cfg.criterion = CN()
    cfg.criterion.type = 'MSELoss'
    cfg.eval = CN(new_allowed=True)
    cfg.dataloader = CN(new_allowed=True)
    cfg.quantization = CN()
    cfg.quantization.method = 'none'
"""


def plan_of(study: Experiment) -> Plan:
    return make_plan(study, [lab_host(cpus=64)], "study")


def with_engine(study: Experiment, name: str, *names: str, config: Mapping[str, Any] | None = None) -> Experiment:
    devices = [replace(one, engine=name) if not names or one.name in names else one for one in study.devices]
    return replace(study, devices=tuple(devices), config=study.config if config is None else config)


def refused(study: Experiment) -> list[str]:
    with pytest.raises(FedsimError) as caught:
        refuse_unsupported(plan_of(study))
    assert caught.value.exit is Exit.SPEC
    return str(caught.value).splitlines()


def messages_for(checkout: Path, text: str) -> list[str]:
    """What a user reads about an experiment file as soon as it is read."""
    with pytest.raises(SpecErrors) as caught:
        parse_experiment(text, checkout.parent / "study.yaml", engines=True)
    return str(caught.value).splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout" / "federatedscope" / "core" / "configs"
    folder.mkdir(parents=True)
    (folder / "cfg_all.py").write_text(KEYS, encoding="utf-8")
    return tmp_path / "checkout"


def spec_at(checkout: Path, text: str) -> Experiment:
    return parse_experiment(text, checkout.parent / "study.yaml")


def test_an_older_key_that_the_source_has_itself_is_not_moved_without_a_word(checkout: Path) -> None:
    (checkout.parent / "their.yaml").write_text("optimizer: {lr: 0.1}\n", encoding="utf-8")
    text = SPEC.replace("  config:", "  config_file: their.yaml\n  config:")
    keys = checkout / "federatedscope" / "core" / "configs" / "cfg_all.py"
    added = "    cfg.train = CN()\n    cfg.train.optimizer = CN(new_allowed=True)\n"
    keys.write_text(f"{KEYS}{added}", encoding="utf-8")
    study = parse_experiment(text, checkout.parent / "study.yaml", engines=True)
    assert study.config["train"] == {"optimizer": {"lr": 0.1}}
    fork = checkout.parent / "fork"
    checkout.rename(fork)
    keys = fork / "federatedscope" / "core" / "configs" / "cfg_all.py"
    keys.write_text(f"{KEYS}{added}    cfg.optimizer = CN(new_allowed=True)\n", encoding="utf-8")
    (line,) = messages_for(fork, text.replace("./checkout", "./fork"))
    assert line.startswith(f"{checkout.parent}/their.yaml:1: train.optimizer.lr: ")
    assert "read from optimizer.lr, as in an older FederatedScope, but " in line
    assert line.endswith("(write it in federatedscope.config, where no key is moved)")


def test_what_the_light_engine_can_do_is_accepted() -> None:
    refuse_unsupported(plan_of(experiment()))


def test_each_reason_is_reported_once_with_its_key() -> None:
    study = experiment()
    config = {**study.config, "model": {"type": "convnet2"}, "asyn": {"use": True}}
    lines = refused(replace(study, config=config))
    assert len(lines) == 3
    assert "federatedscope.config.model.type: the light engine does" in lines[0] + lines[1]
    assert "federatedscope.config.asyn.use: " in lines[0] + lines[1]
    assert lines[2] == "2 mistakes in the experiment file"


@pytest.mark.parametrize("name", ["light", "federatedscope"])
def test_no_engine_takes_a_model_that_no_machine_holds(name: str, tmp_path: Path) -> None:
    text, _, _ = SPEC.replace("engine: federatedscope", f"engine: {name}").partition("  source:")
    rest = SPEC[SPEC.index("  config:") :].replace("type: lr, ", "type: mlp, layer: 1000000000, ")
    (line,) = messages_for(tmp_path / "checkout", f"{text}{rest}")
    assert line.startswith(f"{tmp_path}/study.yaml:11: federatedscope.config.model.layer: ")
    assert line.endswith("1,000,000,000 layers are more than any machine holds (at most 100,000)")
    for width in ("hidden: 1000000000000, out_channels: 10", "out_channels: 1000000000000"):
        wide = rest.replace("layer: 1000000000", width).replace(", out_channels: 10}", "}")
        study = parse_experiment(f"{text}{wide}", tmp_path / "study.yaml")
        with pytest.raises(FedsimError, match=r"the model has .* numbers"):
            make_plan_or_refuse(study, [lab_host(cpus=64)], "study")


def test_the_light_engine_names_the_line(tmp_path: Path) -> None:
    text = SPEC.replace("engine: federatedscope", "engine: light").replace("  source: ./checkout\n", "")
    lines = messages_for(tmp_path / "checkout", text.replace("type: lr", "type: convnet2"))
    assert len(lines) == 1
    assert lines[0].startswith(f"{tmp_path}/study.yaml:11: federatedscope.config.model.type: ")
    assert lines[0].endswith("(FederatedScope does it: engine: federatedscope at the devices)")


def test_the_light_engine_names_the_engine_that_has_a_key_or_method(tmp_path: Path) -> None:
    light = SPEC.replace("engine: federatedscope", "engine: light").replace("  source: ./checkout\n", "")
    text = light.replace("make_global_eval: true", "make_global_eval: true\n      method: pFedMe")
    lines = messages_for(
        tmp_path / "checkout", text + "    fedprox: {use: true, mu: 0.1}\n    train: {optimiser: {lr: 1}}\n"
    )
    elsewhere = "(FederatedScope does it: engine: federatedscope at the devices)"
    assert [line.endswith(elsewhere) for line in lines] == [True, True, True, False]
    assert "federate.method" in lines[0]
    assert "fedprox.use: unknown to the light engine" in lines[1]
    assert "train.optimiser.lr: unknown to the light engine" in lines[3]


def test_the_light_engine_takes_a_whole_configuration_with_federatedscopes_defaults() -> None:
    study = experiment()
    idle = {"fedprox": {"use": False}, "personalization": {"K": 5, "beta": 1.0}, "hpo": {"scheduler": "rs"}}
    whole = {**study.config, **idle}
    refuse_unsupported(plan_of(replace(study, config=whole)))
    files = engine("light").files(whole)
    assert yaml.safe_load(files["config.yaml"]) == dict(study.config)
    assert "beta" in "".join(refused(replace(study, config={**whole, "personalization": {"beta": 0.5}})))


def test_either_engine_takes_the_collected_config_of_a_run(tmp_path: Path) -> None:
    collected = Path(__file__).resolve().parents[2] / "data/runs-0.1.0/mends/collected/server/course/config.yaml"
    for name in ("light", "federatedscope"):
        text, _, _ = SPEC.replace("engine: federatedscope", f"engine: {name}").partition("  source:")
        text = f"data: {{dataset: iris}}{text}  config_file: {collected}\n"
        study = parse_experiment(text, tmp_path / "study.yaml", engines=True)
        refuse_unsupported(plan_of(study))
        (note,) = study.notes
        assert "the testbed sets" in note


def test_what_federatedscope_can_do_is_accepted(checkout: Path) -> None:
    refuse_unsupported(plan_of(spec_at(checkout, SPEC)))


def test_what_crashes_between_processes_is_reported_with_its_line(checkout: Path) -> None:
    text = SPEC.replace("      make_global_eval: true\n", "      make_global_eval: true\n      sampler: group\n")
    lines = messages_for(checkout, text + "    quantization: {method: uniform}\n")
    where = f"{checkout.parent}/study.yaml"
    assert lines[0].startswith(f"{where}:12: federatedscope.config.federate.sampler: the server crashes")
    assert lines[0].endswith("(write uniform)")
    assert lines[1].startswith(f"{where}:16: federatedscope.config.quantization.method: clients crash")
    assert len(lines) == 2


def test_a_default_of_federatedscope_that_crashes_is_reported_at_its_section(checkout: Path) -> None:
    lines = refused(spec_at(checkout, SPEC.replace(", out_channels: 10", "")))
    assert lines[0].startswith(f"{checkout.parent}/study.yaml:12: federatedscope.config.model.out_channels: 1 (Fed")
    assert "10 classes" in lines[0]


def test_the_trees_own_file_is_named(checkout: Path) -> None:
    text, _, tree = SPEC.partition("  config:\n")
    (checkout.parent / "tree.yaml").write_text(
        "\n".join(line[4:] for line in tree.splitlines()) + "\nquantization:\n  method: uniform\n", encoding="utf-8"
    )
    lines = messages_for(checkout, f"{text}  config_file: tree.yaml\n")
    assert lines[0].startswith(f"{checkout.parent}/tree.yaml:8: quantization.method: clients crash")


def test_requirements_fit_what_the_images_have(checkout: Path) -> None:
    # einops is in no image; numpy in one version; torch in a build for each kind of machine.
    wanted = "[einops==0.8.0, NumPy==2.1.0, numpy>=1.20, torch>=2]"
    study = spec_at(checkout, SPEC.replace("  config:", f"  requirements: {wanted}\n  config:"))
    (line, _) = refused(study)
    assert re.fullmatch(
        rf"{checkout.parent}/study\.yaml:8: federatedscope\.requirements: "
        r'"NumPy==2\.1\.0" contradicts NumPy==1\.26\.\d+, '
        r"which the images have \(dockerfiles/torch\) \(leave the version out, or write that one\)",
        line,
    )
    refuse_unsupported(plan_of(study), builds_images=False)


def test_a_contrib_module_that_lacks_a_package_in_the_images_is_refused_where_it_is_named(checkout: Path) -> None:
    folder = checkout / "federatedscope" / "contrib" / "model"
    folder.mkdir(parents=True)
    module = "import torch, os\nfrom einops.layers import torch as e\nregister_model('studynet', lambda: None)\n"
    (folder / "study.py").write_text(module, encoding="utf-8")
    named = SPEC.replace("type: lr", "type: studynet")
    (line, _) = refused(spec_at(checkout, named))
    assert line == (
        f"{checkout.parent}/study.yaml:12: federatedscope.config.model.type: contrib/model/study.py provides "
        '"studynet" and imports einops, which the images do not have (add `requirements: [einops]` under '
        "federatedscope in the experiment file)"
    )
    refuse_unsupported(plan_of(spec_at(checkout, named)), builds_images=False)
    refuse_unsupported(plan_of(spec_at(checkout, named.replace("  config:", "  requirements: [einops]\n  config:"))))
    refuse_unsupported(plan_of(spec_at(checkout, SPEC)))
    guarded = "try:\n    import einops\nexcept ImportError:\n    einops = None\nNAME = 'studynet'\n"
    (folder / "study.py").write_text(guarded, encoding="utf-8")
    refuse_unsupported(plan_of(spec_at(checkout, named)))


def test_keys_that_the_source_does_not_know(checkout: Path) -> None:
    text = SPEC.replace("make_global_eval", "make_globl_eval").replace("type: lr", "type: 7")
    lines = messages_for(checkout, text)
    assert lines[0].endswith(
        ":11: federatedscope.config.federate.make_globl_eval: unknown key of FederatedScope "
        '(did you mean "make_global_eval"?)'
    )
    assert lines[1].endswith(":12: federatedscope.config.model.type: must be text, not 7")
    assert len(lines) == 2


def test_all_mistakes_are_told_together_and_what_is_impossible_first(checkout: Path) -> None:
    """Of the file, of the testbed's keys, of FederatedScope's, and what crashes, whatever else is wrong."""
    text = SPEC.replace("name: study", "nam: study").replace("type: lr", "type: gcn")
    lines = messages_for(checkout, text + "    optimizer: {lr: 0.1}\n    seed: 5\n    federate_: 1\n")
    assert "model.type: gcn needs graphs" in lines[0]
    rest = "\n".join(lines[1:])
    assert "nam: unknown key" in rest
    assert "optimizer.lr: a key of an older" in rest
    assert "seed: the testbed sets it" in rest
    assert "federate_: unknown key" in rest


def test_a_source_without_keys_is_not_federatedscope(checkout: Path) -> None:
    (checkout / "federatedscope" / "core" / "configs" / "cfg_all.py").unlink()
    with pytest.raises(FedsimError, match="is this FederatedScope") as caught:
        refuse_unsupported(plan_of(spec_at(checkout, SPEC)))
    assert caught.value.exit is Exit.LAB


def test_shards_are_checked(checkout: Path) -> None:
    text = SPEC + "    dataloader: {batch_size: 600, drop_last: true}\n"
    lines = refused(spec_at(checkout, text))
    assert ":15: federatedscope.config.dataloader.drop_last: server has 359 test samples" in "".join(lines)
    assert "board-1 has 575 training samples, less than a batch of 600: nothing would be" in lines[0]


def test_in_a_mixed_course_each_engine_refuses(checkout: Path) -> None:
    study = with_engine(experiment(clients=2), "federatedscope", "phone-2")
    refuse_unsupported(plan_of(replace(study, config={**study.config, "eval": {"split": ["val", "test"]}})))
    config = {**study.config, "model": {"type": "convnet5", "out_channels": 10}}
    lines = refused(replace(study, config=config))
    assert "the light engine does" in "".join(lines)


@pytest.mark.process
def test_without_federatedscope_nothing_of_it_is_imported() -> None:
    code = (
        "import sys\n"
        "from tests.unit.engines.test_course_check import plan_of\n"
        "from tests.builders import experiment\n"
        "from fedsim_runner.engines.course_check import refuse_unsupported\n"
        "refuse_unsupported(plan_of(experiment()))\n"
        "names = ('keys', 'refusals', 'data_rules', 'mode_rules')\n"
        "package = 'fedsim_runner.engines.federatedscope.'\n"
        "assert not [name for name in names if package + name in sys.modules]\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


OWN = SPEC.replace(
    "name: board, count: 2, engine: federatedscope}",
    "name: board, count: 2, engine: federatedscope, federatedscope: {eval: {metrics: [acc]}}}\n"
    "  - {type: raspberry-pi, name: other, engine: federatedscope, federatedscope: {quantization: {method: uniform}}}\n"
    "  - type: raspberry-pi\n    count: 2\n    engine: federatedscope\n    federatedscope:\n"
    "      model: {typo: lr}\n      dataloader: {batch_size: 0}",
)


def test_what_is_wrong_with_one_devices_own_settings_is_reported_at_it(checkout: Path) -> None:
    text = OWN.replace("    criterion: ", "    personalization: {local_param: [fc]}\n    criterion: ")
    (checkout / "federatedscope/core/configs/more.py").write_text(
        "def more(cfg):\n    cfg.personalization = CN()\n    cfg.personalization.local_param = []\n", encoding="utf-8"
    )
    lines = refused(spec_at(checkout, text))
    where = f"{checkout.parent}/study.yaml"
    assert lines[1:2] + lines[3:] == [
        f'{where}:11: devices[3].federatedscope.model.typo: unknown key of FederatedScope (did you mean "type"?)',
        f"3 mistakes in {where}",
    ]
    assert lines[:3] == messages_for(checkout, text)
    lines = refused(spec_at(checkout, text.replace("      model: {typo: lr}\n", "")))
    assert lines[0].startswith(f"{where}:6: devices[2].federatedscope.quantization.method: clients crash")
    assert lines[1].startswith(f"{where}:11: devices[3].federatedscope.dataloader.batch_size: ")
    assert lines[2] == f"2 mistakes in {where}"


@pytest.mark.parametrize(
    "entry",
    [
        "  - {type: nothing, count: 2, engine: federatedscope}",
        "  - {type: raspberry-pi, count: 1000000000, engine: federatedscope}",
        "  - {type: raspberry-pi, count: many, engine: federatedscope}",
        "  - 5",
        "  -",
    ],
)
def test_settings_are_found_below_an_entry_that_is_wrong(checkout: Path, entry: str) -> None:
    own = "  - {type: raspberry-pi, name: other, engine: federatedscope, federatedscope: {quantization: {method: u}}}\n"
    text = SPEC.replace("federatedscope:\n  source", f"{entry}\n{own}federatedscope:\n  source")
    own = f"{checkout.parent}/study.yaml:7: devices[3].federatedscope.quantization.method: "
    assert any(line.startswith(own) for line in messages_for(checkout, text))


def test_a_servers_own_settings_are_one_mistake(checkout: Path) -> None:
    text = SPEC.replace("name: server, engine", "name: server, federatedscope: {eval: {metrics: [acc]}}, engine")
    (line,) = messages_for(checkout, text)
    assert "devices[0].federatedscope: only clients have settings of their own" in line


def test_what_is_no_section_is_told_in_one_pass_with_all_else(checkout: Path) -> None:
    text = SPEC.replace("model: {type: lr, out_channels: 10}", "model:").replace("{type: CrossEntropyLoss}", "[a]")
    lines = messages_for(checkout, text + "    quantization: {method: uniform}\n    dataloader: 5\n")
    assert [line.partition("federatedscope.config.")[2][:40] for line in lines] == [
        "model: must be a mapping, not nothing",
        "criterion: must be a mapping, not a list",
        "quantization.method: clients crash on th",
        "dataloader: must be a mapping, not 5",
    ]


def test_a_key_of_the_wrong_type_is_told_once(checkout: Path) -> None:
    (line,) = messages_for(checkout, SPEC.replace("{type: lr, out", "{type: [lr], out"))
    assert line.endswith("model.type: must be text, not ['lr']")


def test_what_the_light_engine_lacks_is_reported_at_the_device_that_asks_for_it(tmp_path: Path) -> None:
    text = SPEC.replace("engine: federatedscope", "engine: light").replace("  source: ./checkout\n", "")
    text = text.replace("count: 2, engine: light", "count: 2, engine: light, federatedscope: {trainer: {type: sam}}")
    lines = refused(parse_experiment(text, tmp_path / "study.yaml"))
    assert lines[0].startswith(f"{tmp_path}/study.yaml:5: devices[1].federatedscope.trainer.type: ")
    assert len(lines) == 2


def test_a_target_needs_a_server_whose_engine_ends_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    study = experiment()
    study = replace(study, course=replace(study.course, target=0.9))
    refuse_unsupported(plan_of(study))
    facts = replace(engine_facts("light"), ends_at_target=False)
    monkeypatch.setattr("fedsim_runner.engines.course_check.engine_facts", lambda name: facts)
    with pytest.raises(FedsimError, match=r"course\.target: engine light of server, the server, does not end a course"):
        refuse_unsupported(plan_of(study))
