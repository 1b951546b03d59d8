"""Several orders, one or two operator processes, and everything that users, venues, stores and networks do to them, in any order hypothesis can think of.

After every step the exchange's own ledger must bear out what the design claims (§6). At the end faults stop, time passes, and everything converges.
`EXCHANGE_KERNEL_EXAMPLES=2000 EXCHANGE_KERNEL_SEED=7 make property` looks longer and elsewhere.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
import structlog
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from exchange_kernel.api import DeletionPolicy, DesiredState, ModifyPolicy, OrderState, TradingMode
from exchange_kernel.core.answers import ExchangeOrder, OrderStatus
from exchange_kernel.core.identity import order_id
from exchange_kernel.core.lifecycle import EDGES
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.telemetry import metrics
from tests.builders import a_spec
from tests.crash.workers import on_all_cores
from tests.processes import Processes, ProcessLoop, current_process
from tests.property.moody import CANCEL_MOODS, EVENT_MOODS, READ_MOODS, SUBMIT_MOODS, MoodyExchange
from tests.scripted import OWNER, HeldLease

SEED = os.environ.get("EXCHANGE_KERNEL_SEED")
SEEDS = (None, 1, 2) if SEED is None else (int(SEED),)      # None: the same examples each time
EXAMPLES, STEPS = int(os.environ.get("EXCHANGE_KERNEL_EXAMPLES", "200")), 50        # of each seed
SETTLES_WITHIN_S = 240.0      # of the last fault
MOST_ATTEMPTS = 60

KINDS = {
    "limit": {},
    "keeps what is there": {"modifyPolicy": "Reject"},
    "orphan": {"deletionPolicy": "Orphan"},
    "soon or never": {"submitDeadlineSeconds": 4},
    "market": {"type": "Market", "price": None},
    "IOC": {"timeInForce": "IOC"},
    "FOK": {"timeInForce": "FOK"},
}


def in_the_loop(step):
    """Carry a step out in the world's virtual time, and let what it set off begin."""

    @functools.wraps(step)
    def stepped(self, **arguments):
        async def act():
            step(self, **arguments)
            await asyncio.sleep(0.02)

        self.runner.run(act())
        self.judge()

    return stepped


quantities = st.sampled_from(["0.5", "1", "2"])
prices = st.sampled_from(["48000", "49000", "50000"])
names = st.sampled_from(["a", "b"])
orders = st.integers(0, 5)


