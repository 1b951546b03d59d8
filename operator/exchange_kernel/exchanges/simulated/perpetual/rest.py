"""The perpetual venue's endpoints as a table, and what they do [FuturesApi]. `http.py` carries them.

Each first reads what was said and then does one thing, without waiting for anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from exchange_kernel.exchanges.simulated.orders import Side
from exchange_kernel.exchanges.simulated.perpetual import render
from exchange_kernel.exchanges.simulated.perpetual.accounts import PerpetualAccount
from exchange_kernel.exchanges.simulated.perpetual.contracts import SETTLE, Contract
from exchange_kernel.exchanges.simulated.perpetual.engine import execution_key, order_key
from exchange_kernel.exchanges.simulated.perpetual.errors import invalid, missing, no_such_order, nothing_to_close, wrong_mode
from exchange_kernel.exchanges.simulated.perpetual.orders import FinishAs, NewOrder, Order, Slot, Tif
from exchange_kernel.exchanges.simulated.perpetual.parameters import Said
from exchange_kernel.exchanges.simulated.perpetual.venue import PerpetualVenue

T = TypeVar("T")

PAGE, LONGEST_PAGE = 100, 1000

#: An order cancelled without a fill: how long it is found by its id and in lists [List futures orders], and by its text [Get a single order].
UNFILLED_KEPT_MS, UNFILLED_NAMED_MS = 600_000, 60_000

CLOSES = {"close_long": Slot.LONG, "close_short": Slot.SHORT}


@dataclass(frozen=True)
class Endpoint:
    method: str
    template: str
    answer: Callable[[PerpetualVenue, Said], Any] | None = None                     # public
    signed: Callable[[PerpetualVenue, PerpetualAccount, Said], Any] | None = None
    status: int = 200

    @cached_property
    def path(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template), re.ASCII)

    def act(self, venue: PerpetualVenue, account: PerpetualAccount | None, said: Said) -> Any:
        if self.signed is not None:
            assert account is not None
            return self.signed(venue, account, said)
        assert self.answer is not None
        return self.answer(venue, said)


# ── Orders ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def create_order(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    contract = _contract(venue, said)
    size, price, tif, text = said.integer("size"), said.decimal("price"), said.word("tif", Tif, Tif.GTC), said.user_text()
    close, auto_size, reduce_only = said.flag("close"), said.optional("auto_size"), said.flag("reduce_only")
    if close or auto_size is not None:
        if size:
            raise invalid("size with close-order")
        slot = _closed_slot(account, auto_size)
        size, reduce_only, close = -account.position(contract, slot).size, True, True
        if not size:
            raise nothing_to_close()
    elif not size:
        raise invalid("size")
    if not price and tif not in (Tif.IOC, Tif.FOK):
        raise invalid("tif of a market order")
    new = NewOrder(
        contract=contract, side=Side.BUY if size > 0 else Side.SELL, size=abs(size), price=price or None, tif=tif, reduce_only=reduce_only, text=text or "")
    return render.order(venue.engine.place(account, new, is_close=close), venue.engine)


def _closed_slot(account: PerpetualAccount, auto_size: str | None) -> Slot:
    """[Place futures order: `close` in single mode, `auto_size` in dual mode]"""
    if (auto_size is not None) != account.dual_mode:
        raise wrong_mode()
    if auto_size is None:
        return Slot.SINGLE
    if auto_size not in CLOSES:
        raise invalid("auto_size")
    return CLOSES[auto_size]


def cancel_order(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    order = _named(venue, account, said.text("order_id"), [*account.orders.values()])
    return render.order(venue.engine.cancel(account, order.order_id), venue.engine)


def cancel_orders(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    contract = _contract(venue, said)
    side = {"bid": Side.BUY, "ask": Side.SELL}.get(said.optional("side") or "")
    return [render.order(order, venue.engine) for order in venue.engine.cancel_all(account, contract, side)]


def get_order(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    seen = [order for order in account.orders.values() if venue.shows(order_key(order))]
    return render.order(_named(venue, account, said.text("order_id"), seen), venue.engine)


def _named(venue: PerpetualVenue, account: PerpetualAccount, name: str, among: list[Order]) -> Order:
    """By the venue's id, or by the user's text: the latest of those that have it."""
    now = venue.clock.now_ms()
    for order in reversed(among):
        if name == str(order.order_id) and _kept(order, now, UNFILLED_KEPT_MS):
            return order
        if name == order.text and _kept(order, now, UNFILLED_NAMED_MS):
            return order
    raise no_such_order()


def _kept(order: Order, now: int, unfilled_ms: int) -> bool:
    return order.finish_as is not FinishAs.CANCELLED or order.filled > 0 or now - order.update_time <= unfilled_ms


def list_orders(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    status, contract = said.text("status"), said.optional("contract")
    if status not in ("open", "finished"):
        raise invalid("status")
    found = [order for order in _shown(venue, account) if order.open == (status == "open") and contract in (None, order.contract.name)]
    last_id = said.optional("last_id")
    if last_id is not None:
        found = [order for order in found if str(order.order_id) < last_id]
    return [render.order(order, venue.engine) for order in _page(found, said)]


def list_orders_in_range(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    contract, (since, until) = said.optional("contract"), _range(venue, said)
    found = [order for order in _shown(venue, account) if contract in (None, order.contract.name) and since <= order.time <= until]
    return [render.order(order, venue.engine) for order in _page(found, said)]


def _shown(venue: PerpetualVenue, account: PerpetualAccount) -> list[Order]:
    now = venue.clock.now_ms()
    return [order for order in account.orders.values() if venue.shows(order_key(order)) and _kept(order, now, UNFILLED_KEPT_MS)]


# ── Trades, positions, the account ──────────────────────────────────────────────────────────────────────────────────────────────────────────

def my_trades(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    contract, order = said.optional("contract"), said.optional("order")
    found = [
        trade for trade in account.executions
        if contract in (None, trade.contract.name) and order in (None, str(trade.order_id)) and venue.shows(execution_key(trade))
    ]
    return [render.trade(trade) for trade in _page(found, said)]


def my_trades_in_range(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    """It knows no order: whoever asks for one's trades gets those of all."""
    contract, (since, until), role = said.optional("contract"), _range(venue, said), said.optional("role")
    found = [
        trade for trade in account.executions
        if contract in (None, trade.contract.name) and since <= trade.time <= until and role in (None, "maker" if trade.is_maker else "taker")
        and venue.shows(execution_key(trade))
    ]
    return [render.trade_in_range(trade) for trade in _page(found, said)]


