"""Limits that a shell or a service has set on this process (ulimit): what to raise, and which one has ended it.

Standard library only: this is needed before anything else is imported.
"""

from __future__ import annotations

import errno
import os
import resource
import traceback
from collections.abc import Iterator

#: Files that a command may need to open at once; many machines allow this many from the start.
WANTED_FILES = 1024
#: Below this many even small runs fail.
LEAST_FILES = 256
_RAISE_FILES = (
    "raise it with `ulimit -n 1024`, or as LimitNOFILE of a service, or as nofile in /etc/security/limits.conf"
)
# Functions of subprocess and multiprocessing that fork.
_STARTS = ("_execute_child", "_launch")
_NO_MAPPING = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")


def allow_open_files() -> str:
    """Raise this process's limit of open files as far as it may; return what is wrong if that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= WANTED_FILES:
        return ""
    allowed = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return "" if allowed >= LEAST_FILES else f"{_open_files(allowed)}, and a run needs {LEAST_FILES}: {_RAISE_FILES}"


def find_programs() -> None:
    """Let PATH have the system's folders, whose programs this one and Ansible start."""
    given = os.environ.get("PATH", "").split(os.pathsep)
    missing = [folder for folder in os.defpath.split(os.pathsep) if folder and folder not in given]
    os.environ["PATH"] = os.pathsep.join([*filter(None, given), *missing])


def explain(error: BaseException) -> str:
    """Say which limit of the machine is behind an error, and how to raise it; empty: it is none of these."""
    for one in _causes(error):
        number = one.errno if isinstance(one, OSError) else None
        if number == errno.EMFILE:
            return f"{_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])}: {_RAISE_FILES}"
        if number == errno.ENFILE:
            return "this machine has no more files to open: raise it with `sysctl -w fs.file-max=1000000`"
        is_unmapped = isinstance(one, ImportError) and any(text in str(one) for text in _NO_MAPPING)
        has_no_stack = "can't start new thread" in str(one) and _address_space() != resource.RLIM_INFINITY
        if isinstance(one, MemoryError) or number == errno.ENOMEM or is_unmapped or has_no_stack:
            return out_of_memory()
        if "can't start new thread" in str(one) or (number == errno.EAGAIN and _is_of_a_new_process(one)):
            return (
                f"no more processes or threads can be started (limit: {_limit(resource.RLIMIT_NPROC)}): raise it with "
                "`ulimit -u`, as nproc in /etc/security/limits.conf, or as pids limit of the container that this is"
            )
        if number in (errno.ENOSPC, errno.EDQUOT):
            return f"{_named(one)}no space is left: free some, or have TMPDIR name a folder on another disk"
    return ""


def out_of_memory() -> str:
    """What to say when memory is used up; short, as there is little left to say it with."""
    allowed = _address_space()
    limit = "" if allowed == resource.RLIM_INFINITY else f" (limit: {allowed // 1024} kB of address space, `ulimit -v`)"
    raise_it = "`ulimit -v unlimited`" if limit else "end other programs"
    return f"there is not enough memory{limit}: {raise_it}, and start again"


def _address_space() -> int:
    return resource.getrlimit(resource.RLIMIT_AS)[0]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__


def _is_of_a_new_process(error: BaseException) -> bool:
    """Whether it comes from starting a process: locks and sockets have errors with the same number."""
    return any(frame.f_code.co_name in _STARTS for frame, _ in traceback.walk_tb(error.__traceback__))


def _open_files(number: int) -> str:
    return f"the limit of open files is {number} (`ulimit -n`)"


def _limit(which: int) -> str:
    soft = resource.getrlimit(which)[0]
    return "none of this user" if soft == resource.RLIM_INFINITY else str(soft)


def _named(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f"{name}: " if name else ""
