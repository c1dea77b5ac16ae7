"""The user's configuration file: what it may hold, and how mistakes in it are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.engines.federatedscope.source import SettingsError
from fedsim_runner.engines.federatedscope.user_settings import UserSettings, config_path, user_settings


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "fedsim" / "config.yaml"
    path.parent.mkdir()
    return path


def test_without_a_file_nothing_is_set(config: Path) -> None:
    assert config_path() == config
    assert user_settings() == UserSettings()


@pytest.mark.parametrize("text", ["", "# later\n", "federatedscope:\n", "federatedscope: {}\n"])
def test_a_file_may_be_empty(config: Path, text: str) -> None:
    config.write_text(text)
    assert user_settings() == UserSettings()


def test_the_home_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_path() == tmp_path / ".config" / "fedsim" / "config.yaml"


@pytest.mark.parametrize("key", ["source", "python"])
def test_the_home_of_an_unknown_user_is_a_mistake(config: Path, key: str) -> None:
    config.write_text(f"federatedscope: {{{key}: ~nobody-of-this-name/x}}\n")
    with pytest.raises(SettingsError, match=f"{key}: .*there is no such user"):
        user_settings()


def test_paths_start_at_the_file(config: Path) -> None:
    config.write_text("federatedscope:\n  source: ../checkouts/fs\n  python: venv/bin/python\n")
    expected = (str(config.parent.parent / "checkouts" / "fs"), str(config.parent / "venv/bin/python"))
    assert (user_settings().source, user_settings().python) == expected
    config.write_text("federatedscope: {source: federatedscope==0.3.0, python: python3.12}\n")
    assert user_settings() == UserSettings("federatedscope==0.3.0", "python3.12")


@pytest.mark.process
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("federatedscope:\n  sorce: x\n", 'config.yaml:2: federatedscope.sorce: unknown key (did you mean "source"?)'),
        ("federated: {}\n", 'config.yaml:1: federated: unknown key (did you mean "federatedscope"?)'),
        ("federatedscope:\n  source: 3\n", "config.yaml:2: federatedscope.source: must be text"),
        ("federatedscope:\n\tsource: x\n", "config.yaml:2: "),
        ("federatedscope: [a]\n", "config.yaml:1: federatedscope: must be a mapping"),
        ("- a\n", "config.yaml:1"),
        ("federatedscope: {source: 'two words'}\n", '"two words" is not a source of FederatedScope: write the path of'),
    ],
)
def test_a_mistake_is_reported_with_its_line(config: Path, text: str, words: str) -> None:
    config.write_text(text)
    with pytest.raises(SettingsError) as caught:
        user_settings()
    assert words in str(caught.value)
    assert caught.value.exit == 2


def test_a_folder_instead_of_the_file_is_reported(config: Path) -> None:
    config.mkdir()
    with pytest.raises(SettingsError, match="is a directory"):
        user_settings()