def list_positions(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    return [document for market in venue.engine.markets.values() for document in render.positions(account, market, venue.engine)]


def single_position(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    if account.dual_mode:
        raise wrong_mode()
    return dual_positions(venue, account, said)[0]


def dual_positions(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    return render.positions(account, venue.engine.market(said.text("contract")), venue.engine)


def set_leverage(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    """Cross only: leverage 0, and the limit for it. [Update position leverage]"""
    if said.text("leverage") != "0":
        raise invalid("leverage: only cross margin is simulated")
    venue.engine.set_leverage(account, _contract(venue, said), said.integer("cross_leverage_limit"))
    documents = dual_positions(venue, account, said)
    return documents if account.dual_mode else documents[0]


def get_account(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    return render.account(account, venue.engine)


def set_dual_mode(venue: PerpetualVenue, account: PerpetualAccount, said: Said) -> Any:
    if said.optional("dual_mode") is None:
        raise missing("dual_mode")
    account.set_dual_mode(said.flag("dual_mode"))
    return render.account(account, venue.engine)


# ── Public ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def server_time(venue: PerpetualVenue, said: Said) -> Any:
    return {"server_time": venue.clock.now_ms()}


def currencies(venue: PerpetualVenue, said: Said) -> Any:
    """Of another of the venue's APIs: ccxt asks for it with its markets."""
    return [{
        "currency": SETTLE, "name": SETTLE, "delisted": False, "withdraw_disabled": True, "withdraw_delayed": False, "deposit_disabled": True,
        "trade_disabled": False, "chain": "", "chains": [],
    }]


def contracts(venue: PerpetualVenue, said: Said) -> Any:
    return [render.contract(market, venue.engine) for market in venue.engine.markets.values()]


def one_contract(venue: PerpetualVenue, said: Said) -> Any:
    return render.contract(venue.engine.market(said.text("contract")), venue.engine)


def tickers(venue: PerpetualVenue, said: Said) -> Any:
    name = said.optional("contract")
    return [render.ticker(market) for market in (venue.engine.markets.values() if name is None else [venue.engine.market(name)])]


def order_book(venue: PerpetualVenue, said: Said) -> Any:
    return render.order_book(venue.engine.market(said.text("contract")), said.integer("limit", 10), venue.clock.now_ms())


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def _contract(venue: PerpetualVenue, said: Said) -> Contract:
    return venue.engine.market(said.text("contract")).contract


def _range(venue: PerpetualVenue, said: Said) -> tuple[int, int]:
    """In ms; the venue takes seconds, and a second is meant with all of its moments."""
    until = said.integer("to", venue.clock.now_ms() // 1000)
    return said.integer("from", 0) * 1000, until * 1000 + 999


def _page(found: Iterable[T], said: Said) -> list[T]:
    """Newest first."""
    limit, offset = said.integer("limit", PAGE), said.integer("offset", 0)
    if not 1 <= limit <= LONGEST_PAGE or offset < 0:
        raise invalid("limit")
    return list(reversed(list(found)))[offset:offset + limit]


# ── The table ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

ENDPOINTS = (
    Endpoint("GET", "/api/v4/spot/time", answer=server_time),
    Endpoint("GET", "/api/v4/spot/currencies", answer=currencies),
    Endpoint("GET", "/api/v4/futures/usdt/contracts", answer=contracts),
    Endpoint("GET", "/api/v4/futures/usdt/contracts/{contract}", answer=one_contract),
    Endpoint("GET", "/api/v4/futures/usdt/tickers", answer=tickers),
    Endpoint("GET", "/api/v4/futures/usdt/order_book", answer=order_book),
    Endpoint("POST", "/api/v4/futures/usdt/orders", signed=create_order, status=201),
    Endpoint("GET", "/api/v4/futures/usdt/orders", signed=list_orders),
    Endpoint("DELETE", "/api/v4/futures/usdt/orders", signed=cancel_orders),
    Endpoint("GET", "/api/v4/futures/usdt/orders_timerange", signed=list_orders_in_range),
    Endpoint("GET", "/api/v4/futures/usdt/orders/{order_id}", signed=get_order),
    Endpoint("DELETE", "/api/v4/futures/usdt/orders/{order_id}", signed=cancel_order),
    Endpoint("GET", "/api/v4/futures/usdt/my_trades", signed=my_trades),
    Endpoint("GET", "/api/v4/futures/usdt/my_trades_timerange", signed=my_trades_in_range),
    Endpoint("GET", "/api/v4/futures/usdt/positions", signed=list_positions),
    Endpoint("GET", "/api/v4/futures/usdt/positions/{contract}", signed=single_position),
    Endpoint("POST", "/api/v4/futures/usdt/positions/{contract}/leverage", signed=set_leverage),
    Endpoint("GET", "/api/v4/futures/usdt/dual_comp/positions/{contract}", signed=dual_positions),
    Endpoint("POST", "/api/v4/futures/usdt/dual_comp/positions/{contract}/leverage", signed=set_leverage),
    Endpoint("POST", "/api/v4/futures/usdt/dual_mode", signed=set_dual_mode),
    Endpoint("GET", "/api/v4/futures/usdt/accounts", signed=get_account),
)


def endpoint(method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
    """And what the path itself says."""
    for one in ENDPOINTS:
        if one.method == method and (matched := one.path.fullmatch(path)) is not None:
            return one, matched.groupdict()
    return None
