"""The bootstrap takes its mirror, proxy and certificates from the machine's apt, and names what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.testbed.docker.images import ImageError
from fedsim_runner.testbed.docker.images.rootfs import (
    AptSettings,
    bootstrap_command,
    bootstrap_message,
    parse_options,
    parse_sources,
    read_packages,
    recipe,
    rootfs_for,
)

TARGETS = """\
http://mirror.test/debian/|bookworm|main|Packages|
http://mirror.test/debian|bookworm|main|Translations|
http://mirror.test/debian|bookworm|contrib|Packages|
http://mirror.test/debian|bookworm-updates|main|Packages|
http://mirror.test/debian-security|bookworm-security|main|Packages|
http://tools.test/apt|stable|main|Packages|
"""


def test_the_sources_of_the_suite_are_used() -> None:
    assert parse_sources(TARGETS, "bookworm") == (
        "deb http://mirror.test/debian bookworm main",
        "deb http://mirror.test/debian bookworm-updates main",
        "deb http://mirror.test/debian-security bookworm-security main",
    )


def test_the_mirror_of_another_release_is_used() -> None:
    assert parse_sources(TARGETS.replace("bookworm", "trixie"), "bookworm") == (
        "deb http://mirror.test/debian bookworm main",
        "deb http://mirror.test/debian bookworm-updates main",
        "deb http://mirror.test/debian-security bookworm-security main",
    )


def test_updates_do_not_depend_on_the_machines_sources() -> None:
    """The key of the base includes them, so they must be included on every machine."""
    alone = "http://mirror.test/debian|bookworm|main|Packages\n"
    assert parse_sources(alone, "bookworm") == (
        "deb http://mirror.test/debian bookworm main",
        "deb http://mirror.test/debian bookworm-updates main",
        "deb http://mirror.test/debian-security bookworm-security main",
    )
    split = "http://a.test/debian|bookworm|main|Packages\nhttp://b.test/u|bookworm-updates|main|Packages\n"
    assert parse_sources(split, "bookworm")[1] == "deb http://b.test/u bookworm-updates main"
    ubuntu = "http://security.test/ubuntu|noble-security|main|Packages\n"
    assert parse_sources(alone + ubuntu, "bookworm") == parse_sources(alone, "bookworm")


def test_debians_keys_are_passed_where_apt_does_not_trust_them_by_default() -> None:
    keys = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    command = bootstrap_command(["python3"], "amd64", "bookworm", Path("/t.tar"), AptSettings((), (), keys))
    assert f"--keyring={keys}" in command
    without = bootstrap_command(["python3"], "amd64", "bookworm", Path("/t.tar"), AptSettings((), ()))
    assert not [word for word in without if word.startswith("--keyring")]


def test_the_recipe_names_all_suites() -> None:
    assert recipe("trixie").splitlines()[:3] == ["trixie", "trixie-updates", "trixie-security"]
    assert recipe("trixie") != recipe("bookworm")


def test_a_machine_without_debian_sources_leaves_the_mirror_to_mmdebstrap() -> None:
    assert parse_sources("http://mirror.test/ubuntu|noble|main|Packages|\n", "bookworm") == ()


def test_proxy_and_certificates_are_passed_on() -> None:
    dump = (
        'APT::Architecture "amd64";\nAcquire::http "";\nAcquire::http::Proxy "http://proxy.test:3128";\n'
        'Acquire::https::CaInfo "/etc/ssl/certs/ca-certificates.crt";\nAcquire::ftp::Passive "true";\n'
    )
    options = parse_options(dump)
    assert options == (
        'Acquire::http::Proxy "http://proxy.test:3128"',
        'Acquire::https::CaInfo "/etc/ssl/certs/ca-certificates.crt"',
    )
    command = bootstrap_command(["python3"], "arm64", "bookworm", Path("/t.tar"), AptSettings(("deb x y z",), options))
    assert f"--aptopt={options[0]}" in command
    assert "--architectures=arm64" in command
    assert command[-3:] == ("bookworm", "/t.tar", "deb x y z")


def test_without_mmdebstrap_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packages.txt").write_text("python3\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match=r"apt-get install mmdebstrap.*fedsim_image_base=IMAGE"):
        rootfs_for(tmp_path, "amd64", "bookworm", tmp_path / "cache")


@pytest.mark.process
def test_a_made_bootstrap_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for mmdebstrap writes its target; the second call finds it without any program."""
    (tmp_path / "packages.txt").write_text("# comment\npython3\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    program = tools / "mmdebstrap"
    program.write_text('#!/bin/sh\nfor word; do case "$word" in *.tar) echo made > "$word";; esac; done\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/bin")
    made = rootfs_for(tmp_path, "amd64", "bookworm", tmp_path / "cache")
    assert made.read_text() == "made\n"
    program.unlink()
    assert rootfs_for(tmp_path, "amd64", "bookworm", tmp_path / "cache") == made


@pytest.mark.process
def test_a_failed_bootstrap_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packages.txt").write_text("python3\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    program = tools / "mmdebstrap"
    program.write_text("#!/bin/sh\necho 'I: running' >&2\necho 'E: no mirror' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/bin")
    with pytest.raises(ImageError, match="bootstrap failed: E: no mirror\n"):
        rootfs_for(tmp_path, "amd64", "bookworm", tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_privileges_are_mentioned_only_where_they_may_be_the_reason() -> None:
    assert "run as root" in bootstrap_message("E: x", root=False)
    assert "run as root" not in bootstrap_message("E: x", root=True)


def test_missing_keys_are_named_instead_of_the_mirror() -> None:
    text = "I: running apt-get update...\nE: The repository 'http://m.test/debian bookworm InRelease' is not signed.\n"
    message = bootstrap_message(text, root=True)
    assert "apt-get install debian-archive-keyring" in message
    assert "apt-get update` works" not in message


def test_packages_are_read_without_comments(tmp_path: Path) -> None:
    (tmp_path / "packages.txt").write_text("# why\npython3 # the engine\niproute2\n")
    assert read_packages(tmp_path / "packages.txt") == ("iproute2", "python3")
