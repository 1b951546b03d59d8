"""The villain: kills, freezes and restarts operators, takes the API server away, compacts etcd, and makes the exchange misbehave. All from one seed."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from exchange_kernel.cli.children import Child, ChildError
from exchange_kernel.cli.controlplane import ControlPlane
from tests.chaos.bare import LONGEST_S, RECOVERS_S
from tests.chaos.user import MARKETS
from tests.cluster.desks import AS_OPERATOR
from tests.cluster.operating import Exchange, operator_arguments, operator_program

SEND = {"method": "POST", "path": "/api/v3/order"}
CANCEL = {"method": "DELETE", "path": "/api/v3/order"}
LOOKUP = {"method": "GET"}
CLASSES = (SEND, SEND, CANCEL, LOOKUP)
#: Longer than a Lease (6 s) and a request window (3 s) together.
FROZEN_S = 10.0
#: Now and then all is well for so long that a position that stays without its stop is seen.
CALM_S = RECOVERS_S + LONGEST_S + 5
OWNER = "chaos"
BANNED = '{"code":-1003,"msg":"Too many requests; current request has exceeded the limit."}'

#: What a request may suffer, apart from whom and how likely.
BAD_WEATHER: tuple[dict[str, Any], ...] = (
    {"do": "delay-before", "ms": 1500}, {"do": "delay-before", "ms": 4000}, {"do": "delay-reply", "ms": 6000},
    {"do": "drop-reply"}, {"do": "drop-reply"}, {"do": "drop-request"}, {"do": "status", "status": 502}, {"do": "status", "status": 502, "accepted": False},
    {"do": "garbage"}, {"do": "truncate"}, {"do": "empty"},
)

#: How orders of some kind are refused: whom it meets, and the exchange's words.
REFUSED: tuple[dict[str, str], ...] = ({"type": "STOP_LOSS_LIMIT"}, {"type": "STOP_LOSS_LIMIT"}, {"side": "SELL"}, {"side": "BUY"})
REFUSALS = (
    (-2010, "Account has insufficient balance for requested action."), (-1013, "Filter failure: PRICE_FILTER"), (-1013, "Filter failure: LOT_SIZE"),
    (-2010, "Stop price would trigger immediately."), (-1013, "Market is closed."), (-1013, "This is in no table."), (-2010, "This action is disabled on this account."),
)


@dataclass
class Villain:
    plane: ControlPlane
    exchange: Exchange
    kubeconfig: Path
    namespace: str
    dir: Path
    random: Random
    broken: str | None = None
    operators: list[Child] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    well_since_s: float | None = None       # since when (monotonic) nothing is wrong that it did; None while something is
    _statuses: dict[str, dict[str, Any]] = field(default_factory=dict)      # the first that was seen of each order
    _started: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def start_operator(self) -> Child:
        self._started += 1
        arguments = operator_arguments(self.kubeconfig, self.namespace, extra=("--owner", OWNER))
        operator = Child(f"operator-{self._started}", arguments, self.dir, program=operator_program(self.broken))
        self.operators.append(operator)
        return operator

    def rage(self) -> None:
        """Until `rest`. What breaks the villain itself is the storm's failure, told in `failures`."""
        deeds: list[tuple[int, Callable[[], None]]] = [
            (6, self._weather), (1, self._kill), (3, self._kill_in_flight), (2, self._freeze), (1, self._restart_api_server), (1, self._compact), (2, self._stream), (1, self._ban),
            (1, self._hide), (1, self._silence), (1, self._accompany), (2, self._mute), (1, self._lose_trades), (2, self._rewrite_status), (1, self._halt), (1, self._delist), (1, self._regrid), (2, self._refuse),
        ]
        try:
            self._pause(3)
            self._kill_in_flight()      # the shortest storm has one
            self._keep_one_running()
            self.random.choice([self._halt, self._delist, self._regrid, self._refuse])()        # … and one of these
            while not self._over.is_set():
                deed = self.random.choices([deed for _, deed in deeds], [weight for weight, _ in deeds])[0]
                self.well_since_s = None
                deed()
                self._keep_one_running()
                self.well_since_s = time.monotonic()
                self._pause(self.random.choices([self.random.uniform(0.2, 1.5), CALM_S], [24, 1])[0])
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error}")

    def rest(self) -> None:
        self._over.set()

    def stop_operators(self) -> None:
        for operator in self.operators:
            operator.signal(signal.SIGCONT)
            operator.kill()
        self.operators.clear()

    def _pause(self, seconds: float) -> None:
        self._over.wait(seconds)

    def _keep_one_running(self) -> None:
        for operator in [one for one in self.operators if not one.running]:
            self.operators.remove(operator)
            self.done["operator ended by itself"] += 1
        if not self.operators:
            self.start_operator()

    # ── Operators ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _kill(self) -> None:
        victim = self.random.choice(self.operators)
        victim.kill()
        self.operators.remove(victim)
        self.done["kill -9"] += 1

    def _kill_in_flight(self) -> None:
        """With sends that the exchange has accepted and not answered: the moment that exactly-once is about."""
        self.exchange.fault(do="delay-reply", ms=60_000, match=SEND, count=None)
        self._pause(self.random.uniform(0.5, 1.5))
        self._kill()
        self.exchange.heal()

    def _freeze(self) -> None:
        """Stopped while another takes over, and continued into a world that has moved on."""
        victim = self.random.choice(self.operators)
        victim.signal(signal.SIGSTOP)
        try:
            self.done["SIGSTOP"] += 1
            if len(self.operators) == 1:
                self.start_operator()
            self._pause(FROZEN_S + self.random.uniform(0, 3))
        finally:
            victim.signal(signal.SIGCONT)

    def _accompany(self) -> None:
        if len(self.operators) < 2:
            self.start_operator()
            self.done["second operator"] += 1

    # ── The cluster ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _restart_api_server(self) -> None:
        """Killed or asked, with etcd compacted meanwhile half of the time: its cache is gone, so watches resume into a 410."""
        self.plane.stop_apiserver(grace=self.random.choice([0, 5]))
        if self.random.random() < 0.5:
            self._compact()
        self._pause(self.random.uniform(0, 3))
        self.plane.start_apiserver()
        self.done["API server restarted"] += 1

    def _compact(self) -> None:
        self.plane.compact_etcd()
        self.done["etcd compacted"] += 1

    def _rewrite_status(self) -> None:
        """Somebody who may write it sets an order's status back to what it once was, or wipes it."""
        kubectl, where = self.plane.kubectl, ("--namespace", self.namespace)
        listed = kubectl("get", "oi", *where, "-o", "json", check=False)
        if listed.returncode != 0:
            return
        found = [one for one in json.loads(listed.stdout)["items"] if (one.get("status") or {}).get("attempts") and "completionTime" not in one["status"]]
        for one in found:
            self._statuses.setdefault(one["metadata"]["uid"], one["status"])
        if found:
            victim = self.random.choice(found)
            older = self.random.choice([{}, self._statuses[victim["metadata"]["uid"]]])
            patch = json.dumps([{"op": "replace", "path": "/status", "value": older}])
            done = kubectl("patch", "oi", victim["metadata"]["name"], *where, *AS_OPERATOR, "--subresource=status", "--type=json", "-p", patch, check=False)
            self.done["status rewritten" if done.returncode == 0 else f"status not rewritten: {done.stderr.strip()}"] += 1

    # ── The exchange ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _weather(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.exchange.fault(**self.random.choice(BAD_WEATHER), match=self.random.choice(CLASSES), count=None, probability=self.random.choice([0.1, 0.3, 0.6]))
        self._pause(self.random.uniform(3, 8))
        self.exchange.heal()

    def _ban(self) -> None:
        """429, and 418 for who goes on."""
        for status, wait in ((429, "1"), (418, "3")):
            self.exchange.fault(do="status", status=status, count=2, headers={"Retry-After": wait}, body=BANNED)
        self._pause(4)
        self.exchange.heal()

    def _stream(self) -> None:
        how = self.random.choice(["disconnect-stream", "terminate-stream", "unreliable-stream"])
        self.exchange.fault(do=how, **({"loss": 0.4, "duplication": 0.4} if how == "unreliable-stream" else {}))
        self.done[how] += 1
        self._pause(self.random.uniform(1, 6))
        self.exchange.heal()

    def _hide(self) -> None:
        """Within what the dialect claims as its lookupDelay (assumption A2)."""
        self.exchange.fault(do="visibility-delay", ms=self.random.choice([200, 600]))
        self.done["visibility delayed"] += 1
        self._pause(self.random.uniform(3, 8))
        self.exchange.heal()

    def _mute(self) -> None:
        """Readings hang or fail, while sends and cancels work."""
        how = self.random.choice([{"do": "hang"}, {"do": "status", "status": 503, "accepted": False}, {"do": "delay-before", "ms": 1500}])
        self.exchange.fault(**how, match=LOOKUP, count=None, probability=1.0)
        self.done["readings muted"] += 1
        self._pause(self.random.uniform(3, 10))
        self.exchange.heal()

    def _lose_trades(self) -> None:
        self.exchange.fault(do="reads", tradesMissing=0.5)
        self.done["trades missing from lists"] += 1
        self._pause(self.random.uniform(3, 8))
        self.exchange.heal()

    def _silence(self) -> None:
        self.exchange.fault(do="silence", mode=self.random.choice(["hang", "refuse"]))
        self.done["exchange silent"] += 1
        self._pause(self.random.uniform(1, 5))
        self.exchange.heal()

    # ── The markets ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _for_a_while(self, what: str, changed: dict[str, Any], back: dict[str, Any], symbol: str) -> None:
        self.exchange.change(symbol, **changed)
        self.done[what] += 1
        try:
            self._pause(self.random.uniform(3, 10))
        finally:
            self.exchange.change(symbol, **back)

    def _halt(self) -> None:
        self._for_a_while("market halted", {"status": self.random.choice(["BREAK", "HALT"])}, {"status": "TRADING"}, self.random.choice(list(MARKETS)))

    def _delist(self) -> None:
        """While orders live there; it comes back, so that all converge."""
        self._for_a_while("market delisted", {"listed": False}, {"listed": True}, self.random.choice(list(MARKETS)))

    def _regrid(self) -> None:
        """Between an entry and its exits, now and then."""
        symbol = self.random.choice(list(MARKETS))
        tick, step, _ = MARKETS[symbol]
        name, now = self.random.choice([("tick", tick), ("step", step), ("minQuantity", step)])
        self._for_a_while("filter changed", {name: str(now * 10)}, {name: str(now)}, symbol)

    def _refuse(self) -> None:
        code, words = self.random.choice(REFUSALS)
        match = {**SEND, "params": self.random.choice(REFUSED)}
        self.exchange.fault(do="status", status=400, accepted=False, match=match, count=None, body=json.dumps({"code": code, "msg": words}))
        self._pause(self.random.uniform(3, 8))
        self.exchange.heal()


def stop_quietly(operator: Child) -> str | None:
    try:
        operator.stop()
    except ChildError as error:
        return str(error)
    return None
