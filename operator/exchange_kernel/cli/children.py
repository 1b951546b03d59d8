"""Our own programs as child processes: the simulated exchange and the operator, started for the demo and the tests, stopped by pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

READY_WITHIN_S = 90.0
STOP_WITHIN_S = 20.0


class ChildError(Exception):
    """A child did not start, or ended by itself; the message holds the end of its log."""


class Child:
    """One `exchange-kernel …` process. Its log is in `dir`; what it announced once it was ready is `ready`."""

    def __init__(
        self, name: str, arguments: list[str], dir: Path, *, environ: dict[str, str] | None = None, program: Sequence[str] = ("-m", "exchange_kernel.cli.main")
    ) -> None:
        self.name, self.log = name, dir / f"{name}.log"
        ready_file = dir / f"{name}.ready.json"
        ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *program, *arguments, "--ready-file", str(ready_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(environ or {})},
            )
        self.ready = self._await_ready(ready_file)

    def _await_ready(self, ready_file: Path) -> dict[str, Any]:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if ready_file.exists() and (text := ready_file.read_text()):
                try:
                    found: dict[str, Any] = json.loads(text)
                except json.JSONDecodeError:
                    found = {}  # half written
                if found:
                    return found
            if self._process.poll() is not None:
                raise ChildError(f"{self.name} ended with {self._process.returncode} before it was ready:\n{self.log_tail()}")
            time.sleep(0.02)
        self.kill()
        raise ChildError(f"{self.name} was not ready within {READY_WITHIN_S:.0f} s:\n{self.log_tail()}")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def signal(self, number: int) -> None:
        if self.running:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """As a crash: no chance to say goodbye."""
        self.signal(signal.SIGKILL)
        self._process.wait(STOP_WITHIN_S)

    def stop(self) -> int:
        """As a kubelet does; the exit code. Raises ChildError if it does not end within the limit."""
        self.signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ChildError(f"{self.name} did not stop within {STOP_WITHIN_S:.0f} s:\n{self.log_tail()}") from None

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.running:
            self.stop()
