"""What can be wrong with a file before its content is checked, and how long a large one takes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from fedsim_runner.runs.experiment_file import load_experiment, parse_experiment
from fedsim_runner.yamlfile.document import SIZE_MAX
from fedsim_runner.yamlfile.spec_errors import SpecErrors

HEAD = "name: x\nfederatedscope: {config: {federate: {total_round_num: 3}}}\ndevices:\n"
SERVER = "  - {name: server, type: edge-server, role: server}\n"


def errors_of(path: Path, limits: bool = True) -> list[str]:
    with pytest.raises(SpecErrors) as caught:
        load_experiment(path, limits=limits)
    return [str(error).removeprefix(f"{path.parent}/") for error in caught.value.errors]


def test_what_is_impossible_without_limits_is_named_with_all_other_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    text = HEAD.replace("name: x", "name: x\ntime: dilated\nnetwrk: {}") + SERVER
    text += "  - {name: pi, type: iot-minimal, available: [[0, 9]]}\nevents: [{at: 5, devices: pi, action: offline}]\n"
    path.write_text(text, encoding="utf-8")
    assert [line.partition(" (")[0] for line in errors_of(path)] == ["x.yaml:3: netwrk: unknown key"]
    assert [line.partition(": without")[0].partition(" (")[0] for line in errors_of(path, limits=False)] == [
        "x.yaml:2: time",
        "x.yaml:3: netwrk: unknown key",
        "x.yaml:7: devices[1].available",
        "x.yaml:8: events",
    ]


def test_missing_file(tmp_path: Path) -> None:
    assert errors_of(tmp_path / "none.yaml") == ["none.yaml: there is no such file"]


def test_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert errors_of(tmp_path / "file" / "x.yaml") == ["x.yaml: cannot be read: Not a directory"]


def test_directory(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    assert errors_of(tmp_path / "exp") == ["exp: is a directory (name a file in it)"]


def test_what_is_no_path(tmp_path: Path) -> None:
    assert errors_of(tmp_path / "a\0b") == ["a\\x00b: is not a path"]
    (error,) = errors_of(tmp_path / ("a" * 300))
    assert error.endswith(": cannot be read: File name too long")


def test_not_an_ordinary_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert errors_of(tmp_path / "pipe") == ["pipe: is not an ordinary file"]


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text("name: x\n", encoding="utf-8")

    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert errors_of(path) == ["secret.yaml: cannot be read: Permission denied"]


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (SIZE_MAX + 1))
    assert errors_of(path) == ["large.yaml: is larger than 4 MB"]


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("# eins\n# zwei\nname: größe\n".encode("latin-1"))
    assert errors_of(path) == ["latin.yaml:3: is not UTF-8: byte 0xf6 (save the file as UTF-8)"]


def test_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "control.yaml"
    path.write_bytes(b"name: x\nseed: \x07\n")
    assert errors_of(path) == ["control.yaml:2: not YAML: control characters are not allowed"]


def test_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    text = HEAD + SERVER + "  - {type: iot-minimal}\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert load_experiment(path).name == "x"


def test_text_of_the_file_cannot_forge_an_error_line(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(HEAD + SERVER + '  - {type: "a\\nb\\e[31m"}\n', encoding="utf-8")
    (line,) = errors_of(path)
    assert line.startswith('x.yaml:5: devices[1].type: there is no device type "a\\nb\\x1b[31m"')


def test_errors_have_line_and_column() -> None:
    with pytest.raises(SpecErrors) as caught:
        parse_experiment(HEAD + SERVER + "  - {type: iot-minimal, nework: 5g}\n", Path("x.yaml"))
    (error,) = caught.value.errors
    assert (error.file, error.line, error.column, error.path) == ("x.yaml", 5, 25, "devices[1].nework")
    assert error.hint == 'did you mean "network"?'


def test_relative_paths_start_at_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study" / "checkout").mkdir(parents=True)
    (tmp_path / "study" / "fs.yaml").write_text("federate: {total_round_num: 6}\n", encoding="utf-8")
    path = tmp_path / "study" / "x.yaml"
    tree = "federatedscope: {config_file: fs.yaml, source: ./checkout}\n"
    path.write_text(f"name: x\n{tree}devices:\n{SERVER}  - type: iot-minimal\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    experiment = load_experiment(Path("study/x.yaml"))
    assert experiment.total_rounds == 6
    assert experiment.federatedscope_source == str(tmp_path / "study" / "checkout")


@pytest.mark.parametrize("source", ["federatedscope==0.3.0", "git+https://example.org/fs.git@v0.3.0"])
def test_requirements_and_urls_stay_as_they_are(source: str) -> None:
    text = HEAD.replace("{config:", f"{{source: '{source}', config:") + SERVER + "  - type: iot-minimal\n"
    assert parse_experiment(text, Path("x.yaml")).federatedscope_source == source


def test_counts_are_expanded_in_order() -> None:
    text = HEAD + "  - {type: iot-minimal, count: 2}\n" + SERVER + "  - {name: pi, type: raspberry-pi, count: 1}\n"
    experiment = parse_experiment(text, Path("x.yaml"))
    assert [device.name for device in experiment.devices] == ["iot-minimal-1", "iot-minimal-2", "server", "pi"]
    assert experiment.server.name == "server"
    assert len(experiment.clients) == 3


def loads_within(seconds: float, text: str, folder: Path) -> bool:
    """Whether one of three attempts takes less than so many seconds of CPU time."""
    # Enough samples for that many clients.
    np.savez(folder / "samples.npz", x=np.ones((25_000, 4), np.float32), y=np.arange(25_000) % 10)
    text = f"data: {{dataset: npz, path: samples.npz}}\n{text}"
    for _ in range(3):
        started = time.process_time()
        parse_experiment(text, folder / "x.yaml")
        if time.process_time() - started < seconds:
            return True
    return False


def test_two_thousand_devices_are_quick(tmp_path: Path) -> None:
    assert loads_within(0.2, HEAD + SERVER + "  - {type: iot-minimal, count: 1999}\n", tmp_path)


def test_devices_written_out_one_by_one_are_quick_enough(tmp_path: Path) -> None:
    lines = "".join(f"  - {{name: d-{n}, type: iot-minimal, network: 3g}}\n" for n in range(1999))
    assert loads_within(1.0, HEAD + SERVER + lines, tmp_path)


def test_a_bomb_of_brackets_is_rejected_quickly(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("devices: " + "[" * 100_000, encoding="utf-8")
    started = time.process_time()
    (line,) = errors_of(path)
    assert "nested deeper than 32 levels" in line
    assert time.process_time() - started < 1


def test_the_key_that_names_ansibles_plugin_is_ignored_in_inventories_only(tmp_path: Path) -> None:
    text = "plugin: fedsim.testbed.experiment\n" + HEAD + SERVER + "  - {type: iot-minimal}\n"
    (tmp_path / "x.fedsim.yaml").write_text(text, encoding="utf-8")
    assert load_experiment(tmp_path / "x.fedsim.yaml").name == "x"
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    assert errors_of(tmp_path / "x.yaml")[0].startswith("x.yaml:1: plugin: unknown key")
