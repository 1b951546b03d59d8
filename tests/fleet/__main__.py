"""`make fleet`: many strategies in several processes, and the API server taken away in the middle; each must hear its own orders' events, all and in order.

    python -m tests.fleet --processes 10 --kernels 10 --orders 50 --away 5
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange_kernel.api import KINDS
from exchange_kernel.cli.children import Child
from exchange_kernel.cli.controlplane import ControlPlane, Progress
from tests.cluster.desks import OPERATOR_USER
from tests.cluster.operating import Exchange, Trading, operator_arguments
from tests.cluster.people import in_force
from tests.fleet.judge import Notes, Verdict, judge
from tests.fleet.strategy import RESTS

ROOT = Path(__file__).parents[2]
NAMESPACE = "fleet"
RESTARTED_AT = 0.4          # of all orders; some never reach the exchange's ledger
LOOKS_EVERY_S = 1.0
TOLD_EVERY_S = 10.0
WORST = 20


@dataclass
class Fleet:
    processes: int
    kernels: int                # of each process
    orders: int                 # of each kernel
    away_s: float
    dir: Path

    def run(self) -> Verdict:
        began = time.monotonic()
        with ExitStack() as stack:
            self.plane = stack.enter_context(ControlPlane.start(self.dir / "plane", fsync=False, progress=Progress()))
            self.plane.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests"), check=True)
            self.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{kind.resource.crd_name}" for kind in KINDS), check=True)
            self.plane.kubectl("create", "namespace", NAMESPACE, check=True)
            self.exchange = Exchange(self.dir, extra=("--weight-limit", "1000000"))
            stack.callback(self.exchange.stop)
            kubeconfig = self.plane.kubeconfig_for(OPERATOR_USER, ["system:serviceaccounts"], self.dir / "operator.kubeconfig")
            stack.enter_context(Child("operator", operator_arguments(kubeconfig, NAMESPACE), self.dir))
            trading = Trading(self.plane.kubectl, NAMESPACE, self.exchange)
            trading.open_account()
            trading.await_account()
            self.strategies = [stack.enter_context(started) for started in self._strategies(trading)]
            self._watch_over(began)
            intents = json.loads(trading.run("get", "oi", "-o", "json"))["items"]
            fleet = [Notes.of(path.stem, map(json.loads, path.read_text().splitlines())) for path in sorted(self.dir.glob("strategy-*.jsonl"))]
            verdict = judge(fleet, intents, self.exchange.ledger())
        self._tell(verdict, fleet, time.monotonic() - began)
        return verdict

    def _strategies(self, trading: Trading) -> Iterator[Any]:
        trading.run("create", "serviceaccount", "strategies")
        trading.run("create", "rolebinding", "strategies", "--clusterrole=exchange-kernel-strategy", f"--serviceaccount={NAMESPACE}:strategies")
        in_force(self.plane, NAMESPACE)
        kubeconfig = self.plane.kubeconfig_for(f"system:serviceaccount:{NAMESPACE}:strategies", ["system:serviceaccounts"], self.dir / "strategies.kubeconfig")
        for number in range(self.processes):
            yield process(self.dir / f"process-{number}.log", [
                "--kubeconfig", str(kubeconfig), "--namespace", NAMESPACE, "--notes", str(self.dir), "--first", str(number * self.kernels),
                "--kernels", str(self.kernels), "--orders", str(self.orders)])

    def _watch_over(self, began: float) -> None:
        """Fills what rests, takes the API server away once, and waits for the strategies' end."""
        all_orders, restarted, told, halves = self.processes * self.kernels * self.orders, False, began, set[str]()
        while any(strategy.poll() is None for strategy in self.strategies):
            orders = self.exchange.orders()
            if not restarted and len(orders) >= RESTARTED_AT * all_orders:
                restarted = True
                self._take_the_api_server_away()
            self._fill(orders, halves)
            if time.monotonic() - told > TOLD_EVERY_S:
                told = time.monotonic()
                print(f"{told - began:.0f} s: {len(orders)} orders at the exchange{', the API server was away' if restarted else ''}", flush=True)
            time.sleep(LOOKS_EVERY_S)
        if not restarted:
            raise SystemExit("the API server was never taken away: the strategies ended before")

    def _fill(self, orders: list[dict[str, Any]], halves: set[str]) -> None:
        """A half now, the other half the next time."""
        for order in orders:
            if order["status"] in ("NEW", "PARTIALLY_FILLED") and float(order["price"]) == float(RESTS):
                self.exchange.try_fill(order["clientOrderId"], "0.001")

    def _take_the_api_server_away(self) -> None:
        """Killed, with what etcd had before compacted: who resumes a watch from before is told 410, and lists again."""
        self.plane.stop_apiserver(grace=0)
        went = time.monotonic()
        self.plane.compact_etcd()
        time.sleep(self.away_s)
        self.plane.start_apiserver()
        self.away = time.monotonic() - went

    def _tell(self, verdict: Verdict, fleet: list[Notes], took: float) -> None:
        for one in verdict.told[:WORST]:
            print(f"── {one}")
        lists = [notes.done["lists"] for notes in fleet if notes.done is not None]
        unknown = sum(bool(order.get("unknown")) for notes in fleet for order in notes.orders)
        print(f"fleet: strategies: {len(fleet)} in {self.processes} processes  orders: {sum(len(notes.orders) for notes in fleet)}  "
              f"API server away: {self.away:.0f} s  kernels that listed again: {sum(times > 1 for times in lists)}  outcome unknown: {unknown}  "
              f"{verdict.line()}  took: {took:.0f} s", flush=True)


@contextmanager
def process(log: Path, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as file:
        started = subprocess.Popen([sys.executable, "-m", "tests.fleet.strategy", *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--kernels", type=int, default=10, help="of each process")
    parser.add_argument("--orders", type=int, default=50, help="of each kernel")
    parser.add_argument("--away", type=float, default=5.0, help="for how many seconds the API server is gone")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))        # what was started is stopped then too
    work = Path(tempfile.mkdtemp(prefix="exchange-kernel-fleet-"))
    verdict = Fleet(given.processes, given.kernels, given.orders, given.away, work).run()
    if verdict.clean:
        shutil.rmtree(work, ignore_errors=True)
    else:
        print(f"logs are kept in {work}")
    return 0 if verdict.clean else 1


if __name__ == "__main__":
    sys.exit(main())