class LifeOfOrders(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=ProcessLoop)
        self.problems: list[str] = []
        self.targets: dict[str, Decimal] = {}         # the largest quantity ever wanted of each intent
        self.last: dict[str, OrderRecord] = {}
        self.intent_of: dict[str, str] = {}           # client order id → intent
        self.abandoned: set[str] = set()              # force-deleted, or left at the exchange as asked

    @initialize(policy=st.sampled_from(["SendFirst", "WriteAhead"]), processes=st.sampled_from(["a", "ab"]))
    def begin(self, policy, processes):
        async def boot():
            self.exchange = MoodyExchange()
            self.world = Processes(self.exchange, sendPolicy=policy, resyncSeconds=20)
            self.exchange.accepted, self.exchange.written, self.world.on_change = self.check_exposure, self.check_permission, self.check_write
            # A replica that can't connect writes AccountNotReady into intents that another holds, and the two never come to rest.
            self.exchange.connects = len(processes) > 1
            for name in processes:
                self.world.boot(name)
                await asyncio.sleep(1)
            await asyncio.sleep(15)

        self.runner.run(boot())

    # ── What users do ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(kind=st.sampled_from(sorted(KINDS)), quantity=quantities, finalizer=st.booleans(), depth=st.sampled_from(["0", "0.3", "5"]))
    @in_the_loop
    def create(self, kind, quantity, finalizer, depth):
        uid = f"i{len(self.targets)}"
        if len(self.targets) < 6:
            self.exchange.depth = Decimal(depth)
            self.targets[uid] = Decimal(quantity)
            self.intent_of |= {order_id(OWNER, uid=uid, attempt=number): uid for number in range(1, MOST_ATTEMPTS)}
            self.world.store.create(uid, a_spec(quantity=quantity, **KINDS[kind]), finalizer=finalizer)

    def edit(self, number: int, **changes) -> None:
        record = self.world.store.get(f"i{number}")
        if record is None or record.finished or record.deleting:
            return
        if record.spec.type == "Market":
            changes.pop("price", None)
        self.world.store.edit(record.uid, record.spec.model_copy(update=changes))
        self.targets[record.uid] = max(self.targets[record.uid], changes.get("quantity", Decimal(0)))

    @rule(number=orders, quantity=quantities, price=prices)
    @in_the_loop
    def change(self, number, quantity, price):
        self.edit(number, quantity=Decimal(quantity), price=Decimal(price))

    @rule(number=orders)
    @in_the_loop
    def ask_for_a_cancel(self, number):
        self.edit(number, desired_state=DesiredState.CANCELED)

    @rule(number=orders, suspend=st.booleans())
    @in_the_loop
    def suspend(self, number, suspend):
        self.edit(number, suspend=suspend)

    @rule(number=orders, token=st.sampled_from(["t1", "t2", "t3"]))
    @in_the_loop
    def ask_for_a_reading(self, number, token):
        """It may find what is there, and changes nothing of what is sent."""
        if self.world.store.get(f"i{number}") is not None:
            self.world.store.ask(f"i{number}", token)

    @rule(number=orders)
    @in_the_loop
    def delete(self, number):
        if (record := self.world.store.get(f"i{number}")) is not None:
            if record.spec.deletion_policy is DeletionPolicy.ORPHAN:
                self.abandoned.add(record.uid)
            self.world.store.delete(record.uid)

    @rule(number=orders)
    @in_the_loop
    def delete_by_force(self, number):
        if self.world.store.get(f"i{number}") is not None:
            self.abandoned.add(f"i{number}")
            self.world.store._remove(f"i{number}")

    @rule(mode=st.sampled_from(TradingMode))
    @in_the_loop
    def set_trading_mode(self, mode):
        self._set_mode(mode)

    def _set_mode(self, mode: TradingMode) -> None:
        accounts = self.world.accounts
        accounts.record = replace(accounts.record, spec=accounts.record.spec.model_copy(update={"trading_mode": mode}), generation=accounts.record.generation + 1)
        for replica in self.world.replicas.values():
            replica.process.run(replica.desk.account_keys.wake, accounts.record.uid)

    # ── What the venue does ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def live(self, number: int) -> ExchangeOrder | None:
        live = self.exchange.live()
        return live[number % len(live)] if live else None

    @rule(number=orders, part=st.sampled_from(["0.2", "0.5", "1"]), tell=st.booleans())
    @in_the_loop
    def fill(self, number, part, tell):
        if (order := self.live(number)) is not None:
            left = order.quantity - order.filled_quantity
            self.exchange.fill(order.client_order_id, str((left * Decimal(part)).quantize(Decimal("0.00001"))), tell=tell)

    @rule(number=orders, status=st.sampled_from([OrderStatus.CANCELED, OrderStatus.EXPIRED]), tell=st.booleans())
    @in_the_loop
    def ended_by_the_venue(self, number, status, tell):
        if (order := self.live(number)) is not None:
            self.exchange.end(order.client_order_id, status, tell=tell)

    @rule(mood=st.sampled_from(SUBMIT_MOODS))
    def the_next_submit(self, mood):
        self.exchange.submit_moods.append(mood)

    @rule(mood=st.sampled_from(CANCEL_MOODS))
    def the_next_cancel(self, mood):
        self.exchange.cancel_moods.append(mood)

    @rule(moods=st.lists(st.sampled_from(READ_MOODS), min_size=1, max_size=6))
    def the_next_readings(self, moods):
        self.exchange.read_moods.extend(moods)

    @rule(mood=st.sampled_from(EVENT_MOODS))
    def the_next_event(self, mood):
        self.exchange.event_moods.append(mood)

    @rule()
    @in_the_loop
    def the_stream_breaks(self):
        self.exchange.disconnect()

    @rule(reachable=st.booleans())
    def reachable(self, reachable):
        self.exchange.reachable = reachable

    @rule(visibility_ms=st.sampled_from([0, 900]), trades_lag_ms=st.sampled_from([0, 4000]), budget_s=st.sampled_from([0, 0, 4]))
    def slowness(self, visibility_ms, trades_lag_ms, budget_s):
        self.exchange.visibility_ms, self.exchange.trades_lag_ms, self.exchange.budget_s = visibility_ms, trades_lag_ms, budget_s

    # ── What processes and their store do ───────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(name=names)
    @in_the_loop
    def crash(self, name):
        if name in self.world.replicas:
            self.world.kill(name)

    @rule(name=names)
    @in_the_loop
    def boot(self, name):
        if name not in self.world.replicas:
            self.world.boot(name)

    @rule(name=names)
    @in_the_loop
    def freeze(self, name):
        if name in self.world.replicas:
            self.world.replicas[name].process.stop()

    @rule(name=names)
    @in_the_loop
    def thaw(self, name):
        if name in self.world.replicas:
            self.world.replicas[name].process.go_on()

    @rule(how=st.sampled_from(["seized", "deleted", "down", "up"]))
    @in_the_loop
    def lease(self, how):
        self.world.leases.suffer(how)

    @rule(name=names, failures=st.lists(st.sampled_from(["unavailable", "answer lost", "conflict"]), min_size=1, max_size=4))
    def the_next_writes(self, name, failures):
        if name in self.world.replicas:
            self.world.replicas[name].view.failures.extend(failures)

    @rule(name=names, down=st.booleans(), lag_s=st.sampled_from([0, 0.3, 3]), answers_s=st.sampled_from([0, 0, 0.3]))
    def the_store(self, name, down, lag_s, answers_s):
        if name in self.world.replicas:
            view = self.world.replicas[name].view
            view.down, view.lag_s, view.answers_s = down, lag_s, answers_s

    @rule(seconds=st.sampled_from([0.3, 1.2, 5, 5, 20, 60]))
    def time_passes(self, seconds):
        self.runner.run(asyncio.sleep(seconds))
        self.judge()

    # ── What must hold ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def judge(self) -> None:
        assert not self.problems, self.problems
        assert self.exchange.duplicates == 0, "one order was accepted twice"

    def of(self, uid: str) -> list[ExchangeOrder]:
        return [order for order in self.exchange.orders_by_id.values() if self.intent_of[order.client_order_id] == uid]

    def filled(self, uid: str) -> Decimal:
        return sum((order.filled_quantity for order in self.of(uid)), Decimal(0))

    def check_exposure(self) -> None:
        exposed: Counter[str] = Counter()
        for order in self.exchange.orders_by_id.values():
            exposed[self.intent_of[order.client_order_id]] += order.filled_quantity if order.status.ended else order.quantity
        self.problems.extend(f"{uid}: {quantity} live and filled, {self.targets[uid]} wanted at most" for uid, quantity in exposed.items() if quantity > self.targets[uid])

    def check_permission(self, client_order_id: str) -> None:
        """What leaves is wanted by what its sender can know, and its sender holds the Lease."""
        process = current_process()
        replica = next(replica for replica in self.world.replicas.values() if replica.process is process)
        record = replica.view.get(self.intent_of[client_order_id])
        if record is None or record.deleting or record.spec.suspend or record.spec.desired_state is DesiredState.CANCELED:
            self.problems.append(f"{client_order_id} was sent against its user's word")
        if replica.desk.session.trading_mode is not TradingMode.ENABLED:
            self.problems.append(f"{client_order_id} was sent against the account's mode")
        if not self.world.leases.acts_by_right(process.name, HeldLease.duration):
            self.problems.append(f"{client_order_id} was sent by {process.name} while {self.world.leases.holder} holds the Lease")

    def check_write(self, uid: str) -> None:
        old, new = self.last.get(uid), self.world.store.get(uid)
        if new is None:
            return
        self.last[uid] = new
        before, after = (old.status if old is not None else None), new.status
        filled = after.filled_quantity or Decimal(0)
        if filled > self.filled(uid):
            self.problems.append(f"{uid}: status has {filled} filled, the exchange {self.filled(uid)}")
        if before is not None:
            if filled < (before.filled_quantity or Decimal(0)):
                self.problems.append(f"{uid}: filledQuantity fell to {filled}")
            if before.completion_time is not None and before != after:
                self.problems.append(f"{uid}: a settled end moved")
            if after.state is not before.state and after.state not in EDGES[before.state]:
                self.problems.append(f"{uid}: {before.state} → {after.state}")
        if after.completion_time is not None and (before is None or before.completion_time is None):
            self.check_end(uid, new)

    def check_end(self, uid: str, record: OrderRecord) -> None:
        status, filled = record.status, self.filled(uid)
        if any(not order.status.ended for order in self.of(uid)):
            self.problems.append(f"{uid}: {status.state}, and an order of it lives")
        if status.filled_quantity != filled:
            self.problems.append(f"{uid}: ended with {status.filled_quantity} filled, the exchange has {filled}")
        if any(entry.inferred for entry in status.fills):
            self.problems.append(f"{uid}: ended on an inferred fill")
        if status.state is OrderState.DENIED and self.of(uid):
            self.problems.append(f"{uid}: Denied, and it was at the exchange")
        if status.state is OrderState.FILLED and record.spec.modify_policy is ModifyPolicy.AMEND_OR_REPLACE and filled < record.spec.quantity:
            self.problems.append(f"{uid}: Filled with {filled} of {record.spec.quantity}")
        if status.state is not OrderState.FILLED and filled >= record.spec.quantity:
            self.problems.append(f"{uid}: {status.state} with {filled} of {record.spec.quantity}")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.runner.run(self._settle())
            self.judge()
            for uid in self.targets:
                self.check_rest(uid)
            self.judge()
            self.runner.run(self._reconcile_twice())
            self.judge()
            self.runner.run(self.world.close())
        self.runner.close()

    async def _settle(self) -> None:
        self.exchange.calm()
        self.exchange.budget_s = 0
        self.world.leases.suffer("up")
        self.exchange.connects = True
        for name in "ab":
            if name in self.world.replicas:
                replica = self.world.replicas[name]
                replica.process.go_on()
                replica.view.down, replica.view.lag_s, replica.view.answers_s = False, 0, 0
                replica.view.failures.clear()
            else:
                self.world.boot(name)
        self._set_mode(TradingMode.ENABLED)
        await asyncio.sleep(SETTLES_WITHIN_S)

    def check_rest(self, uid: str) -> None:
        record, live = self.world.store.get(uid), [order for order in self.of(uid) if not order.status.ended]
        if record is None:
            if live and uid not in self.abandoned:
                self.problems.append(f"{uid}: gone, and its order lives")
            return
        status, spec = record.status, record.spec
        if record.deleting or (spec.desired_state is DesiredState.CANCELED and not record.finished):
            self.problems.append(f"{uid}: unwanted, and {status.state} for good")
        if (status.filled_quantity or Decimal(0)) != self.filled(uid):
            self.problems.append(f"{uid}: {status.filled_quantity} filled in status, {self.filled(uid)} at the exchange")
        if any(entry.inferred for entry in status.fills) or (len(status.fills) < 20 and sum((entry.quantity for entry in status.fills), Decimal(0)) != self.filled(uid)):
            self.problems.append(f"{uid}: its fills do not add up")
        paid = sum((trade.fee.amount for order in self.of(uid) for trade in self.exchange.trades_of[order.exchange_order_id]), Decimal(0))
        if sum((fee.amount for fee in status.fees), Decimal(0)) != paid:
            self.problems.append(f"{uid}: {status.fees} in fees, {paid} paid")
        if record.finished:
            return
        if live and (len(live) > 1 or status.state not in (OrderState.OPEN, OrderState.PARTIALLY_FILLED)):
            self.problems.append(f"{uid}: {status.state} with {len(live)} live")
        if not live and not (spec.suspend and status.state in (OrderState.PENDING, OrderState.SUBMITTING)):
            self.problems.append(f"{uid}: {status.state} for good with nothing live")
        if live and not spec.suspend and spec.modify_policy is ModifyPolicy.AMEND_OR_REPLACE:
            earlier = self.filled(uid) - live[0].filled_quantity
            if (live[0].quantity + earlier, live[0].price) != (spec.quantity, spec.price):
                self.problems.append(f"{uid}: {live[0].quantity} at {live[0].price} live, {spec.quantity} at {spec.price} wanted")

    async def _reconcile_twice(self) -> None:
        """At rest any number of extra calls changes nothing, here or there."""
        def marks() -> tuple[int, int]:
            return self.world.store._version, sum(call in ("submit", "cancel") for call in self.exchange.calls)

        before = marks()
        for _ in range(2):
            for replica in self.world.replicas.values():
                for uid in self.targets:
                    replica.process.run(replica.desk.intents.wake, uid)
            await asyncio.sleep(3)
        if marks() != before:
            self.problems.append("at rest, and reconciling again changed something")


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.mark.proves("rule 3", "rule 8", "rule 10")
@pytest.mark.timeout(0)
def test_the_life_of_orders():
    for told in on_all_cores(live, SEEDS):
        assert told is None, told


def live(with_seed: int | None) -> str | None:
    """Play the examples of one seed; what hypothesis says of the first that fails."""
    machine = LifeOfOrders if with_seed is None else seed(with_seed)(LifeOfOrders)
    checked = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, derandomize=with_seed is None, deadline=None, database=None,
                       suppress_health_check=list(HealthCheck), print_blob=with_seed is not None)
    restless = metrics.RESTLESS_RECONCILES._value.get()
    try:
        run_state_machine_as_test(machine, settings=checked)
    except BaseException as error:
        return "\n".join((f"seed {with_seed}", repr(error), *getattr(error, "__notes__", ())))
    return None if metrics.RESTLESS_RECONCILES._value.get() == restless else f"seed {with_seed}: an order did not come to rest"
