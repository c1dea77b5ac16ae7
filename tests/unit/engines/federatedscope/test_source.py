"""The kind of a source follows from its text alone; its origin is known; what is installed has a cheap identity."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedsim_runner.engines.federatedscope.source import (
    DEFAULT_SOURCE,
    FROM_DEFAULT,
    FROM_SPEC,
    SOURCE_VARIABLE,
    SettingsError,
    SourceError,
    package_files,
    parse_source,
)
from fedsim_runner.engines.federatedscope.source_in_use import resolve_source

COMMIT = "480b67de851df2fa02b7cc2189f1803d947998d7"


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SOURCE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "federatedscope" / "core").mkdir(parents=True)
    (folder / "federatedscope" / "__init__.py").write_text("")
    (folder / "federatedscope" / "core" / "worker.py").write_text("x = 1\n")
    (folder / "setup.py").write_text("import setuptools\n")
    return folder


@pytest.mark.parametrize(
    ("text", "kind", "pinned"),
    [
        ("federatedscope==0.3.0", "requirement", True),
        ("federatedscope[app]==0.3.0", "requirement", True),
        ("federatedscope>=0.3", "requirement", False),
        ("federatedscope==0.3.*", "requirement", False),
        ("federatedscope", "requirement", False),
        ("https://example.org/federatedscope-0.3.0-py3-none-any.whl", "requirement", False),
        (f"git+https://example.org/a/b@{COMMIT}", "git", True),
        (f"federatedscope @ git+https://example.org/a/b.git@{COMMIT}", "git", True),
        (f"git+ssh://git@example.org/a/b@{COMMIT}#subdirectory=x", "git", True),
        ("git+ssh://git@example.org/a/b", "git", False),
        ("git+https://example.org/a/b@v0.3.0", "git", False),
        (f"git+https://example.org/a/b@{COMMIT[:9]}", "git", False),
        ("checkouts/FederatedScope", "checkout", False),
        ("./FederatedScope", "checkout", False),
        ("~/FederatedScope", "checkout", False),
        ("file:///srv/FederatedScope", "checkout", False),
        ("wheels/federatedscope-0.3.0-py3-none-any.whl", "wheel", False),
        ("federatedscope-0.3.0-py3-none-any.whl", "wheel", False),
    ],
)
def test_kinds(text: str, kind: str, pinned: bool) -> None:
    source = parse_source(text, Path("/here"), FROM_SPEC)
    assert (source.kind, source.pinned) == (kind, pinned)
    if kind in ("checkout", "wheel"):
        assert source.path.is_absolute()
    again = parse_source(source.text, Path("/elsewhere"), "the device file")
    assert (again.text, again.kind) == (source.text, source.kind)


@pytest.mark.parametrize("text", ["", "  ", "hg+https://example.org/x", "ftp://x/y", "two words", "git+", "a\nb==1"])
def test_text_that_is_not_a_source_is_refused_with_the_valid_forms(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_source(text, Path("/here"), "FEDSIM_X")
    assert str(caught.value).startswith("FEDSIM_X: ") and "git+https://HOST/REPO@REVISION" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url", "revision"),
    [
        ("git+https://example.org/a/b@v1", "https://example.org/a/b", "v1"),
        ("git+ssh://git@example.org/a/b.git", "ssh://git@example.org/a/b.git", None),
        ("git+file:///srv/fs.git@main#egg=x", "file:///srv/fs.git", "main"),
        ("federatedscope @ git+https://example.org/a@b/c@feature/x", "https://example.org/a@b/c", "feature/x"),
    ],
)
def test_repository_and_revision(text: str, url: str, revision: str | None) -> None:
    source = parse_source(text, Path("/"), FROM_SPEC)
    assert (source.git_url, source.git_revision) == (url, revision)
    pinned = parse_source(source.at(COMMIT), Path("/"), FROM_SPEC)
    assert (pinned.git_url, pinned.git_revision) == (url, COMMIT)


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = resolve_source()
    assert (default.text, default.origin, default.pinned) == (DEFAULT_SOURCE, FROM_DEFAULT, True)
    config = tmp_path / "config" / "fedsim" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("federatedscope:\n  source: fork\n".replace("fork", "./fork"))
    configured = resolve_source()
    assert (configured.text, configured.origin) == (str(config.parent / "fork"), str(config))
    monkeypatch.setenv(SOURCE_VARIABLE, "federatedscope==1")
    assert (resolve_source().text, resolve_source().origin) == ("federatedscope==1", SOURCE_VARIABLE)
    assert (resolve_source("federatedscope==2").text, resolve_source("x==2").origin) == ("federatedscope==2", FROM_SPEC)


@pytest.mark.parametrize(
    "text",
    [
        f"git+https://me:secret@example.org/a/b@{COMMIT}",
        "git+https://secret@example.org/a/b",
        "git+ssh://git:secret@example.org/a/b@main",
        "https://me:secret@example.org/federatedscope-0.3.0-py3-none-any.whl",
        "federatedscope @ git+https://me:secret@example.org/a/b",
        "git+https://me:secret/secret@example.org/a/b",
        "HTTPS://secret@example.org/a",
        "ftp://me:secret@example.org/a",
        "me:secret@example.org:a",
    ],
)
def test_a_password_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_source(text, Path("/"), FROM_SPEC)
    assert "secret" not in str(error.value)
    assert "example.org" in str(error.value)


@pytest.mark.parametrize(
    "url", ["ssh://git@example.org/a/b", "ssh://git@example.org:22/a", "https://h:8443/a/b", "http://[::1]:80/a/b"]
)
def test_a_user_for_ssh_and_a_port_are_not_passwords(url: str) -> None:
    source = parse_source(f"git+{url}@main", Path("/"), FROM_SPEC)
    assert (source.git_url, source.git_revision, source.shown) == (url, "main", f"git+{url}@main")


def test_what_looks_like_a_password_in_a_path_is_not_shown(tmp_path: Path) -> None:
    source = parse_source("git+https:/me:secret@example.org/a", tmp_path, FROM_SPEC)
    with pytest.raises(SourceError) as error:
        source.fingerprint()
    assert "secret" not in str(error.value)


def test_the_home_of_an_unknown_user_is_not_a_source() -> None:
    with pytest.raises(SettingsError, match="there is no such user"):
        parse_source("~nobody-of-this-name/x", Path("/"), FROM_SPEC)


def test_an_impossible_path_is_reported() -> None:
    with pytest.raises(SourceError, match="File name too long"):
        parse_source(f"./{'x' * 5000}", Path("/"), FROM_SPEC).fingerprint()


def test_a_checkouts_identity_is_what_goes_into_a_wheel(checkout: Path) -> None:
    source = parse_source(str(checkout), Path("/"), FROM_SPEC)
    before = source.fingerprint()
    for stray in ("build/lib/federatedscope/x.py", "exp/log.txt", "federatedscope/__pycache__/x.pyc", ".git/HEAD"):
        (checkout / stray).parent.mkdir(parents=True, exist_ok=True)
        (checkout / stray).write_text("stray")
    os.utime(checkout / "setup.py", (0, 0))
    assert source.fingerprint() == before
    names = [path.as_posix() for path in package_files(checkout)]
    assert names == ["federatedscope/__init__.py", "federatedscope/core/worker.py", "setup.py"]
    (checkout / "federatedscope/core/worker.py").write_text("x = 2\n")
    edited = source.fingerprint()
    (checkout / "setup.py").write_text("import setuptools, os\n")
    assert len({before, edited, source.fingerprint()}) == 3


def test_a_wheels_identity_is_its_content(tmp_path: Path) -> None:
    wheel = tmp_path / "federatedscope-0.3.0-py3-none-any.whl"
    wheel.write_bytes(b"one")
    source = parse_source(str(wheel), Path("/"), FROM_SPEC)
    before = source.fingerprint()
    wheel.write_bytes(b"two")
    assert before != source.fingerprint()


@pytest.mark.process
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("folder", "there is no such folder"),
        ("package", "it has no federatedscope/__init__.py"),
        ("setup", "it has neither setup.py nor pyproject.toml"),
    ],
)
def test_an_invalid_checkout_is_reported_with_alternatives(checkout: Path, damage: str, words: str) -> None:
    (checkout / "setup.py").unlink()
    if damage != "setup":
        (checkout / "federatedscope/__init__.py").unlink()
    named = checkout / "nowhere" if damage == "folder" else checkout
    with pytest.raises(SourceError) as caught:
        parse_source(str(named), Path("/"), SOURCE_VARIABLE).fingerprint()
    message = str(caught.value)
    assert words in message and str(named) in message and f"named by {SOURCE_VARIABLE}" in message
    for alternative in ("local checkout", "wheel", f"{SOURCE_VARIABLE}=PATH", "config.yaml", "HTTPS_PROXY"):
        assert alternative in message
    assert caught.value.exit == 3
