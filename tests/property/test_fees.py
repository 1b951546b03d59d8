"""What an order costs is the sum over the exchange's ledger, in whatever order, parts and lives of the operator its executions are told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_kernel.api import OrderIntentStatus
from exchange_kernel.core.answers import Bust, ExchangeOrder, Fee, Trade
from exchange_kernel.core.decide import decide
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.fees import to_be_read
from exchange_kernel.core.order import Seen
from exchange_kernel.core.status import project
from exchange_kernel.reconcile.memory import AccountMemory
from tests.builders import IDS, T0, a_report, a_sight, a_spec, an_attempt, an_order, at

STEP = Decimal("0.01")
FEES = (None, Fee("USDT", Decimal("0.3")), Fee("BNB", Decimal("0.07")), Fee("BTC", Decimal("-0.02")))
NAMES = {"numbers": lambda count: str(1000 + count), "shuffled numbers": lambda count: str(count * 7919 % 10007), "words": lambda count: f"t{count * 7919 % 10007:05x}"}


class Life:
    """One order of several attempts: the exchange's ledger, what one process heard of it, and what was written."""

    def __init__(self, ids: str, attempts: int) -> None:
        self._name, self.numbers = NAMES[ids], range(1, attempts + 1)
        self.ledger: dict[int, list[Trade]] = {number: [] for number in self.numbers}
        self.memory, self.now_ms, self._executed, self._changed_ms = AccountMemory(), T0, 0, dict.fromkeys(self.numbers, T0)
        self.order = an_order(spec=a_spec(quantity="1000"), attempts=[an_attempt(number, quantity="1000") for number in self.numbers])

    # ── At the exchange ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def execute(self, number: int, fee: int, later_ms: int) -> None:
        self._executed += 1
        self.now_ms += later_ms
        self._changed_ms[number] = self.now_ms
        made = Trade(self._name(self._executed), "BTC/USDT", str(1000 + number), STEP * (1 + fee), Decimal(50000), self.now_ms, FEES[fee])
        self.ledger[number].append(made)

    def report(self, number: int) -> ExchangeOrder:
        filled = sum((trade.quantity for trade in self.ledger[number]), Decimal(0))
        return a_report(number, filled=str(filled), quantity="1000", update_time_ms=self._changed_ms[number])

    # ── What is told of it ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def tell(self, number: int, *trades: Trade) -> None:
        self.memory.learn(self.report(number), trades, self.now_ms)

    def page(self, number: int, first: int, count: int) -> None:
        """A reading that lists a part of them, in its own order."""
        self.tell(number)
        self.memory.learn_trades(IDS[number], tuple(reversed(self.ledger[number][first : first + count])))

    def settle(self, number: int) -> None:
        self.page(number, 0, len(self.ledger[number]))

    def bust(self, number: int, which: int) -> None:
        if not self.ledger[number]:
            return
        trade = self.ledger[number].pop(which % len(self.ledger[number]))
        self.now_ms += 1
        self._changed_ms[number] = self.now_ms
        self.memory.learn_bust(Bust(IDS[number], trade, self.now_ms))
        self.look()     # written before the process that heard of it can end

    def restart(self) -> None:
        self.memory = AccountMemory()

    def upgrade(self) -> None:
        """A process of an earlier version rested and ended: it wrote fees only as the order's total, and no ids of what was taken back."""
        self.rest()
        self.now_ms += 1
        self.restart()
        old = [attempt.model_copy(update={"fees": [], "busted_trades": []}) for attempt in self.order.attempts]
        self.order = replace(self.order, status=self.order.status.model_copy(update={"attempts": old}))
        self.rest()      # the first look of this version

    # ── What is written of it ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def sight(self) -> Seen:
        known = {number: found for number in self.numbers if (found := self.memory.peek(IDS[number])) is not None}
        return a_sight(
            orders={number: found.order for number, found in known.items() if found.order is not None},
            trades={number: tuple(found.trades.values()) for number, found in known.items() if found.trades},
            busted={number: tuple(bust.trade for bust in found.busts.values()) for number, found in known.items() if found.busts},
        )

    def facts(self) -> Facts:
        return Facts(self.order, self.sight(), at(self.now_ms - T0))

    def look(self) -> OrderIntentStatus:
        self._write()
        written = self.order.status
        self._write()
        assert self.order.status == written, "projected twice, and written twice"
        return written

    def _write(self) -> None:
        facts = self.facts()
        self.order = replace(self.order, status=OrderIntentStatus.model_validate(project(facts, decide(facts)).document()))

    def rest(self) -> OrderIntentStatus:
        """What the reconciler does until nothing is left to explain: it reads what isn't explained, and no more than that."""
        for number in self.numbers:
            self.tell(number)
        self.look()
        for number in self.numbers:
            if self.facts().filled(number).unexplained > 0 or number in to_be_read(self.facts()):
                self.settle(number)
        return self.look()


numbers = st.integers(1, 3)
steps = st.one_of(
    st.tuples(st.just("execute"), numbers, st.integers(0, 3), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("execute"), numbers, st.integers(0, 3), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("many"), numbers, st.integers(0, 3), st.integers(1, 25)),
    st.tuples(st.just("tell again"), numbers, st.integers(0, 99)),
    st.tuples(st.just("page"), numbers, st.integers(0, 40), st.integers(0, 25)),
    st.tuples(st.just("settle"), numbers),
    st.tuples(st.just("bust"), numbers, st.integers(0, 99)),
    st.tuples(st.just("restart")),
    st.tuples(st.just("upgrade")),
    st.tuples(st.just("look")),
)


@pytest.mark.proves("rule 8", "H15", "F20", "F27")
@given(ids=st.sampled_from(sorted(NAMES)), attempts=numbers, story=st.lists(steps, max_size=40))
@settings(max_examples=300, deadline=None)
def test_fees_are_the_sum_over_the_ledger(ids, attempts, story):
    life = Life(ids, attempts)
    for what, *how in story:
        if how:
            how[0] = (how[0] - 1) % attempts + 1
        match what, how:
            case "execute", (number, fee, later_ms, told):
                life.execute(number, fee, later_ms)
                life.tell(number, *(life.ledger[number][-1:] if told else ()))
            case "many", (number, fee, count):
                for _ in range(count if life._executed < 80 else 0):
                    life.execute(number, fee, 1)
            case "tell again", (number, which) if life.ledger[number]:
                life.tell(number, life.ledger[number][which % len(life.ledger[number])])
            case "page", (number, first, count):
                life.page(number, first, count)
            case "settle", (number,):
                life.settle(number)
            case "bust", (number, which):
                life.bust(number, which)
            case "restart", ():
                life.restart()
            case "upgrade", ():
                life.upgrade()
            case "look", ():
                life.look()
    status, ledger = life.rest(), [trade for trades in life.ledger.values() for trade in trades]
    paid = {asset: sum((trade.fee.amount for trade in ledger if trade.fee is not None and trade.fee.asset == asset), Decimal(0)) for asset in ("USDT", "BNB", "BTC")}
    assert {fee.asset: fee.amount for fee in status.fees} == {asset: amount for asset, amount in paid.items() if amount != 0}
    assert status.filled_quantity == sum((trade.quantity for trade in ledger), Decimal(0))
    assert not any(entry.inferred for entry in status.fills)
