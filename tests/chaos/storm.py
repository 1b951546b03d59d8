"""`make chaos`: real processes, faults of every kind, and at the end the exchange's ledger against every status.

    python -m tests.chaos.storm --intents 2000 --seed 1

Everything that is chosen is chosen from the seed; what the processes make of it is up to the machine.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from kubernetes.client import ApiException

from exchange_kernel.cli.controlplane import ControlPlane, Progress
from exchange_kernel.core.identity import owner_prefix
from tests.chaos.bare import BareWatch
from tests.chaos.judge import Judge
from tests.chaos.user import GROUP, MARKETS, NO_ANSWER, Api, User
from tests.chaos.verdict import LIVE, Verdict, unconverged
from tests.chaos.villain import OWNER, Villain, stop_quietly
from tests.cluster.desks import OPERATOR_USER
from tests.cluster.operating import Exchange, Trading

ROOT = Path(__file__).parents[2]
NAMESPACE = "storm"
TOLD_EVERY_S = 5.0
LOOKS_EVERY_S = 1.0
CONVERGES_WITHIN_S = 180.0
WORST = 5


@dataclass
class Storm:
    seed: int
    intents: int
    rate: float                 # actions of the user a second
    dir: Path
    without_recovery: bool = False
    excess: dict[str, str] = field(default_factory=dict)
    suffered: Counter[str] = field(default_factory=Counter)
    bare: BareWatch = field(default_factory=BareWatch)

    def run(self) -> Verdict:
        with ExitStack() as stack:
            plane = stack.enter_context(ControlPlane.start(self.dir / "plane", fsync=False, progress=Progress()))
            plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests"), check=True)
            plane.kubectl("wait", "--for=condition=Established", "crd/orderintents.exchange-kernel.io", "crd/ordergroups.exchange-kernel.io", "crd/exchangeaccounts.exchange-kernel.io", "--timeout=30s", check=True)
            plane.kubectl("create", "namespace", NAMESPACE, check=True)
            kubeconfig = plane.kubeconfig_for(OPERATOR_USER, ["system:serviceaccounts"], self.dir / "operator.kubeconfig")
            self.exchange = Exchange(self.dir, symbols=",".join(MARKETS), seed=self.seed)
            stack.callback(self.exchange.stop)
            broken = "--without-recovery" if self.without_recovery else None
            self.villain = Villain(plane, self.exchange, kubeconfig, NAMESPACE, self.dir, Random(f"villain {self.seed}"), broken)
            stack.callback(self.villain.stop_operators)
            trading = Trading(plane.kubectl, NAMESPACE, self.exchange)
            trading.open_account(resyncSeconds=10)
            self.villain.start_operator()
            trading.await_account()
            self.api = Api(plane.kubeconfig, NAMESPACE)
            self.user = User(self.api, Random(f"user {self.seed}"), self._middle)
            self.judge = Judge(owner_prefix(OWNER))
            self._rage()
            return self._settle()

    def _middle(self, symbol: str) -> Decimal:
        return Decimal(self._middles[symbol]["middle"])

    def _look(self) -> dict[str, Any]:
        ledger = self.exchange.ledger()
        self.excess |= self.judge.overexposed(self.user.notes, ledger["orders"])
        found, _ = self.judge.by_intent(self.user.notes, ledger["orders"])
        self.bare.look(time.monotonic(), self.user.notes.groups, found, self.villain.well_since_s)
        return ledger

    def _rage(self) -> None:
        villain = threading.Thread(target=self.villain.rage, name="villain")
        fills = Random(f"market {self.seed}")
        began = told = looked = time.monotonic()
        villain.start()
        try:
            turn = 0
            while len(self.user.notes.intents) < self.intents and villain.is_alive():
                self._middles = self.exchange.markets()
                self.user.act()
                turn += 1
                if time.monotonic() - looked > LOOKS_EVERY_S:
                    looked = time.monotonic()
                    self._fill_some(fills)
                if time.monotonic() - told > TOLD_EVERY_S:
                    told = time.monotonic()
                    self._tell(f"{time.monotonic() - began:.0f} s")
                time.sleep(max(0.0, began + turn / self.rate - time.monotonic()))
        finally:
            self.villain.rest()
            villain.join()

    def _fill_some(self, random: Random) -> None:
        """A part or the whole of a few resting orders, besides what the market maker fills; of groups one or two at once, that no cancel comes between."""
        ledger = [order for order in self._look()["orders"] if order["status"] in LIVE]
        found, _ = self.judge.by_intent(self.user.notes, ledger)
        alone = [order for (_, member), orders in found.items() if not member for order in orders]
        groups = [orders for group in self.user.notes.groups if (orders := [order for name in group.members for order in found[group.uid, name]])]
        members = random.choice(groups) if groups else []
        for order in random.sample(alone, min(2, len(alone))) + random.sample(members, min(random.choice([1, 1, 1, 2]), len(members))):
            _, step, _ = MARKETS[order["unified"]]
            left = Decimal(order["origQty"]) - Decimal(order["executedQty"])
            part = max((left * random.choice([1, 1, 2, 4]) / 4).quantize(step), step)
            self.exchange.try_fill(order["clientOrderId"], str(min(part, left)))

    def _tell(self, when: str) -> list[dict[str, Any]] | None:
        noted = f"{len(self.user.notes.intents)} intents, {len(self.user.notes.groups)} groups"
        try:
            objects = self.api.list()
        except (ApiException, *NO_ANSWER):
            print(f"{when}: {noted}, the API server does not answer", flush=True)
            return None
        states = Counter((one.get("status") or {}).get("state", "new") for one in objects if one["kind"] != GROUP)
        print(f"{when}: {noted} ({', '.join(f'{state} {count}' for state, count in sorted(states.items()))}), {self.faults()} faults", flush=True)
        return objects

    def faults(self) -> int:
        return sum(self.villain.done.values()) + sum(self.exchange.suffered().values())

    def _settle(self) -> Verdict:
        """Faults off, one fresh operator, and time to converge."""
        self.exchange.heal()
        self.exchange.stop_market()
        self.villain.stop_operators()
        self.villain.start_operator()
        self.villain.well_since_s = time.monotonic()
        print("the storm is over; one fresh operator", flush=True)
        deadline = time.monotonic() + CONVERGES_WITHIN_S
        while True:
            objects = self._tell("settling")
            waiting = [reason for one in objects if (reason := unconverged(one))] if objects is not None else ["no list"]
            self._look()
            if not (waiting or self.bare.undecided) or time.monotonic() > deadline:
                break
            print(f"    {len(waiting)} to converge: {dict(Counter(waiting).most_common(4))}", flush=True)
            time.sleep(TOLD_EVERY_S)
        ledger, objects = self._look(), self.api.list()
        verdict = self.judge.judge(self.user.notes, objects, ledger["orders"], self.excess, self.bare.found)
        for failure in self.villain.failures:
            verdict.found("unconverged", "the storm itself", failure)
        self._explain(verdict, objects, ledger["orders"])
        print(f"suffered: {dict(self.exchange.suffered())}\ndone: {dict(self.villain.done)}\norders: {len(ledger['orders'])}, "
              f"unanswered: {self.user.unanswered}, refused: {self.user.refused}", flush=True)
        for operator in self.villain.operators:
            if (wrong := stop_quietly(operator)) is not None:
                print(wrong)
        print(verdict.line(len(self.user.notes.intents), len(self.user.notes.groups), self.faults()), flush=True)
        return verdict

    def _explain(self, verdict: Verdict, objects: list[dict[str, Any]], orders: list[dict[str, Any]]) -> None:
        found, _ = self.judge.by_intent(self.user.notes, orders)
        for uid in sorted(verdict.guilty, key=lambda uid: -len(verdict.guilty[uid]))[:WORST]:
            print(f"── {uid}: {'; '.join(verdict.guilty[uid])}")
            for one in objects:
                if uid in (one["metadata"]["uid"], one["spec"].get("groupRef", {}).get("uid")):
                    print(f"   {one['metadata']['name']}\n   spec {json.dumps(one['spec'])}\n   status {json.dumps(one.get('status'))}")
            for whose, mine in found.items():
                for order in mine if whose[0] == uid else ():
                    print(f"   ledger {whose[1]} {json.dumps(order)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--intents", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=3.0)
    parser.add_argument("--without-recovery", action="store_true", help="with an operator that is broken on purpose: duplicates must be found")
    given = parser.parse_args()
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))        # what was started is stopped then too
    work = Path(tempfile.mkdtemp(prefix="exchange-kernel-chaos-"))
    print(f"seed {seed}, {given.intents} intents; logs in {work}", flush=True)
    storm = Storm(seed, given.intents, given.rate, work, given.without_recovery)
    verdict = storm.run()
    ok = verdict.counts["duplicates"] > 0 if given.without_recovery else verdict.clean
    if ok:
        shutil.rmtree(work, ignore_errors=True)
    else:
        print(f"seed {seed}: logs are kept in {work}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
