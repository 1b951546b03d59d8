"""Orders as the engine takes, matches and ends them. What must hold for all orders is in tests/property/test_matching.py."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.exchanges.simulated.engine import Engine
from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.orders import Side, Status
from exchange_kernel.exchanges.simulated.symbols import SelfTradePrevention, symbol
from tests.unit.exchanges.simulated.client import BTC_USDT, Heard, an_account, an_engine, an_order, cases, quantities

D = Decimal


def asks(engine: Engine, *levels: tuple[str, str]) -> None:
    """Somebody else offers so much at such a price."""
    account = an_account(99)
    for quantity, price in levels:
        engine.place(account, an_order("SELL", quantity, price))


@pytest.mark.proves("F49")
def test_the_better_price_trades_first_and_at_one_price_the_older_order():
    engine, makers, taker = an_engine(), an_account(1), an_account(2)
    late, early = engine.place(makers, an_order("SELL", "1", "50010")), engine.place(makers, an_order("SELL", "1", "50000"))
    second = engine.place(makers, an_order("SELL", "1", "50000"))
    bought = engine.place(taker, an_order("BUY", "2.5", "50010"))
    assert [(str(fill.price), fill.trade_id) for fill in bought.executions] == [("50000", 1), ("50000", 2), ("50010", 3)]
    assert quantities(early, second, late) == ["1", "1", "0.5"]
    assert bought.status is Status.FILLED


def test_a_trade_is_at_the_resting_price_and_what_the_limit_had_locked_beyond_it_comes_back():
    engine, taker = an_engine(), an_account(2, USDT="50000")
    asks(engine, ("1", "40000"))
    engine.place(taker, an_order("BUY", "1", "50000"))
    assert (taker.balances["USDT"].free, taker.balances["USDT"].locked) == (D(10000), D(0))


@pytest.mark.proves("F49")
def test_fees_are_taken_from_what_is_received_and_differ_for_maker_and_taker():
    engine, buyer, seller = an_engine(maker_fee="0.001", taker_fee="0.002"), an_account(1), an_account(2)
    bought, sold = engine.place(buyer, an_order("BUY", "1", "50000")), engine.place(seller, an_order("SELL", "1", "50000"))
    assert [(str(fill.commission), fill.commission_asset, fill.is_maker) for fill in bought.executions] == [("0.00100000", "BTC", True)]
    assert [(str(fill.commission), fill.commission_asset, fill.is_maker) for fill in sold.executions] == [("100.00000000", "USDT", False)]
    assert buyer.balances["BTC"].free == D("100.999")
    assert seller.balances["USDT"].free == D("10049900")
    assert engine.fees == {"BTC": D("0.001"), "USDT": D(100)}


@pytest.mark.parametrize(("reason", "order", "status", "executed", "expiry"), cases(
    ("GTC rests with what is left", an_order("BUY", "3", "50000"), "PARTIALLY_FILLED", "2", None),
    ("IOC takes what is there and ends", an_order("BUY", "3", "50000", time_in_force="IOC"), "EXPIRED", "2", "UNFILLED_IOC_QUANTITY_EXPIRED"),
    ("FOK takes all or nothing: nothing", an_order("BUY", "3", "50000", time_in_force="FOK"), "EXPIRED", "0", "UNFILLED_FOK_ORDER_EXPIRED"),
    ("FOK takes all or nothing: all", an_order("BUY", "2", "50000", time_in_force="FOK"), "FILLED", "2", None),
    ("FOK counts only what its limit reaches", an_order("BUY", "2", "49999", time_in_force="FOK"), "EXPIRED", "0", "UNFILLED_FOK_ORDER_EXPIRED"),
    ("MARKET ends where the book does", an_order("BUY", "3", None), "EXPIRED", "2", "INSUFFICIENT_LIQUIDITY"),
    ("MARKET to sell meets nobody", an_order("SELL", "3", None), "EXPIRED", "0", "INSUFFICIENT_LIQUIDITY"),
    ("LIMIT_MAKER rests", an_order("BUY", "3", "49998", type="LIMIT_MAKER"), "NEW", "0", None),
))
def test_what_becomes_of(reason, order, status, executed, expiry):
    engine, account = an_engine(), an_account()
    asks(engine, ("1", "49999"), ("1", "50000"))
    placed = engine.place(account, order)
    assert (placed.status, str(placed.executed), placed.expiry_reason) == (status, executed, expiry)
    assert (placed.order_id in account.open) is placed.status.open
    if not placed.status.open:
        assert not any(balance.locked for balance in account.balances.values())


@pytest.mark.parametrize(("reason", "order", "code", "message"), cases(
    ("LIMIT_MAKER would take", an_order("BUY", "1", "50000", type="LIMIT_MAKER"), -2010, "Order would immediately match and take."),
    ("more quote than there is", an_order("BUY", "199.9", "50000"), -2010, "Account has insufficient balance for requested action."),
    ("more base than there is", an_order("SELL", "101", "50000"), -2010, "Account has insufficient balance for requested action."),
    ("a price between ticks", an_order("BUY", "1", "50000.001"), -1013, "Filter failure: PRICE_FILTER"),
    ("a price above all", an_order("BUY", "1", "1000000.01"), -1013, "Filter failure: PRICE_FILTER"),
    ("no price", an_order("BUY", "1", "0"), -1013, "Invalid price."),
    ("a quantity between steps", an_order("BUY", "1.000001", "50000"), -1013, "Filter failure: LOT_SIZE"),
    ("a quantity above all", an_order("BUY", "9000.00001", "50000"), -1013, "Filter failure: LOT_SIZE"),
    ("a price far above the last", an_order("SELL", "0.1", "600000.01"), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    ("a price far below the last", an_order("BUY", "1", "5999.99"), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    ("no quantity", an_order("BUY", "0", "50000"), -1013, "Invalid quantity."),
    ("too much for a MARKET order", an_order("SELL", "1000.00001", None), -1013, "Filter failure: MARKET_LOT_SIZE"),
    ("a limit order worth too little", an_order("BUY", "0.00009", "50000"), -1013, "Filter failure: NOTIONAL"),
    ("a limit order worth too much", an_order("BUY", "300", "50000"), -1013, "Filter failure: NOTIONAL"),
    ("a MARKET order worth too little", an_order("BUY", "0.00008", None), -1013, "Filter failure: NOTIONAL"),
    ("a budget too small", an_order("BUY", None, None, quote="4.99"), -1013, "Filter failure: NOTIONAL"),
    ("a budget, and nobody sells", an_order("SELL", None, None, quote="10"), -2010, "Order book liquidity is less than symbol minimum quantity."),
))
def test_refused(reason, order, code, message):
    engine, account = an_engine(), an_account(USDT="100000")
    asks(engine, ("1", "50000"))
    before = {asset: (balance.free, balance.locked) for asset, balance in account.balances.items()}
    with pytest.raises(VenueError) as refused:
        engine.place(account, order)
    assert (refused.value.code, refused.value.message) == (code, message)
    assert {asset: (balance.free, balance.locked) for asset, balance in account.balances.items()} == before
    assert not account.orders["BTCUSDT"]


def test_a_quote_quantity_buys_whole_steps_and_never_costs_more():
    engine, account = an_engine(), an_account(USDT="100000")
    asks(engine, ("1", "50000"), ("1", "60000"))
    bought = engine.place(account, an_order("BUY", None, None, quote="65000.50"))
    assert (str(bought.executed), bought.status) == ("1.25000", Status.FILLED)
    assert bought.cumulative_quote == D("65000") <= D("65000.50")
    assert account.balances["USDT"].free == D("35000")


def test_a_client_order_id_is_refused_while_its_order_is_open_and_free_afterwards():
    engine, account = an_engine(), an_account()
    first = engine.place(account, an_order("BUY", "1", "50000", client_order_id="mine"))
    with pytest.raises(VenueError, match="Duplicate order sent"):
        engine.place(account, an_order("BUY", "1", "40000", client_order_id="mine"))
    engine.cancel(account, BTC_USDT, client_order_id="mine")
    second = engine.place(account, an_order("BUY", "1", "40000", client_order_id="mine"))
    assert account.find(BTC_USDT, None, "mine") is second
    assert account.find(BTC_USDT, first.order_id, None) is first
    assert engine.place(an_account(2), an_order("BUY", "1", "40000", client_order_id="mine")).order_id == second.order_id + 1, "another account's is its own"


def test_cancel_unlocks_the_rest_and_keeps_the_fills():
    engine, account = an_engine(), an_account(USDT="100000")
    order = engine.place(account, an_order("BUY", "2", "50000"))
    engine.place(an_account(2), an_order("SELL", "0.5", "50000"))
    assert (account.balances["USDT"].free, account.balances["USDT"].locked) == (D(0), D(75000))
    cancelled, name = engine.cancel(account, BTC_USDT, order_id=order.order_id, name="away")
    assert (cancelled.status, str(cancelled.executed), name) == (Status.CANCELED, "0.5", "away")
    assert (account.balances["USDT"].free, account.balances["USDT"].locked) == (D(75000), D(0))
    with pytest.raises(VenueError, match="Unknown order sent"):
        engine.cancel(account, BTC_USDT, order_id=order.order_id)


@pytest.mark.parametrize(("reason", "limits", "orders", "name"), cases(
    ("of all kinds", {"max_orders": 2}, [{"type": "STOP_LOSS", "price": None, "stop": "61000"}, {}, {}], "MAX_NUM_ORDERS"),
    ("of those that wait", {"max_algo_orders": 1}, [{"type": "STOP_LOSS", "price": None, "stop": "61000"}] * 2, "MAX_NUM_ALGO_ORDERS"),
))
def test_so_many_orders_are_open_and_no_more(reason, limits, orders, name):
    market = replace(BTC_USDT, **limits)
    engine, account = an_engine(market), an_account()
    *accepted, _ = [an_order(symbol=market, **terms) for terms in orders]
    placed = [engine.place(account, order) for order in accepted]
    last = an_order(symbol=market, **orders[-1])
    with pytest.raises(VenueError, match=name):
        engine.place(account, last)
    engine.cancel(account, market, order_id=placed[0].order_id)
    engine.place(account, last)


@pytest.mark.parametrize(("reason", "named"), cases(
    ("an order id that nobody has", {"order_id": 7}),
    ("a client id that nobody has", {"client_order_id": "other"}),
    ("an order id with another's client id", {"order_id": 1, "client_order_id": "other"}),
))
def test_no_such_cancel(reason, named):
    engine, account = an_engine(), an_account()
    engine.place(account, an_order(client_order_id="mine"))
    with pytest.raises(VenueError, match="Unknown order sent"):
        engine.cancel(account, BTC_USDT, **named)


def test_cancel_can_be_restricted_to_a_state():
    engine, account = an_engine(), an_account()
    order = engine.place(account, an_order("BUY", "2", "50000"))
    with pytest.raises(VenueError, match="cancel restrictions"):
        engine.cancel(account, BTC_USDT, order_id=order.order_id, only=Status.PARTIALLY_FILLED)
    assert engine.cancel(account, BTC_USDT, order_id=order.order_id, only=Status.NEW)[0].status is Status.CANCELED


def test_an_amended_order_keeps_its_place_and_gives_back_what_it_locked():
    engine, account, others = an_engine(), an_account(USDT="100000"), an_account(2)
    order, behind = engine.place(account, an_order("BUY", "2", "50000", client_order_id="mine")), engine.place(others, an_order("BUY", "1", "50000"))
    amended, former, _ = engine.amend(account, BTC_USDT, D("0.5"), client_order_id="mine", name="mine-2")
    assert (amended is order, former, order.client_order_id, account.balances["USDT"].locked) == (True, "mine", "mine-2", D(25000))
    engine.place(others, an_order("SELL", "1", "50000"))
    assert quantities(order, behind) == ["0.5", "0.5"]
    assert account.find(BTC_USDT, None, "mine") is None
    assert account.find(BTC_USDT, None, "mine-2") is order


@pytest.mark.parametrize(("reason", "quantity", "code", "message"), cases(
    ("an increase", "3", -2038, "Order amend (quantity increase) is not supported."),
    ("no change", "2", -2038, "The requested action would change no state; rejecting"),
    ("less than was filled", "1", -2038, "The requested action would change no state; rejecting"),
    ("between steps", "1.500001", -1013, "Filter failure: LOT_SIZE"),
))
def test_amend_refuses(reason, quantity, code, message):
    engine, account = an_engine(), an_account()
    order = engine.place(account, an_order("BUY", "2", "50000"))
    engine.place(an_account(2), an_order("SELL", "1", "50000"))
    with pytest.raises(VenueError) as refused:
        engine.amend(account, BTC_USDT, D(quantity), order_id=order.order_id)
    assert (refused.value.code, refused.value.message, str(order.quantity)) == (code, message, "2")


def test_a_fill_on_cue_passes_the_queue_and_counts_as_any_other():
    engine, account, house = an_engine(), an_account(), an_account(2)
    engine.place(house, an_order("BUY", "5", "50001"))
    order = engine.place(account, an_order("BUY", "2", "50000"))
    trade = engine.fill(house, order, D("0.5"))
    assert (str(trade.quantity), trade.is_maker, order.status, str(order.executed)) == ("0.5", True, Status.PARTIALLY_FILLED, "0.5")
    engine.fill(house, order)
    assert order.status is Status.FILLED
    with pytest.raises(VenueError):
        engine.fill(house, order)


def test_the_account_hears_reports_in_order_and_its_balances_after_each_command():
    engine, account = an_engine(), an_account()
    heard = Heard(account)
    engine.place(account, an_order("BUY", "2", "50000", client_order_id="mine"))
    engine.place(an_account(2), an_order("SELL", "0.5", "50000"))
    engine.cancel(account, BTC_USDT, client_order_id="mine", name="away")
    assert heard.events == [
        ("NEW", "NEW", "mine", "", "0"), ("BALANCES", "USDT"),
        ("TRADE", "PARTIALLY_FILLED", "mine", "", "0.5"), ("BALANCES", "BTC", "USDT"),
        ("CANCELED", "CANCELED", "away", "mine", "0.5"), ("BALANCES", "USDT"),
    ]


def test_a_taker_hears_new_before_its_trades_and_its_expiry_last():
    engine, account = an_engine(), an_account()
    asks(engine, ("1", "50000"))
    heard = Heard(account)
    engine.place(account, an_order("BUY", "3", "50000", time_in_force="IOC", client_order_id="mine"))
    assert [event[:2] for event in heard.events] == [("NEW", "NEW"), ("TRADE", "PARTIALLY_FILLED"), ("EXPIRED", "EXPIRED"), ("BALANCES", "BTC")]


def test_the_engines_refusals_are_heard_and_the_filters_are_not():
    engine, account = an_engine(), an_account(USDT="1")
    heard = Heard(account)
    for order in (an_order("BUY", "1", "50000", client_order_id="poor"), an_order("BUY", "1", "50000.001", client_order_id="odd")):
        with pytest.raises(VenueError):
            engine.place(account, order)
    assert heard.events == [("REJECTED", "INSUFFICIENT_BALANCES", "poor")]


def test_order_ids_ascend_over_all_markets_and_trade_ids_in_each():
    eth = symbol("ETH/USDT")
    engine, account = an_engine(BTC_USDT, eth), an_account(ETH="100")
    orders = [engine.place(account, an_order(side, "1", price, symbol=market)) for market, price in ((BTC_USDT, "60000"), (eth, "3000")) for side in ("BUY", "SELL")]
    assert [order.order_id for order in orders] == [1, 2, 3, 4]
    assert [account.executions[market.name][0].trade_id for market in (BTC_USDT, eth)] == [1, 1]


BNB_USDT, BNB_BTC = symbol("BNB/USDT"), symbol("BNB/BTC")


@pytest.mark.parametrize(("reason", "side", "bnb", "fees"), cases(
    ("of what is bought, at the price of BNB in it", "BUY", "10", [("BNB", "0.15000000")]),
    ("of what is sold for", "SELL", "10", [("BNB", "0.15000000")]),
    ("there is not enough for all of it", "BUY", "0.14", [("BTC", "0.00200000")]),
))
def test_commissions_are_taken_in_the_accounts_own_fee_asset_with_a_discount(reason, side, bnb, fees):
    engine, account = an_engine(BTC_USDT, BNB_USDT, BNB_BTC), an_account(BNB=bnb)
    account.fee_asset = "BNB"
    engine.place(an_account(2), an_order("SELL" if side == "BUY" else "BUY", "1", "60000"))
    order = engine.place(account, an_order(side, "1", "60000"))
    assert [(fill.commission_asset, str(fill.commission)) for fill in order.executions] == fees
    assert account.balances[order.receives].free == {"BUY": D(101) - (D(fees[0][1]) if fees[0][0] == "BTC" else 0), "SELL": D(10_060_000)}[side]


def test_without_a_price_for_the_fee_asset_it_is_what_was_received():
    engine, account = an_engine(), an_account(BNB="10")
    account.fee_asset = "BNB"
    engine.place(an_account(2), an_order("SELL", "1", "60000"))
    assert engine.place(account, an_order("BUY", "1", "60000")).executions[0].commission_asset == "BTC"


# ── Trades of an account with itself: faqs/stp_faq.md ───────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("reason", "mode", "taker", "makers"), cases(
    ("nothing is prevented", "NONE", ("FILLED", "3"), ["FILLED", "FILLED", "NEW"]),
    ("the taker goes", "EXPIRE_TAKER", ("EXPIRED_IN_MATCH", "0"), ["NEW", "NEW", "NEW"]),
    ("those it would meet go, and it rests", "EXPIRE_MAKER", ("NEW", "0"), ["EXPIRED_IN_MATCH"] * 3),
    ("both go, and the others stay", "EXPIRE_BOTH", ("EXPIRED_IN_MATCH", "0"), ["EXPIRED_IN_MATCH", "NEW", "NEW"]),
))
def test_prevention_of_trades_of_an_account_with_itself(reason, mode, taker, makers):
    engine, account = an_engine(maker_fee="0", taker_fee="0"), an_account()
    resting = [engine.place(account, an_order("BUY", quantity, price)) for quantity, price in (("1", "60002"), ("2", "60001"), ("8", "60000"))]
    placed = engine.place(account, an_order("SELL", "3", "60000", self_trade_prevention=SelfTradePrevention(mode)))
    assert ((placed.status.value, str(placed.executed)), [order.status.value for order in resting]) == (taker, makers)
    reserved = {side: sum(order.reserve(order.remaining) for order in account.open.values() if order.side is side) for side in Side}
    assert (account.balances["USDT"].locked, account.balances["BTC"].locked) == (reserved[Side.BUY], reserved[Side.SELL])
    assert [match.maker_order_id for match in placed.prevented_matches] == {"NONE": [], "EXPIRE_MAKER": [1, 2, 3]}.get(mode, [1])


def test_prevention_is_the_takers_word_and_between_an_account_and_itself_only():
    engine, account = an_engine(), an_account()
    both = SelfTradePrevention.EXPIRE_BOTH
    own = engine.place(account, an_order("BUY", "1", "60000", self_trade_prevention=both))
    others = engine.place(an_account(2), an_order("SELL", "0.4", "60000", self_trade_prevention=both))
    assert (others.status, str(own.executed)) == (Status.FILLED, "0.4")
    assert engine.place(account, an_order("SELL", "0.6", "60000", self_trade_prevention=SelfTradePrevention.NONE)).status is Status.FILLED


def test_a_market_order_never_spends_more_than_it_could_when_its_cheap_counterparts_were_its_own():
    engine, account = an_engine(taker_fee="0"), an_account(USDT="60000")
    engine.place(account, an_order("SELL", "1", "50000"))
    asks(engine, ("1", "70000"))
    bought = engine.place(account, an_order("BUY", "1", None, self_trade_prevention=SelfTradePrevention.EXPIRE_MAKER))
    assert (bought.status, bought.expiry_reason, str(bought.executed)) == (Status.EXPIRED, "INSUFFICIENT_LIQUIDITY", "0")
    assert account.balances["USDT"].free == D(60000)


def test_a_market_may_prevent_it_unless_an_order_says_otherwise():
    market = replace(BTC_USDT, self_trade_prevention=SelfTradePrevention.EXPIRE_TAKER)
    engine, account = an_engine(market), an_account()
    engine.place(account, an_order("BUY", "1", "60000", symbol=market))
    assert engine.place(account, an_order("SELL", "1", "60000", symbol=market)).status is Status.EXPIRED_IN_MATCH
    allowed = an_order("SELL", "1", "60000", symbol=market, self_trade_prevention=SelfTradePrevention.NONE)
    assert engine.place(account, allowed).status is Status.FILLED


def test_an_account_may_trade_with_itself():
    engine, account = an_engine(maker_fee="0", taker_fee="0"), an_account()
    before = {asset: balance.free for asset, balance in account.balances.items()}
    engine.place(account, an_order("BUY", "1", "50000"))
    engine.place(account, an_order("SELL", "1", "50000"))
    assert {asset: balance.free for asset, balance in account.balances.items()} == before
    assert len(account.executions["BTCUSDT"]) == 2


def test_the_book_forgets_a_level_with_its_last_order():
    engine, account = an_engine(), an_account()
    engine.place(account, an_order("BUY", "1", "50000"))
    engine.place(account, an_order("BUY", "2", "50000"))
    level = engine.markets["BTCUSDT"].book.best(Side.BUY)
    assert level is not None
    assert (level.quantity, len(level.orders)) == (D(3), 2)
    engine.cancel_all(account, BTC_USDT)
    assert engine.markets["BTCUSDT"].book.best(Side.BUY) is None
    with pytest.raises(VenueError, match="Unknown order sent"):
        engine.cancel_all(account, BTC_USDT)
