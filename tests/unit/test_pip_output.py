"""The lines of pip's output that a user is shown."""

from __future__ import annotations

import pytest

from fedsim_runner.downloads.pip_output import pip_errors

BUILD = """\
  error: subprocess-exited-with-error

  × python setup.py egg_info did not run successfully.
  ╰─> [8 lines of output]
      Traceback (most recent call last):
        File "setup.py", line 36, in <module>
      FileNotFoundError: [Errno 2] No such file or directory: 'README.md'
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
"""
METADATA = "error: metadata-generation-failed\n\nnote: This is an issue with the package, not pip.\nhint: See above.\n"
MISSING = "FileNotFoundError: [Errno 2] No such file or directory: 'README.md'"


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("Collecting nothing\nERROR: No matching distribution found for nothing\n", "ERROR: No matching distribution "
         "found for nothing"),
        (BUILD + METADATA, MISSING),
        (BUILD + "  ERROR: Failed building wheel for it\n", f"{MISSING} ERROR: Failed building wheel for it"),
        ("one\ntwo\nthree\n", "two three"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_went_wrong(output: str, said: str) -> None:
    assert pip_errors(output) == said
