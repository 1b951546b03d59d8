"""One holder of a file, by a lock on a second file beside it.

SQLite locks its file by POSIX record locks, which end as soon as their process closes any descriptor of that file: a strategy that copies or reads its
own file gives it to everybody (https://sqlite.org/howtocorrupt.html, 2.2). flock(2) locks belong to the open file description instead. Nobody has a
reason to open the second file, so that even where flock is made of record locks, as on NFS, nothing in this process ends it by accident.

flock and not F_OFD_SETLK: the two mean the same on Linux, but macOS has flock only in Python. On NFS, Linux asks the server for such a lock, and so does
refuse another host, unless the mount says local_lock; SQLite itself is not safe there (https://sqlite.org/faq.html#q5). Use a local disk.
"""

from __future__ import annotations

import fcntl
import os


class FileLock:
    """Held from its making to `release`, or to the end of the process. Raises BlockingIOError where another has it; OSError where it can't be had."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._descriptor: int | None = _locked(f"{os.path.realpath(path)}.lock")

    def release(self) -> None:
        """Let others have it. The file stays: of two processes, one could lock it and the other what was made anew in its place."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # also where somebody else has a copy of the descriptor
            self.forget()

    def forget(self) -> None:
        """Close this process's descriptor. In a forked child: the lock is the parent's alone, and ends with the parent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            self.release()


def _locked(path: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # NFS locks for writing only what is open for writing
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody deleted it in between


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
