"""A dialect in terms of ccxt's unified methods: they build the request and read the answer; our wire writes it, and the row says what it proves.

A request leaves only if it says what we said: our id, the price and the quantity are looked for in it, to the digit, each time (`carried.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from exchange_kernel.core.answers import ExchangeOrder, OrderStatus, Position, Trade
from exchange_kernel.core.money import plain, quantise_price, quantise_quantity, quantise_trigger, subtract
from exchange_kernel.core.venue import MarketRules, OrderRequest
from exchange_kernel.exchanges.ccxt import holdings, said
from exchange_kernel.exchanges.ccxt.budget import Limit
from exchange_kernel.exchanges.ccxt.carried import carries, inside, within
from exchange_kernel.exchanges.ccxt.dialect import Call, Dialect, Holdings, Market, Markets, Pages
from exchange_kernel.exchanges.ccxt.parsing import MAX_TEXT, GoesOn, UnknownMarket, Unreadable, entries, record
from exchange_kernel.exchanges.ccxt.printable import printable
from exchange_kernel.exchanges.ccxt.row import Asked, Row
from exchange_kernel.exchanges.ccxt.terms import position_params, trigger_of, trigger_params, type_of
from exchange_kernel.exchanges.ccxt.unified import NotBuilt, built, read
from exchange_kernel.exchanges.ccxt.wire import STAMP, Answer
from exchange_kernel.exchanges.port import OrderRef

STATUSES = {
    "open": OrderStatus.OPEN, "canceling": OrderStatus.OPEN, "closed": OrderStatus.FILLED, "canceled": OrderStatus.CANCELED, "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
TIMES_IN_FORCE = ("IOC", "FOK")


def spoken(row: Row, ccxt: Any) -> Dialect:
    """The row as a dialect of this instance of ccxt."""
    for name in row.skips:
        setattr(ccxt, name, _asks_nothing)
    ccxt.increasing_nonce, ccxt.without_headers = row.increasing_nonce, row.without_headers
    return _Spoken(row, ccxt).dialect()


async def _asks_nothing(*_: Any, **__: Any) -> bool:
    return True


class _Spoken:
    def __init__(self, row: Row, ccxt: Any) -> None:
        self.row, self.ccxt = row, ccxt
        self.hedge_mode = False

    def dialect(self) -> Dialect:
        row, ccxt = self.row, self.ccxt
        return Dialect(
            exchange_id=row.exchange_id, market_type=row.market_type, capabilities=row.capabilities, options=row.options,
            limit=Limit(60_000 / max(float(ccxt.rateLimit), 1.0), 60),      # ccxt's figure: so many units of cost in a minute
            submit=self.submit, cancel=self.cancel, lookup=self.lookup, open_orders=self.open_orders, find_pages=self.find_pages,
            order_pages=self.order_pages, trade_pages=self.trade_pages, clock=self.clock(), account=self.account, markets=None,
            read_error=row.read_error, read_submitted=self.read_submitted, read_cancelled=self.read_cancelled, read_order=self.read_order,
            read_trade=self.read_trade, read_clock=said.read_clock, read_account=self.read_account,
            read_hedge_mode=self.read_hedge_mode if row.hedge_mode_in else None, read_id=row.id_read,
            read_markets=self.read_markets, read_market=self.read_market, last_price=self.last_price, read_last_price=self.read_last_price,
            read_limit=lambda _: None, read_used_weight=lambda _: None, words=row.words, stream=None, errors_in_200=row.errors_in_200,
            one_at_a_time=row.increasing_nonce, longest_ban=row.longest_ban,
            holdings=Holdings(
                balances=self.balance_pages, read_balance=holdings.read_balance,
                positions=None if row.market_type == "spot" else self.position_pages, read_position=self.read_position,
            ),
        )

    # ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def call(self, method: str, arguments: tuple[Any, ...], carried: Callable[[Any], None] = lambda _: None, *, expires: bool = False) -> Call:
        """One unified call as one request. It is built again at the stamp, for ccxt puts times, and on some venues signatures, into its parameters."""
        def params() -> Any:
            request = self._meant(built(self.ccxt, method, *arguments).params)
            carried(request)
            return request if not expires or self.row.deadline is None else {**request, **self.row.deadline(STAMP.get())}

        request = built(self.ccxt, method, *arguments)
        meant = self._meant(request.params)
        carried(meant)
        return Call(
            request.method, request.path, meant, max(request.cost, 0.01), request.api, stamped=params, headers=self._headers() if expires else None,
            extract=lambda answer: self.extracted(answer, method, arguments),
        )

    def _meant(self, params: Any) -> Any:
        """Without what ccxt says for itself, and without the names it gives to nothing: an id that is not asked by."""
        if not isinstance(params, dict):
            return params
        return {name: value for name, value in params.items() if value is not None and name not in self.row.without}

    def _headers(self) -> Callable[[int], Mapping[str, str]] | None:
        name, window = self.row.time_header, self.row.window_ms
        return None if name is None else lambda stamp: {name: str(stamp + window)}

    def clock(self) -> Call:
        call, read_clock = self.call(*self.row.clock), self.row.clock_read
        return call if read_clock is None else _replaced(call, read_clock)

    def extracted(self, answer: Answer, method: str, arguments: tuple[Any, ...]) -> Any:
        """What ccxt reads in the answer, if it is one: an empty list of its making needs one of the venue's."""
        if not self.row.succeeded(answer.document):
            raise Unreadable("the answer is not what a success looks like here")
        try:
            found = read(self.ccxt, answer.document, method, *arguments)
        except Exception as problem:           # ccxt meets what it did not expect with whatever the interpreter makes of it
            raise Unreadable(f"ccxt can't read it ({type(problem).__name__})") from None
        if found == [] and answer.document != [] and not any(value in ([], {}) for inner in within(answer.document) for value in inside(inner)):
            raise Unreadable("an empty list that nobody said")
        return found

    def submit(self, request: OrderRequest, market: Market) -> Call:
        if request.quantity is None:
            raise NotBuilt("this exchange's adapter has no orders by quote quantity")
        quantity = plain(quantise_quantity(request.quantity, market.rules.quantity_step))
        price = None if request.price is None else plain(quantise_price(request.price, market.rules.price_step, request.side))
        trigger = None if request.trigger_price is None else plain(quantise_trigger(request.trigger_price, market.rules.price_step))
        written = self.row.id_written(request.client_order_id)
        sent = self.row.id_sent or self.row.id_written
        params: dict[str, Any] = {**self.row.create_params, self.row.send_as: sent(request.client_order_id)}
        style = "market" if request.type.endswith("Market") else "limit"
        if style == "market":
            params |= self.row.market_params or {}
        elif request.time_in_force in TIMES_IN_FORCE:
            params["timeInForce"] = request.time_in_force
        if trigger is not None:
            params |= trigger_params(self.row, request, trigger)
        if request.post_only:
            params["postOnly"] = True
        params |= position_params(self.row, request, hedge_mode=self.hedge_mode)
        arguments = (request.symbol, style, request.side.lower(), quantity, price, params)
        call = self.call("create_order", arguments, lambda sent: carries(sent, written, quantity, price, trigger), expires=True)

        def extract(answer: Answer) -> Any:
            return {**record(self.extracted(answer, "create_order", arguments)), "sent": request, "wrote": (quantity, price, trigger)}

        return _replaced(call, extract)

    def cancel(self, ref: OrderRef, market: Market) -> Call:
        asked = self._by_either(ref, "cancel_order", self.row.cancel_by)
        if asked is None:
            raise NotBuilt("the exchange cancels by its own order id only, which is not known yet")
        return self._asking(asked, ref)

    def lookup(self, ref: OrderRef, market: Market) -> Call | None:
        if ref.exchange_order_id is not None and not self.row.lookup_by_theirs:
            return None
        asked = self._by_either(ref, "fetch_order", self.row.lookup_by)
        return None if asked is None else self._asking(asked, ref)

    def _by_either(self, ref: OrderRef, method: str, by_ours: Callable[[str, str], Asked] | None) -> Asked | None:
        """By the venue's id where it is known, which is never used again; else by ours, where the venue can."""
        if ref.exchange_order_id is not None:
            return method, (ref.exchange_order_id, ref.symbol)
        return None if by_ours is None else by_ours(self.row.id_written(ref.client_order_id), ref.symbol)

    def _asking(self, asked: Asked, ref: OrderRef) -> Call:
        wanted = ref.exchange_order_id or self.row.id_written(ref.client_order_id)

        def carried(sent: Any) -> None:
            if wanted not in map(str, inside(sent)):
                raise NotBuilt("ccxt would leave out which order is meant")

        call = self.call(*asked, carried)

        def extract(answer: Answer) -> Any:
            return {**record(self.extracted(answer, *asked)), "asked": ref}

        return _replaced(call, extract)

    def open_orders(self, market: Market | None) -> Pages:
        if market is not None or self.row.open_symbols is None:
            symbol = None if market is None else market.rules.symbol
            yield self.call("fetch_open_orders", (symbol, None, None, dict(self.row.open_params)) if self.row.open_params else (symbol,))
            return
        symbols: list[str] = []

        def extract(answer: Answer) -> list[Any]:
            symbols.extend(self.ccxt.safe_symbol(name) for name in entries(said.step_down(answer.document, where)))
            return []

        method, where = self.row.open_symbols
        yield _replaced(self.call(method, ({},)), extract)
        for symbol in symbols:
            page = yield self.call("fetch_open_orders", (symbol,))
            if len(page) >= self.row.open_page:
                raise GoesOn

    def find_pages(self, ref: OrderRef, market: Market, now: int) -> Pages:
        """Open, then ended: an order moves in this direction only."""
        narrowed = {} if self.row.listed_by is None else {self.row.listed_by: self.row.id_written(ref.client_order_id)}
        yield from self._lists(market, now - (self.row.history_ms or self.row.retention_ms), narrowed)

    def order_pages(self, market: Market, since: int, now: int) -> Pages:
        yield from self._lists(market, since, {})

    def _lists(self, market: Market, since: int, params: Mapping[str, Any]) -> Pages:
        page = yield self.call("fetch_open_orders", (market.rules.symbol, None, None, dict(params)))
        whole = len(page) < self.row.open_page
        for method in self.row.ended:
            page = yield self.call(method, (market.rules.symbol, since, None, dict(params)))
            whole = whole and len(page) < self.row.ended_page
        if not whole:
            raise GoesOn

    def trade_pages(self, market: Market, since: int | None, exchange_order_id: str | None, now: int) -> Pages:
        if exchange_order_id is not None and self.row.trades_by is None and self.ccxt.has.get("fetchOrderTrades") is True:
            page = yield self.call("fetch_order_trades", (exchange_order_id, market.rules.symbol))
        elif exchange_order_id is not None:
            narrowed = {} if self.row.trades_by is None else {self.row.trades_by: exchange_order_id}
            arguments = (market.rules.symbol, None, None, narrowed)
            page = yield self._only(exchange_order_id, self.call("fetch_my_trades", arguments))
        else:
            page = yield self.call("fetch_my_trades", (market.rules.symbol, since))
        if len(page) >= self.row.ended_page:
            raise GoesOn

    def _only(self, exchange_order_id: str, call: Call) -> Call:
        """Of the trades of all orders, those of one. A full page, of whomever, may go on."""
        def extract(answer: Answer) -> Any:
            assert call.extract is not None
            trades = entries(call.extract(answer))
            if len(trades) >= self.row.ended_page:
                raise GoesOn
            return [trade for trade in trades if str(record(trade).get("order")) == exchange_order_id]

        return _replaced(call, extract)

    def balance_pages(self) -> Pages:
        call = self.call("fetch_balance", ())

        def extract(answer: Answer) -> list[Any]:
            assert call.extract is not None
            return holdings.assets(call.extract(answer))

        yield _replaced(call, extract)

    def position_pages(self, market: Market | None) -> Pages:
        yield self.call("fetch_positions", (None if market is None else [market.rules.symbol],))

    def account(self) -> Call:
        if self.row.numbered_account is not None:
            call = self.call("fetch_accounts", ())
            return _replaced(call, lambda answer: self._numbered(self.extracted(answer, "fetch_accounts", ())))
        if self.row.account_method is None:
            return self.call("fetch_balance", ())
        call = self.call(self.row.account_method, (dict(self.row.account_params),))
        return _replaced(call, lambda answer: answer.document)

    def _numbered(self, accounts: Any) -> Any:
        """ccxt writes the account's number into each order: it is told here, once, what it would ask for each time."""
        of_it = [one for one in map(record, entries(accounts)) if one.get("type") == self.row.numbered_account]
        if len(of_it) != 1:
            raise Unreadable(f"there is not one {self.row.numbered_account} account")
        self.ccxt.accounts = of_it
        return said.text(of_it[0], "id")

    # ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def read_submitted(self, document: Any, market: Market) -> tuple[ExchangeOrder, tuple[Trade, ...]]:
        """An answer that has only the order's id tells that the order exists, and nothing of how far it came."""
        source = self._named(document)
        request: OrderRequest = source["sent"]
        quantity, price, trigger = source["wrote"]
        told = {name: value for name, value in source.items() if value is not None}
        known = {
            "clientOrderId": self.row.id_written(request.client_order_id), "symbol": market.rules.symbol, "side": request.side.lower(),
            "type": "market" if price is None else "limit", "status": "open", "amount": quantity, "price": price, **told,
        }
        if trigger is not None:
            return replace(self._order({**known, "filled": known.get("filled") or "0"}, market.rules.symbol, type_=request.type),
                           trigger_price=said.amount({"trigger": trigger}, "trigger")), ()
        if known["status"] == "open" and "filled" not in told and "remaining" not in told:
            known["filled"] = "0"
        return self._order(known, market.rules.symbol), ()

    def read_cancelled(self, document: Any, market: Market) -> ExchangeOrder:
        source = self._named(document)
        if source.get("status") not in {*STATUSES, *self.row.statuses} or (source.get("filled") is None and source.get("remaining") is None):
            raise Unreadable("the cancel was taken; what became of the order shows when it is looked up")
        return self._order(self._asked_for(source), market.rules.symbol)

    def read_order(self, document: Any, markets: Markets) -> ExchangeOrder:
        if "unread" in record(document):
            raise Unreadable(f"ccxt can't read it ({printable(str(document['unread']))})")
        source = self._named(document)
        if "asked" in source:
            source = self._asked_for(source)
        if source.get("symbol") not in markets:
            raise UnknownMarket(source.get("symbol"))
        return self._order(source, source["symbol"])

    def _named(self, document: Any) -> Mapping[str, Any]:
        """The order as ccxt read it, with our id where ccxt does not look for it."""
        source = record(document)
        if self.row.id_in is None:
            return source
        return {**source, "clientOrderId": record(source.get("info")).get(self.row.id_in)}

    def _asked_for(self, source: Mapping[str, Any]) -> Mapping[str, Any]:
        """With what the question named and the answer does not repeat. Asked by the venue's id, the order is certain; asked by ours, it must say so."""
        ref: OrderRef = source["asked"]
        told = {name: value for name, value in source.items() if value is not None}
        if ref.exchange_order_id is None:
            return {"symbol": ref.symbol, **told}
        return {"symbol": ref.symbol, "id": ref.exchange_order_id, "clientOrderId": self.row.id_written(ref.client_order_id), **told}

    def _order(self, source: Mapping[str, Any], symbol: str, *, type_: str | None = None) -> ExchangeOrder:
        if source.get("symbol") != symbol:
            raise Unreadable("the answer is about another market")
        quantity, filled, remaining = (said.amount(source, name) for name in ("amount", "filled", "remaining"))
        if filled is None and quantity is not None and remaining is not None:
            filled = subtract(quantity, remaining)
        word = source.get("status") or ""
        status = STATUSES.get(self.row.statuses.get(word, word))
        if status is None or filled is None:
            raise Unreadable("how far the order came can't be read")
        if status is OrderStatus.FILLED and (quantity is None or filled < quantity):
            status = OrderStatus.CANCELED      # ccxt's `closed` is the end of an order, whatever was filled
        if status is OrderStatus.CANCELED and source.get("timeInForce") in TIMES_IN_FORCE:
            status = OrderStatus.EXPIRED
        trigger = trigger_of(self.row, source)
        return ExchangeOrder(
            client_order_id=self.row.id_read(printable(str(source.get("clientOrderId") or ""), MAX_TEXT)),
            exchange_order_id=said.text(source, "id"), symbol=symbol, side=said.side(source), type=type_ or type_of(self.row, source, trigger), status=status,
            quantity=quantity, trigger_price=trigger,
            filled_quantity=filled, filled_quote_quantity=said.amount(source, "cost") if self.row.market_type == "spot" else None,
            price=said.amount(source, "price") or None, update_time_ms=said.time_ms(source, "lastUpdateTimestamp"),
            created_time_ms=said.time_ms(source, "timestamp"),
        )

    def read_trade(self, document: Any, markets: Markets) -> Trade:
        source = record(document)
        if source.get("symbol") not in markets:
            raise UnknownMarket(source.get("symbol"))
        quantity, price, time_ms = said.amount(source, "amount"), said.amount(source, "price"), said.time_ms(source, "timestamp")
        if not quantity or not price or time_ms is None:
            raise Unreadable("a trade without its quantity, price or time")
        return Trade(
            trade_id=said.text(source, "id"), symbol=source["symbol"], exchange_order_id=said.text(source, "order"), quantity=quantity, price=price,
            time_ms=time_ms, fee=said.fee(source.get("fee") or said.only(source.get("fees"))),
        )

    def read_position(self, document: Any, markets: Markets) -> Position:
        source = record(document)
        if self.row.position_sides is not None:
            name, sides = self.row.position_sides
            if (side := sides.get(str(record(source.get("info")).get(name)))) is not None:
                source = {**source, "side": side, "hedged": True}
        return holdings.read_position(source, markets)

    def read_account(self, document: Any) -> str:
        """The venue's number for the account, or else the key under a hash: another key is then another account.

        Only what a signature proved counts. A wallet's address is public and its balance is shown to anybody, so its private key is hashed with it.
        """
        if self.row.account_method is None and self.row.numbered_account is None:
            by_key = self.ccxt.requiredCredentials.get("apiKey")
            named = self.ccxt.apiKey if by_key else f"{self.ccxt.walletAddress}|{self.ccxt.privateKey}"
            return f"key-{hashlib.sha256(str(named).encode()).hexdigest()[:16]}"
        document = said.step_down(document, self.row.account_number)
        if not isinstance(document, str | int) or not str(document):
            raise Unreadable("the account's number can't be read")
        return str(document)

    def read_hedge_mode(self, document: Any) -> bool:
        on = said.step_down(document, self.row.hedge_mode_in)
        if not isinstance(on, bool):
            raise Unreadable("the account's position mode can't be read")
        self.hedge_mode = on
        return on

    def last_price(self, market: Market) -> Call:
        return self.call("fetch_ticker", (market.rules.symbol,))

    def read_last_price(self, document: Any) -> Decimal:
        if not (price := said.amount(record(document), "last")):
            raise Unreadable("the last price can't be read")
        return price

    def read_markets(self, document: Any) -> list[Any]:
        row = self.row
        return [one for one in map(record, entries(document)) if one.get("type") == row.market_type and row.settle in (None, one.get("settle"))]

    def read_market(self, document: Any, asset: Callable[[str], str]) -> Market:
        """ccxt's market structure. Its steps are numbers of the venue only where ccxt counts in steps (precisionMode TICK_SIZE)."""
        source = record(document)
        steps, limits = source.get("precision") or {}, source.get("limits") or {}
        amount, price, cost = (limits.get(name) or {} for name in ("amount", "price", "cost"))
        if self.ccxt.precisionMode != 4:
            steps = {}
        symbol = said.text(source, "symbol")
        return Market(id=symbol, rules=MarketRules(
            symbol=symbol, base=said.text(source, "base"), quote=said.text(source, "quote"), active=source.get("active") is not False,
            venue_id=printable(str(source.get("id") or ""), MAX_TEXT),
            quantity_step=said.amount(steps, "amount"), price_step=said.amount(steps, "price"),
            min_quantity=said.amount(amount, "min"), max_quantity=said.amount(amount, "max"), min_price=said.amount(price, "min") or None,
            max_price=said.amount(price, "max") or None, min_notional=said.amount(cost, "min") or None,
            contract_size=said.amount(source, "contractSize") if source.get("contract") else None,
        ))


def _replaced(call: Call, extract: Callable[[Answer], Any]) -> Call:
    return Call(call.method, call.path, call.params, call.weight, call.api, call.signed, call.stamped, call.headers, extract)
