"""One seed and one course of the clock are one course of the venue, contingent orders and lists included, however often it is run."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Any

from exchange_kernel.exchanges.simulated import Settings, SimulatedExchange, render
from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.order_lists import NewOrderList
from exchange_kernel.exchanges.simulated.orders import NewOrder, OrderType
from tests.unit.exchanges.simulated.client import BTC_USDT, StoppedClock, an_order

TICKS = 400


def ledger(exchange: SimulatedExchange) -> dict[str, Any]:
    accounts = exchange.accounts
    return {
        "orders": [render.queried(order) for account in accounts for orders in account.orders.values() for order in orders],
        "lists": [render.listed(order_list) for account in accounts for order_list in account.lists],
        "trades": [render.traded(trade) for account in accounts for trades in account.executions.values() for trade in trades],
        "balances": [render.balances(account, omit_zero=False) for account in (*accounts, exchange.taker)],
        "fees": dict(exchange.engine.fees),
    }


def run(seed: int) -> dict[str, Any]:
    """Two accounts trade in a market that wanders; what they do follows from the market and from a die of their own."""
    clock, die = StoppedClock(), Random(1)
    exchange = SimulatedExchange(Settings(seed=seed), clock=clock)
    other = exchange.open_account("other-key", "other-secret")
    for _ in range(TICKS):
        clock.at += die.randint(1, 2000)
        exchange.tick()
        account, last = die.choice((exchange.user, other)), exchange.engine.markets["BTCUSDT"].tape.last
        above, below = (str((last * Decimal(factor)).quantize(Decimal("0.01"))) for factor in ("1.001", "0.999"))
        stop = an_order("SELL", "0.5", None, type="STOP_LOSS", stop=below)
        with suppress(VenueError):
            match die.randrange(5):
                case 0:
                    exchange.engine.place(account, an_order("BUY", "0.3", below))
                case 1:
                    exchange.engine.place(account, an_order("SELL", "0.3", None, type="STOP_LOSS", trailing_delta=10))
                case 2:
                    exchange.engine.place_list(account, _list(stop, an_order("SELL", "0.5", above, type="LIMIT_MAKER")))
                case 3:
                    exchange.engine.place_list(account, _list(stop, an_order("SELL", "0.5", above, type="LIMIT_MAKER"), working=an_order("BUY", "0.5", above)))
                case 4:
                    exchange.engine.cancel(account, BTC_USDT, order_id=die.choice(list(account.open)) if account.open else 0)
    return ledger(exchange)


def _list(*others: NewOrder, working: NewOrder | None = None) -> NewOrderList:
    return NewOrderList(symbol=BTC_USDT, working=working, others=others)


def test_a_seed_is_a_ledger():
    first = run(7)
    assert first == run(7)
    assert first != run(8)
    triggered = [order for order in first["orders"] if order["type"] == OrderType.STOP_LOSS and order["isWorking"]]
    assert len(triggered) > 10
    assert len({order["workingTime"] for order in triggered}) > 10
    assert {order["status"] for order in first["orders"]} >= {"FILLED", "EXPIRED", "CANCELED"}
