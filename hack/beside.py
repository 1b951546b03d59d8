"""Make targets side by side, in lanes: what waits a lot next to what computes a lot. Each line is printed as it comes, with the name of its lane.

    python hack/beside.py cluster-1 cluster-2 contract,property,unit

The last lane comes after the others where the processor is short: the tests of the others look at the clock. All lanes run to their end.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import IO

IDLE_S = 15.0  # an unfinished line is shown after so long, so that work can be told from a hang
NICE = 10
MOST_LINES = 40  # of a failed target are repeated at the end


@dataclass
class Lane:
    name: str  # of the target that it is at
    targets: list[str]
    nice: int
    began: float = field(default_factory=time.monotonic)
    codes: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    pending: bytes = b""
    output: list[str] = field(default_factory=list)  # of the target that it is at
    failures: list[str] = field(default_factory=list)
    told: float = field(default_factory=time.monotonic)

    def next(self) -> IO[bytes] | None:
        """Start the next target; None if there is none."""
        if not self.targets:
            return None
        self.name = target = self.targets.pop(0)
        self.output = []
        self.say(f"make {target}")
        self.began = time.monotonic()
        command = ["nice", "-n", str(self.nice), "make", "--no-print-directory", target]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        return self.process.stdout

    def take(self, chunk: bytes) -> None:
        *lines, self.pending = (self.pending + chunk).split(b"\n")
        for line in lines:
            self.output.append(line.decode(errors="replace"))
            self.say(self.output[-1])

    def tell_unfinished(self) -> None:
        if self.pending and time.monotonic() - self.told > IDLE_S:
            self.say(self.pending.decode(errors="replace"))
            self.pending = b""

    def ended(self) -> None:
        if self.pending:
            self.take(b"\n")
        assert self.process is not None
        self.codes[self.name] = self.process.wait()
        if self.codes[self.name] != 0:
            self.failures += [f"{self.name:>9}| {line}" for line in _told_of_failures(self.output)]
        took = f"{time.monotonic() - self.began:.0f} s"
        self.say(f"make {self.name} took {took}" if self.codes[self.name] == 0 else f"make {self.name} FAILED with {self.codes[self.name]} after {took}")

    def say(self, line: str) -> None:
        self.told = time.monotonic()
        print(f"{self.name:>9}| {line}", flush=True)


def _told_of_failures(output: list[str]) -> list[str]:
    """Return what pytest says of failures, or else the last lines."""
    return [line for line in output if line.startswith(("FAILED ", "ERROR ", "E  "))][-MOST_LINES:] or output[-MOST_LINES:]


def main() -> int:
    lanes = [Lane(name, name.split(","), NICE if number == len(sys.argv) - 2 else 0) for number, name in enumerate(sys.argv[1:])]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with selectors.DefaultSelector() as selector:
            for lane in lanes:
                _start(selector, lane)
            while selector.get_map():
                for key, _ in selector.select(timeout=1.0):
                    lane = key.data
                    if chunk := os.read(key.fd, 65536):
                        lane.take(chunk)
                        continue
                    selector.unregister(key.fileobj)
                    lane.ended()
                    _start(selector, lane)
                for lane in lanes:
                    lane.tell_unfinished()
    finally:
        for lane in lanes:
            if lane.process is not None and lane.process.poll() is None:
                os.killpg(lane.process.pid, signal.SIGINT)  # pytest stops what it started
                lane.process.wait()
    failed = [target for lane in lanes for target, code in lane.codes.items() if code]
    if failed:
        print("\n".join(line for lane in lanes for line in lane.failures), flush=True)
        print(f"failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def _start(selector: selectors.BaseSelector, lane: Lane) -> None:
    if (output := lane.next()) is not None:
        selector.register(output, selectors.EVENT_READ, lane)


if __name__ == "__main__":
    sys.exit(main())
