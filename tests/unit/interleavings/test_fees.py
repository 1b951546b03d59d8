"""What an order costs is the sum over the exchange's ledger: however its executions are told, after any restart, and in a bounded number of writes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import ExchangeOrder, Fee, OrderStatus, Trade
from tests.builders import a_spec
from tests.scripted import until
from tests.unit.interleavings.stories import condition, finished, live, open_order, report, story, the_id, the_order
from tests.write_rate import WriteRate

ONE = Fee("USDT", Decimal(1))


def execute(world, quantity: str, fee: Fee | None = ONE, *, of: ExchangeOrder | None = None, trade_id: str | None = None, tell: bool = True, listed: bool = True) -> Trade:
    """One execution of an order, or of the only live one: told by the stream or not, and listed or not."""
    exchange, order = world.exchange, of or live(world)[0]
    trade_id = trade_id or str(101 + exchange.taken_back + sum(map(len, exchange.trades_of.values())))
    made = Trade(trade_id, order.symbol, order.exchange_order_id, Decimal(quantity), Decimal(50000), exchange.now_ms(), fee)
    if listed:
        exchange.trades_of[order.exchange_order_id].append(made)
    filled = order.filled_quantity + made.quantity
    status = OrderStatus.FILLED if filled >= order.quantity else order.status
    changed = replace(order, filled_quantity=filled, filled_quote_quantity=filled * 50000, status=status, update_time_ms=exchange.now_ms())
    exchange._set(changed, made if tell else None, tell)
    return made


def fees(world, uid: str = "a") -> dict[str, Decimal]:
    return {fee.asset: fee.amount for fee in world.status(uid).fees}


def named(how: str, number: int) -> str:
    """Trade ids that grow, that are numbers and don't, and that are none."""
    return {"numbers": str(1000 + number), "shuffled numbers": str(number * 7919 % 10007), "words": f"t{number * 7919 % 10007:05x}"}[how]


async def twelve_attempts(world, filled: str | None = None) -> None:
    """An order that was changed eleven times; each but the last is filled by so much first."""
    await open_order(world, quantity="10")
    for number in range(1, 12):
        if filled is not None:
            execute(world, filled)
            await until(lambda number=number: world.status("a").filled_quantity == Decimal(filled) * number)
        world.store.edit("a", a_spec(quantity="10", price=str(50000 - number)))
        await until(lambda number=number: world.status("a").client_order_id == the_id(number + 1) and world.status("a").state in (OrderState.OPEN, OrderState.PARTIALLY_FILLED))


# ── A sum over all executions ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 8", "rule 14")
@pytest.mark.parametrize("ids", ["numbers", "shuffled numbers", "words"])
def test_sixty_executions_of_which_one_is_lost_cost_what_was_paid(ids):
    async def tell(world):
        writes, lost = WriteRate(world), None
        await open_order(world)
        for number in range(60):
            made = execute(world, "0.01", trade_id=named(ids, number), tell=number != 30, listed=number != 30)
            lost = made if number == 30 else lost
            await asyncio.sleep(0.05)
        await asyncio.sleep(5)
        before = writes.total["a"]
        await asyncio.sleep(120)
        assert fees(world) == {"USDT": Decimal(59)}
        assert writes.total["a"] == before
        await world.crash()
        await world.start()
        await asyncio.sleep(60)
        assert fees(world) == {"USDT": Decimal(59)}
        world.exchange.trades_of["1000"].append(lost)
        await asyncio.sleep(60)
        assert fees(world) == {"USDT": Decimal(60)}
        assert writes.total["a"] - before <= 10
        writes.check()

    story(tell)


@pytest.mark.proves("rule 8")
@pytest.mark.parametrize("ids", ["numbers", "shuffled numbers", "words"])
def test_a_restart_in_the_middle_of_sixty_executions_of_which_the_last_are_told_twice(ids):
    async def tell(world):
        await open_order(world)
        for number in range(50):
            execute(world, "0.01", trade_id=named(ids, number))
            await asyncio.sleep(0.01)
        await until(lambda: world.status("a").filled_quantity == Decimal("0.5"))
        await world.crash()
        await world.start()
        listed, world.exchange.trades_of["1000"] = world.exchange.trades_of["1000"], []      # only the stream tells
        for number in range(50, 60):
            execute(world, "0.01", trade_id=named(ids, number))
            await asyncio.sleep(0.01)
        await until(lambda: world.status("a").filled_quantity == Decimal("0.6"))
        assert fees(world) == {"USDT": Decimal(60)}
        world.exchange.trades_of["1000"] = [*listed, *world.exchange.trades_of["1000"]]
        await asyncio.sleep(30)
        assert fees(world) == {"USDT": Decimal(60)}

    story(tell)


@pytest.mark.proves("rule 8")
def test_each_of_two_attempts_has_its_fees_and_an_operator_that_starts_anew_tells_the_same():
    async def tell(world):
        await open_order(world)
        execute(world, "0.2", Fee("BNB", Decimal("0.5")))
        await until(lambda: fees(world) == {"BNB": Decimal("0.5")})
        assert world.status("a").attempts[0].fees == []      # the same as status.fees
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: world.status("a").client_order_id == the_id(2) and live(world) != [])
        execute(world, "0.3", Fee("BNB", Decimal("-0.1")))
        execute(world, "0.1", Fee("USDT", Decimal(2)), of=live(world)[0])
        await until(lambda: world.status("a").filled_quantity == Decimal("0.6"))
        told = [{fee.asset: fee.amount for fee in attempt.fees} for attempt in world.status("a").attempts]
        assert told == [{"BNB": Decimal("0.5")}, {"BNB": Decimal("-0.1"), "USDT": Decimal(2)}]
        await world.crash()
        await world.start()
        await asyncio.sleep(20)
        assert fees(world) == {"BNB": Decimal("0.4"), "USDT": Decimal(2)}

    story(tell)


@pytest.mark.proves("rule 8")
@pytest.mark.parametrize("ids", ["numbers", "words"])
@pytest.mark.parametrize("attempts", [1, 2])
def test_fees_that_an_earlier_version_wrote_only_as_a_total_are_neither_lost_nor_doubled(ids, attempts):
    async def tell(world):
        await open_order(world)
        for number in range(30):
            if number == 25 and attempts == 2:
                world.store.edit("a", a_spec(price="49000"))
                await until(lambda: world.status("a").client_order_id == the_id(2) and live(world) != [])
            execute(world, "0.01", trade_id=named(ids, number))
            await asyncio.sleep(0.01)
        await until(lambda: fees(world) == {"USDT": Decimal(30)})
        await world.crash()
        record = world.store.get("a")
        old = record.status.model_copy(update={"attempts": [attempt.model_copy(update={"fees": []}) for attempt in record.status.attempts]})
        await world.store.write_status(record, old)
        await world.start()
        await asyncio.sleep(10)
        assert fees(world) == {"USDT": Decimal(30)}
        lost = execute(world, "0.01", trade_id=named(ids, 30), tell=False, listed=False)
        execute(world, "0.01", trade_id=named(ids, 31))
        await asyncio.sleep(10)
        world.exchange.trades_of[lost.exchange_order_id].append(lost)
        await asyncio.sleep(30)
        assert fees(world) == {"USDT": Decimal(32)}

    story(tell)


# ── Bounds ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_an_order_that_pays_in_forty_assets_is_written_and_says_that_there_are_more():
    """A status with more is refused whole by an API server."""

    async def tell(world):
        await open_order(world)
        for number in range(40):
            execute(world, "0.02", Fee(f"A{number:02}", Decimal(1)))
            await asyncio.sleep(0.01)
        await until(lambda: world.status("a").filled_quantity == Decimal("0.8"))
        status = world.status("a")
        assert (len(status.fees), status.more_fee_assets) == (16, True)
        await world.crash()
        await world.start()
        execute(world, "0.02", Fee("A03", Decimal(1)))
        execute(world, "0.02", Fee("A", Decimal(1)), of=live(world)[0])
        await asyncio.sleep(20)
        assert fees(world) == {fee.asset: fee.amount + (fee.asset == "A03") for fee in status.fees}

    story(tell)


# ── Executions taken back ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 8", "rule 11", "F27")
@pytest.mark.parametrize("taken", ["the first", "the last", "both"])
@pytest.mark.parametrize("restart", [False, True])
def test_an_execution_taken_back_between_the_fill_and_the_settled_end(taken, restart):
    """Nothing is sent for it by itself, and the end tells what is left."""

    async def tell(world):
        await open_order(world)
        world.exchange.trades_lag_ms = 5000
        made = [execute(world, "0.4"), execute(world, "0.6", Fee("USDT", Decimal(2)), tell=False)]
        report(world, the_order(world))
        await until(lambda: world.status("a").state is OrderState.FILLED)
        assert world.status("a").completion_time is None
        for trade in {"the first": made[:1], "the last": made[1:], "both": made}[taken]:
            world.exchange.bust(trade.trade_id)
            await asyncio.sleep(0.2)
        if restart:
            await world.crash()
            await world.start()
        status = await finished(world)
        left = {"the first": ("0.6", {"USDT": Decimal(2)}), "the last": ("0.4", {"USDT": Decimal(1)}), "both": ("0", {})}[taken]
        assert (status.state, status.filled_quantity, fees(world)) == (OrderState.CANCELED, Decimal(left[0]), left[1])
        assert (condition(world, "Succeeded").status, condition(world, "Finished").reason) == ("False", "FillTakenBack")
        assert world.exchange.calls.count("submit") == 1

    story(tell)


@pytest.mark.proves("rule 8", "F27")
def test_two_executions_taken_back_with_a_restart_between_are_two():
    async def tell(world):
        await open_order(world)
        made = []
        for number in (1, 2, 4):
            made.append(execute(world, "0.1", Fee("USDT", Decimal(number)), of=live(world)[0]))
        await until(lambda: fees(world) == {"USDT": Decimal(7)})
        world.exchange.bust(made[0].trade_id)
        await until(lambda: world.status("a").filled_quantity == Decimal("0.2"))
        assert fees(world) == {"USDT": Decimal(6)}
        await world.crash()
        await world.start()
        world.exchange.bust(made[1].trade_id)
        await until(lambda: world.status("a").filled_quantity == Decimal("0.1"))
        await asyncio.sleep(20)
        status = world.status("a")
        assert (fees(world), status.attempts[0].busted_quantity, [fill.trade_id for fill in status.fills]) == ({"USDT": Decimal(4)}, Decimal("0.2"), [made[2].trade_id])

    story(tell)


@pytest.mark.proves("rule 8", "F27")
def test_a_venue_without_times_of_change_is_believed_after_it_took_an_execution_back():
    async def tell(world):
        await open_order(world)
        made = execute(world, "0.4")
        await until(lambda: world.status("a").filled_quantity == Decimal("0.4"))
        await asyncio.sleep(1)
        world.exchange.bust(made.trade_id)
        await until(lambda: world.status("a").filled_quantity == 0)
        world.exchange._set(replace(the_order(world), status=OrderStatus.CANCELED, update_time_ms=None))
        assert (await finished(world)).state is OrderState.CANCELED

    story(tell)


# ── Attempts that status does not list ──────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 8", "rule 10")
@pytest.mark.parametrize("restart", [False, True])
def test_a_late_fill_of_the_first_of_twelve_attempts_is_told_and_taken_off_the_rest(restart):
    async def tell(world):
        await twelve_attempts(world)
        assert (len(world.status("a").attempts), world.status("a").earlier_attempts.count) == (9, 3)
        if restart:
            await world.crash()
            await world.start()
        execute(world, "0.1", of=world.exchange.named(the_id(1))[0])
        await until(lambda: world.status("a").filled_quantity == Decimal("0.1"))
        await until(lambda: [order.quantity for order in live(world)] == [Decimal("9.9")])
        status = world.status("a")
        assert (status.attempts[0].number, len(status.attempts), status.earlier_attempts.count, fees(world)) == (1, 9, len(world.exchange.orders_by_id) - 9, {"USDT": Decimal(1)})
        assert world.desk.session.memory.unattributed("aaaa-account") == 0

    story(tell)


@pytest.mark.proves("rule 9")
def test_the_first_of_twelve_attempts_that_turns_out_to_live_is_cancelled():
    async def tell(world):
        await twelve_attempts(world)
        await world.crash()
        first = world.exchange.named(the_id(1))[0]
        world.exchange._set(replace(first, status=OrderStatus.OPEN, update_time_ms=world.exchange.now_ms()), tell=False)
        await world.start()
        await until(lambda: [order.client_order_id for order in live(world)] == [the_id(12)])
        assert world.status("a").filled_quantity == 0

    story(tell)


@pytest.mark.proves("rule 11")
@pytest.mark.parametrize("restart", [False, True])
def test_a_late_fill_of_an_attempt_that_was_summed_up_with_its_fills_is_told_by_the_account(restart):
    async def tell(world):
        await twelve_attempts(world, filled="0.1")
        status = world.status("a")
        assert (status.earlier_attempts.count, status.earlier_attempts.filled_quantity, status.earlier_attempts.filled_through) == (3, Decimal("0.3"), 3)
        assert (fees(world), {fee.asset: fee.amount for fee in status.earlier_attempts.fees}) == ({"USDT": Decimal(11)}, {"USDT": Decimal(3)})
        if restart:
            await world.crash()
            await world.start()
        execute(world, "0.2", of=world.exchange.named(the_id(1))[0])
        await until(lambda: world.desk.session.memory.unattributed("aaaa-account") == 1)
        await asyncio.sleep(20)
        assert (world.status("a").filled_quantity, fees(world), world.desk.session.memory.unattributed("aaaa-account")) == (Decimal("1.1"), {"USDT": Decimal(11)}, 1)
        execute(world, "8.9")
        assert (await finished(world)).filled_quantity == 10
        assert fees(world) == {"USDT": Decimal(12)}

    story(tell)
