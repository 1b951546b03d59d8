"""One server process: started in a session of its own, found again by its pid file, stopped with a deadline and then by pid."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from exchange_kernel.cli.controlplane.waiting import tail, until

#: What a server is started with. Nothing ambient: etcd takes options from ETCD_* variables, Go clients take proxies.
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG")

KILL_WITHIN = 10.0


@dataclass(slots=True)
class Server:
    """`mark` is the one argument that names this cluster's directory: a pid whose command line lacks it is somebody else's by now."""

    name: str
    mark: str
    log: Path
    pid_file: Path
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self, program: Path, arguments: Sequence[str]) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        environ = {name: value for name in PASSED_ON if (value := os.environ.get(name)) is not None}
        with self.log.open("ab") as log:
            self._child = subprocess.Popen([str(program), self.mark, *arguments], cwd=self.log.parent, env=environ, start_new_session=True,
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.pid_file.write_text(f"{self._child.pid}\n")

    def pid(self) -> int | None:
        """The pid of the running server, whoever started it; None if it does not run."""
        if self._child is not None:
            if self._child.poll() is None:
                return self._child.pid
            self._child = None
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        return pid if self._is_ours(pid) else None

    def stop(self, grace: float) -> None:
        """Asks, waits `grace` seconds, then kills; with no grace it kills at once. Returns when the process is gone."""
        if grace > 0 and self._signal(signal.SIGTERM) and until(lambda: self.pid() is None, within=grace):
            pass
        elif self._signal(signal.SIGKILL) and not until(lambda: self.pid() is None, within=KILL_WITHIN):
            raise RuntimeError(f"{self.name} (pid {self.pid()}) does not die: it waits for its disk")
        self.pid_file.unlink(missing_ok=True)

    def said(self) -> str:
        return tail(self.log)

    def _signal(self, number: signal.Signals) -> bool:
        """False if there was nobody to tell."""
        if (pid := self.pid()) is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    def _is_ours(self, pid: int) -> bool:
        command = command_line(pid)
        return bool(command) and Path(command[0]).name == self.name and self.mark in command[1:]


def command_line(pid: int) -> list[str]:
    """Empty if there is no such process, or only what is left of one until its parent notices."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []
