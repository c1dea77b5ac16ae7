"""What opens lab hosts, as options of Ansible: no secret is on a command line, in a variable or on a disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fedsim_runner.lab.access import LabKeys


@contextmanager
def key_options(keys: LabKeys, private: Path) -> Iterator[list[str]]:
    """Yield the words of ansible-playbook's command line; passwords that were typed come to it through named pipes.

    ``private``: a folder that only this user can enter.
    """
    words: list[str] = []
    pipes: list[Path] = []

    def pipe(text: str) -> Path:
        path = private / f"secret{len(pipes)}"
        os.mkfifo(path, 0o600)
        pipes.append(path)
        threading.Thread(target=_write, args=(path, text), daemon=True).start()
        return path

    if keys.become_password_file is not None:
        words += ["--become-password-file", str(keys.become_password_file.resolve())]
    elif keys.become_password is not None:
        words += ["--become-password-file", str(pipe(keys.become_password))]
    for secret in keys.vault:
        source = pipe(secret.text) if secret.text is not None else secret.file
        words += ["--vault-id", f"{secret.label}@{source}"]
    if keys.private_key is not None:
        words += ["--private-key", str(keys.private_key.resolve())]
    if keys.ssh_common_args is not None:
        words.append(f"--ssh-common-args={keys.ssh_common_args}")
    try:
        yield words
    finally:
        for path in pipes:
            # Frees a writer whose pipe was never opened.
            with suppress(OSError):
                os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def _write(path: Path, text: str) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY)  # waits for Ansible to open it
        try:
            os.write(descriptor, text.encode() + b"\n")
        finally:
            os.close(descriptor)
