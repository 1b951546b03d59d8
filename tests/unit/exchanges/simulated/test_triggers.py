"""Contingent orders: how they wait, what wakes them, and what they do then. Trailing ones follow the venue's own scenarios."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.engine import Engine
from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.orders import Order, Status
from tests.unit.exchanges.simulated.client import BTC_USDT, Heard, an_account, an_engine, an_order, cases

D = Decimal


def prices(engine: Engine, *prices: str) -> None:
    for price in prices:
        engine.observe(BTC_USDT, D(price))


def quote(engine: Engine, side: str, quantity: str, price: str) -> Order:
    return engine.place(an_account(99), an_order(side, quantity, price))


def held(account: Account, asset: str) -> tuple[str, str]:
    balance = account.balances[asset]
    return f"{balance.free.normalize():f}", f"{balance.locked.normalize():f}"


@pytest.mark.parametrize(("reason", "side", "kind", "stop", "not_yet", "then"), cases(
    ("a stop loss to sell waits for a fall", "SELL", "STOP_LOSS", "59000", "59000.01", "59000"),
    ("a stop loss to buy waits for a rise", "BUY", "STOP_LOSS", "61000", "60999.99", "61000"),
    ("a take profit to sell waits for a rise", "SELL", "TAKE_PROFIT", "61000", "60999.99", "61000"),
    ("a take profit to buy waits for a fall", "BUY", "TAKE_PROFIT", "59000", "59000.01", "58000"),
))
def test_at_its_stop_price_it_takes_what_there_is(reason, side, kind, stop, not_yet, then):
    engine, account = an_engine(), an_account()
    quote(engine, "BUY" if side == "SELL" else "SELL", "3", "60000")
    order = engine.place(account, an_order(side, "2", None, type=kind, stop=stop))
    prices(engine, not_yet)
    assert (order.status, order.working_time, order.waits) == (Status.NEW, None, True)
    prices(engine, then)
    assert (order.status, order.working_time, str(order.executed)) == (Status.FILLED, engine.now(), "2")
    assert not any(balance.locked for balance in account.balances.values())


@pytest.mark.parametrize(("reason", "side", "kind", "stop"), cases(
    ("to buy on a rise that has been", "BUY", "STOP_LOSS", "60000"),
    ("to sell on a fall that has been", "SELL", "STOP_LOSS", "60000"),
    ("to buy on a fall that has been", "BUY", "TAKE_PROFIT", "60000"),
    ("to sell on a rise that has been", "SELL", "TAKE_PROFIT", "59999"),
))
def test_what_would_trigger_at_once_is_refused(reason, side, kind, stop):
    engine, account = an_engine(), an_account()
    heard = Heard(account)
    for terms in ({"price": None, "type": kind}, {"price": "60000", "type": f"{kind}_LIMIT"}):
        with pytest.raises(VenueError) as refused:
            engine.place(account, an_order(side, "1", stop=stop, client_order_id="mine", **terms))
        assert (refused.value.code, refused.value.message) == (-2010, "Stop price would trigger immediately.")
    assert heard.events == [("REJECTED", "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY", "mine")] * 2
    assert not any(balance.locked for balance in account.balances.values())


def test_a_triggered_limit_order_rests_at_its_limit_and_behind_those_who_were_there():
    engine, account = an_engine(), an_account()
    order = engine.place(account, an_order("SELL", "1", "61000", type="TAKE_PROFIT_LIMIT", stop="60500"))
    before = quote(engine, "SELL", "1", "61000")
    assert held(account, "BTC") == ("99", "1"), "locked from its acceptance on"
    prices(engine, "60500")
    assert (order.status, order.waits) == (Status.NEW, False)
    quote(engine, "BUY", "1.5", "61000")
    assert (str(before.executed), str(order.executed)) == ("1", "0.5")


def test_a_stop_at_the_market_that_meets_nobody_expires():
    engine, account = an_engine(), an_account()
    quote(engine, "BUY", "0.5", "59000")
    order = engine.place(account, an_order("SELL", "2", None, type="STOP_LOSS", stop="59500"))
    prices(engine, "59500")
    assert (order.status, str(order.executed), order.expiry_reason) == (Status.EXPIRED, "0.5", "INSUFFICIENT_LIQUIDITY")
    assert held(account, "BTC") == ("99.5", "0")


def test_a_stop_to_buy_that_can_not_be_paid_when_its_time_comes_expires():
    engine, account = an_engine(), an_account(USDT="61000")
    quote(engine, "SELL", "1", "62000")
    order = engine.place(account, an_order("BUY", "1", None, type="STOP_LOSS", stop="61000"))
    assert held(account, "USDT") == ("0", "61000"), "its stop price is what it is taken to cost"
    prices(engine, "61000")
    assert (order.status, order.expiry_reason) == (Status.EXPIRED, "REJECTED")
    assert held(account, "USDT") == ("61000", "0")


def test_a_stop_to_buy_pays_what_it_costs_and_no_more():
    engine, account = an_engine(), an_account(USDT="70000")
    quote(engine, "SELL", "1", "62000")
    engine.place(account, an_order("BUY", "1", None, type="STOP_LOSS", stop="61000"))
    prices(engine, "61000")
    assert held(account, "USDT") == ("8000", "0")


def test_trades_set_off_stops_by_acceptance_and_those_trades_set_off_others():
    engine, first, second = an_engine(), an_account(1), an_account(2)
    for quantity, price in (("1", "59900"), ("1", "59800"), ("1", "59700")):
        quote(engine, "BUY", quantity, price)
    cascading = engine.place(first, an_order("SELL", "1", None, type="STOP_LOSS", stop="59800"))
    one, two = (engine.place(account, an_order("SELL", "0.5", None, type="STOP_LOSS", stop="59900")) for account in (first, second))
    engine.place(an_account(3), an_order("SELL", "1", "59900"))
    assert [(str(fill.price), fill.trade_id) for order in (one, two, cascading) for fill in order.executions] == [("59800", 2), ("59800", 3), ("59700", 4)]


def test_an_order_that_waits_is_open_and_is_cancelled_as_any_other():
    engine, account = an_engine(), an_account()
    order = engine.place(account, an_order("SELL", "1", None, type="STOP_LOSS", stop="59000", client_order_id="mine"))
    assert list(account.open.values()) == [order]
    with pytest.raises(VenueError, match="Duplicate order sent"):
        engine.place(account, an_order(client_order_id="mine"))
    engine.cancel(account, BTC_USDT, client_order_id="mine")
    quote(engine, "BUY", "1", "58000")
    prices(engine, "58000")
    assert (order.status, str(order.executed), order.working_time) == (Status.CANCELED, "0", None)
    assert held(account, "BTC") == ("100", "0")


def test_an_order_that_waits_can_not_be_filled_on_cue_and_is_not_in_the_book():
    engine, account = an_engine(), an_account()
    order = engine.place(account, an_order("SELL", "1", "58000", type="STOP_LOSS_LIMIT", stop="59000"))
    with pytest.raises(VenueError, match="Unknown order"):
        engine.fill(an_account(2), order)
    assert str(quote(engine, "BUY", "1", "58000").executed) == "0"


def test_an_order_that_waits_can_be_amended():
    engine, account = an_engine(), an_account()
    order = engine.place(account, an_order("BUY", "2", None, type="STOP_LOSS", stop="61000"))
    engine.amend(account, BTC_USDT, D("0.5"), order_id=order.order_id)
    assert held(account, "USDT") == ("9969500", "30500")
    quote(engine, "SELL", "2", "61000")
    prices(engine, "61000")
    assert (order.status, str(order.executed)) == (Status.FILLED, "0.5")


def test_the_account_hears_new_when_it_is_accepted_and_again_when_it_works():
    engine, account = an_engine(), an_account()
    order = engine.place(account, an_order("SELL", "1", "58500", type="STOP_LOSS_LIMIT", stop="59000", client_order_id="mine"))
    heard = Heard(account)
    prices(engine, "59000")
    assert heard.events == [("NEW", "NEW", "mine", "", "0")]
    assert order.time == order.working_time


# ── Trailing: faqs/trailing-stop-faq.md ─────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("reason", "side", "kind", "stop", "delta", "ignored", "then"), cases(
    ("A: a stop loss to buy, from its stop price on", "BUY", "STOP_LOSS", "44000", 500, "37000 44000 45000 46000 42000 44099.99", "44100"),
    ("B: a stop loss to sell, from its stop price on", "SELL", "STOP_LOSS", "39000", 1000, "41500 39000 37000 41000 36900.01", "36900"),
    ("C: a take profit to buy", "BUY", "TAKE_PROFIT", "38000", 850, "42000 38000 37000 39000 38000 40144.99", "40145"),
    ("D: a take profit to sell", "SELL", "TAKE_PROFIT", "42000", 750, "41500 39000 42000 45000 44000 46500 43012.51", "43012.50"),
    ("E: without a stop price, from the start", "SELL", "STOP_LOSS", None, 700, "42000 39500 45500 42315.01", "42315"),
    ("E: to buy, from the start", "BUY", "STOP_LOSS", None, 500, "39000 40949.99", "40950"),
))
def test_trailing(reason, side, kind, stop, delta, ignored, then):
    engine, account = an_engine(), an_account()
    prices(engine, "40000")
    quote(engine, "BUY" if side == "SELL" else "SELL", "3", "40000")
    terms = {} if stop is None else {"stop": stop}
    order = engine.place(account, an_order(side, "1", None, type=kind, trailing_delta=delta, **terms))
    assert (order.trailing_time is None) is (stop is not None)
    prices(engine, *ignored.split())
    assert order.waits
    assert order.trailing_time is not None
    prices(engine, then)
    assert order.status is Status.FILLED


@pytest.mark.parametrize(("reason", "delta"), cases(("too near", 9), ("too far", 2001)))
def test_a_trailing_delta_out_of_bounds_is_refused(reason, delta):
    with pytest.raises(VenueError, match="TRAILING_DELTA"):
        an_engine().place(an_account(), an_order("SELL", "1", None, type="STOP_LOSS", trailing_delta=delta))
