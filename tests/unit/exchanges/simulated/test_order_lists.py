"""Orders that hang together: OCO, OTO and OTOCO, from their acceptance to the end of the last of them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.engine import Engine
from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.order_lists import NewOrderList, OrderList
from exchange_kernel.exchanges.simulated.orders import NewOrder, Order
from tests.unit.exchanges.simulated.client import BTC_USDT, Heard, an_account, an_engine, an_order, cases

D = Decimal

STOP = an_order("SELL", "2", None, type="STOP_LOSS", stop="59000", client_order_id="stop")
PROFIT = an_order("SELL", "2", "61000", type="LIMIT_MAKER", client_order_id="profit")
ENTRY = an_order("BUY", "2", "60000", client_order_id="entry")


def a_list(*others: NewOrder, working: NewOrder | None = None, name: str = "list") -> NewOrderList:
    return NewOrderList(symbol=BTC_USDT, working=working, others=others, client_order_id=name)


def placed(engine: Engine, account: Account, *others: NewOrder, **terms: Any) -> OrderList:
    return engine.place_list(account, a_list(*others, **terms))[0]


def quote(engine: Engine, side: str, quantity: str, price: str) -> Order:
    return engine.place(an_account(99), an_order(side, quantity, price))


def held(account: Account, asset: str) -> tuple[str, str]:
    balance = account.balances[asset]
    return f"{balance.free.normalize():f}", f"{balance.locked.normalize():f}"


def fates(order_list: OrderList) -> list[tuple[str, str, str | None]]:
    return [(order.status.value, f"{order.executed.normalize():f}", order.expiry_reason) for order in order_list.orders]


# ── OCO ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_a_pair_is_locked_once():
    engine, account = an_engine(), an_account(BTC="2")
    pair = placed(engine, account, STOP, PROFIT)
    assert held(account, "BTC") == ("0", "2")
    assert [(order.order_id, order.list_id) for order in pair.orders] == [(1, 1), (2, 1)]


def test_both_of_a_pair_fill_on_demand_only_if_both_can_be_paid_for():
    engine, account = an_engine(), an_account(BTC="2")
    stop = an_order("SELL", "2", "58000", type="STOP_LOSS_LIMIT", stop="59000", client_order_id="stop")
    pair = placed(engine, account, stop, PROFIT)
    with pytest.raises(VenueError, match="insufficient balance"):
        engine.fill_together(an_account(99), [(order, None) for order in pair.orders])
    assert (fates(pair), held(account, "BTC")) == ([("NEW", "0", None)] * 2, ("0", "2"))


def test_a_pair_to_buy_locks_what_the_dearer_of_the_two_may_cost():
    engine, account = an_engine(), an_account(USDT="125000")
    stop = an_order("BUY", "2", "62500", type="STOP_LOSS_LIMIT", stop="62000")
    placed(engine, account, stop, an_order("BUY", "2", "58000", type="LIMIT_MAKER"))
    assert held(account, "USDT") == ("0", "125000")
    quote(engine, "SELL", "0.5", "58000")
    assert held(account, "USDT") == ("9000", "87000"), "29000 paid, 1.5 at 58000 still locked, and the rest given back"


@pytest.mark.parametrize(("reason", "sold", "fate"), cases(
    ("a part", "0.5", ("PARTIALLY_FILLED", "0.5", None)),
    ("all", "2", ("FILLED", "2", None)),
))
def test_a_fill_of_one_expires_the_other(reason, sold, fate):
    engine, account = an_engine(), an_account(BTC="2")
    pair = placed(engine, account, STOP, PROFIT)
    quote(engine, "BUY", sold, "61000")
    assert fates(pair) == [("EXPIRED", "0", "OCO_TRIGGER"), fate]
    engine.observe(BTC_USDT, D(59000))
    assert fates(pair) == [("EXPIRED", "0", "OCO_TRIGGER"), fate]


def test_a_stop_that_triggers_expires_the_other_and_sells():
    engine, account = an_engine(maker_fee="0", taker_fee="0"), an_account(BTC="2", USDT="0")
    pair = placed(engine, account, STOP, PROFIT)
    quote(engine, "BUY", "3", "58500")
    engine.observe(BTC_USDT, D(59000))
    assert fates(pair) == [("FILLED", "2", None), ("EXPIRED", "0", "OCO_TRIGGER")]
    assert (held(account, "BTC"), held(account, "USDT")) == (("0", "0"), ("117000", "0"))
    assert engine.markets["BTCUSDT"].book.best(PROFIT.side) is None, "the other is out of the book"
    assert not account.open_lists


def test_of_two_stops_the_one_that_triggers_goes_alone():
    engine, account = an_engine(), an_account(BTC="2")
    pair = placed(engine, account, STOP, an_order("SELL", "2", None, type="TAKE_PROFIT", stop="61000"))
    quote(engine, "BUY", "2", "60900")
    engine.observe(BTC_USDT, D(61000))
    engine.observe(BTC_USDT, D(59000))
    assert fates(pair) == [("EXPIRED", "0", "OCO_TRIGGER"), ("FILLED", "2", None)]


@pytest.mark.parametrize("name", ["stop", "profit"])
def test_who_cancels_one_cancels_the_list(name):
    engine, account = an_engine(), an_account(BTC="2")
    pair = placed(engine, account, STOP, PROFIT)
    engine.cancel(account, BTC_USDT, client_order_id=name)
    assert fates(pair) == [("CANCELED", "0", None)] * 2
    assert held(account, "BTC") == ("2", "0")
    assert not account.open_lists


def test_a_list_is_cancelled_by_either_of_its_names_and_only_once():
    engine, account = an_engine(), an_account()
    for named in ({"list_id": 1}, {"client_order_id": "list"}, {"list_id": 3, "client_order_id": "list"}):
        pair = placed(engine, account, STOP, PROFIT)
        engine.cancel_list(account, BTC_USDT, **named)
        assert not pair.open
        with pytest.raises(VenueError, match="Unknown order list"):
            engine.cancel_list(account, BTC_USDT, **named)


def test_all_orders_of_a_market_includes_lists():
    engine, account = an_engine(), an_account()
    engine.place(account, an_order())
    placed(engine, account, PROFIT, working=ENTRY)
    assert len(engine.cancel_all(account, BTC_USDT)) == 3
    assert not account.open
    assert held(account, "USDT") == ("10000000", "0")


def test_the_two_of_a_pair_are_amended_together():
    engine, account = an_engine(), an_account(BTC="2")
    pair = placed(engine, account, STOP, PROFIT)
    heard = Heard(account)
    engine.amend(account, BTC_USDT, D("1.5"), client_order_id="profit", name="less")
    assert [str(order.quantity) for order in pair.orders] == ["1.5", "1.5"]
    assert held(account, "BTC") == ("0.5", "1.5")
    assert heard.events == [
        ("REPLACED", "NEW", "less", "profit", "0"), ("REPLACED", "NEW", "stop", "", "0"), ("LIST", "UPDATED", "list"), ("BALANCES", "BTC")]


@pytest.mark.parametrize(("reason", "others", "message"), cases(
    ("a limit below the market to sell", (STOP, an_order("SELL", "2", "60000", type="LIMIT_MAKER")), "relationship of the prices"),
    ("a stop above the market to sell", (an_order("SELL", "2", None, type="STOP_LOSS", stop="60500"), PROFIT), "relationship of the prices"),
    ("a stop at the market", (an_order("SELL", "2", None, type="STOP_LOSS", stop="60000"), PROFIT), "relationship of the prices"),
    ("the wrong way round to buy", (an_order("BUY", "2", None, type="STOP_LOSS", stop="59000"), an_order("BUY", "2", "61000", type="LIMIT_MAKER")), "relationship of the prices"),
    ("a limit that somebody would take", (STOP, an_order("SELL", "2", "60100", type="LIMIT_MAKER")), "immediately match and take"),
    ("more than there is", (an_order("SELL", "101", None, type="STOP_LOSS", stop="59000"), an_order("SELL", "101", "61000", type="LIMIT_MAKER")), "insufficient balance"),
    ("one name for both", (STOP, an_order("SELL", "2", "61000", type="LIMIT_MAKER", client_order_id="stop")), "Duplicate order sent"),
    ("a name that is in use", (STOP, an_order("SELL", "2", "61000", type="LIMIT_MAKER", client_order_id="mine")), "Duplicate order sent"),
    ("a filter", (STOP, an_order("SELL", "2", "61000.001", type="LIMIT_MAKER")), "PRICE_FILTER"),
))
def test_a_pair_is_refused_as_a_whole(reason, others, message):
    engine, account = an_engine(), an_account()
    quote(engine, "BUY", "1", "60200")
    engine.place(account, an_order(price="50000", client_order_id="mine"))
    before = held(account, "BTC")
    with pytest.raises(VenueError, match=message):
        placed(engine, account, *others)
    assert (len(account.open), account.open_lists, held(account, "BTC")) == (1, {}, before)


def test_a_list_name_is_refused_while_its_list_is_open_and_free_afterwards():
    engine, account = an_engine(), an_account()
    pair = placed(engine, account, STOP, PROFIT)
    with pytest.raises(VenueError, match="Duplicate order sent"):
        placed(engine, account, an_order("SELL", "1", None, type="STOP_LOSS", stop="59000"), an_order("SELL", "1", "61000", type="LIMIT_MAKER"))
    engine.cancel_list(account, BTC_USDT, list_id=pair.list_id)
    assert placed(engine, account, STOP, PROFIT).list_id == 2


def test_so_many_lists_are_open_and_no_more():
    market = replace(BTC_USDT, max_lists=1)
    engine, account = an_engine(market), an_account()
    first, second = (
        NewOrderList(symbol=market, working=None, others=tuple(replace(leg, symbol=market, client_order_id=None) for leg in (STOP, PROFIT))) for _ in range(2))
    engine.place_list(account, first)
    with pytest.raises(VenueError, match="MAX_NUM_ORDER_LISTS"):
        engine.place_list(account, second)
    engine.cancel_all(account, market)
    engine.place_list(account, second)


def test_the_account_hears_of_the_list_after_its_orders():
    engine, account = an_engine(), an_account()
    heard = Heard(account)
    placed(engine, account, STOP, PROFIT)
    quote(engine, "BUY", "2", "61000")
    assert heard.events == [
        ("NEW", "NEW", "stop", "", "0"), ("NEW", "NEW", "profit", "", "0"), ("LIST", "EXEC_STARTED", "list"), ("BALANCES", "BTC"),
        ("EXPIRED", "EXPIRED", "stop", "", "0"), ("TRADE", "FILLED", "profit", "", "2"), ("LIST", "ALL_DONE", "list"), ("BALANCES", "BTC", "USDT"),
    ]


# ── OTO and OTOCO ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_what_is_pending_waits_for_the_whole_fill_and_is_paid_from_it():
    engine, account = an_engine(maker_fee="0"), an_account(BTC="0", USDT="120000")
    bracket = placed(engine, account, STOP, PROFIT, working=ENTRY)
    assert fates(bracket) == [("NEW", "0", None), ("PENDING_NEW", "0", None), ("PENDING_NEW", "0", None)]
    assert (held(account, "USDT"), held(account, "BTC")) == (("0", "120000"), ("0", "0"))
    quote(engine, "SELL", "1.5", "60000")
    assert fates(bracket) == [("PARTIALLY_FILLED", "1.5", None), ("PENDING_NEW", "0", None), ("PENDING_NEW", "0", None)]
    quote(engine, "SELL", "0.5", "60000")
    assert fates(bracket) == [("FILLED", "2", None), ("NEW", "0", None), ("NEW", "0", None)]
    assert held(account, "BTC") == ("0", "2")
    quote(engine, "BUY", "2", "61000")
    assert fates(bracket) == [("FILLED", "2", None), ("EXPIRED", "0", "OCO_TRIGGER"), ("FILLED", "2", None)]
    assert not account.open_lists


def test_the_answer_shows_what_is_pending_as_pending_even_if_it_is_not_any_more():
    engine, account = an_engine(), an_account()
    quote(engine, "SELL", "2", "60000")
    bracket, answered = engine.place_list(account, a_list(an_order("SELL", "1", "61000"), working=ENTRY))
    assert [order.status.value for order in answered] == ["FILLED", "PENDING_NEW"]
    assert [order.status.value for order in bracket.orders] == ["FILLED", "NEW"]


def test_a_pending_market_order_is_placed_at_once():
    engine, account = an_engine(), an_account()
    quote(engine, "BUY", "2", "59000")
    bracket = placed(engine, account, an_order("SELL", "1", None), working=ENTRY)
    quote(engine, "SELL", "4", "59000")
    quote(engine, "BUY", "4", "58000")
    assert [order.status.value for order in bracket.orders] == ["FILLED", "EXPIRED"], "nobody was left to buy from it"
    assert bracket.orders[1].expiry_reason == "INSUFFICIENT_LIQUIDITY"


@pytest.mark.parametrize(("reason", "pending", "btc"), cases(
    ("it can not be paid", (PROFIT,), "0"),
    ("one of a pair would trigger at once", (an_order("SELL", "2", None, type="STOP_LOSS", stop="60500"), PROFIT), "2"),
    ("it would take", (an_order("SELL", "2", "59000", type="LIMIT_MAKER"),), "2"),
))
def test_what_can_not_be_placed_when_its_time_comes_expires(reason, pending, btc):
    engine, account = an_engine(), an_account(BTC=btc)
    quote(engine, "BUY", "1", "59500")
    bracket = placed(engine, account, *pending, working=ENTRY)
    quote(engine, "SELL", "2", "60000")
    assert [status for status, _, _ in fates(bracket)] == ["FILLED", *["EXPIRED"] * len(pending)]
    assert bracket.orders[1].expiry_reason == "REJECTED"
    assert not account.open_lists
    assert held(account, "BTC")[1] == "0"


def test_a_working_order_that_expires_takes_the_pending_ones_with_it():
    engine, account = an_engine(), an_account()
    quote(engine, "SELL", "1", "60000")
    bracket = placed(engine, account, STOP, PROFIT, working=an_order("BUY", "2", "60000", time_in_force="IOC"))
    assert fates(bracket) == [
        ("EXPIRED", "1", "UNFILLED_IOC_QUANTITY_EXPIRED"), ("EXPIRED", "0", "OTO_PHASE_ONE_EXPIRED"), ("EXPIRED", "0", "OTO_PHASE_ONE_EXPIRED")]
    assert not account.open_lists


@pytest.mark.parametrize("name", ["entry", "stop"])
def test_who_cancels_one_of_three_cancels_all(name):
    engine, account = an_engine(), an_account()
    bracket = placed(engine, account, STOP, PROFIT, working=ENTRY)
    engine.cancel(account, BTC_USDT, client_order_id=name)
    assert fates(bracket) == [("CANCELED", "0", None)] * 3
    assert held(account, "USDT") == ("10000000", "0")


def test_a_trailing_leg_tracks_from_its_release_on():
    engine, account = an_engine(), an_account()
    trailing = an_order("SELL", "2", None, type="STOP_LOSS", trailing_delta=1000)
    bracket = placed(engine, account, trailing, working=ENTRY)
    engine.observe(BTC_USDT, D(70000))
    quote(engine, "SELL", "2", "60000")
    quote(engine, "BUY", "2", "50000")
    engine.observe(BTC_USDT, D(59000))
    assert fates(bracket)[1][0] == "NEW", "it fell by 16% from a height before its time"
    engine.observe(BTC_USDT, D(54000))
    assert fates(bracket)[1][0] == "FILLED"
