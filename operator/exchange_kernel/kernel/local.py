"""LocalKernel: orders in a file, and the operator's own reconcilers in this process. For notebooks, tests, backtests, and people without a cluster."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from exchange_kernel.api import ExchangeAccountSpec, ReconciliationMetrics, RiskLimitSpec, TradingMode
from exchange_kernel.core.answers import Unreachable
from exchange_kernel.core.group_checks import Known
from exchange_kernel.core.market_rules import request_for, unacceptable, unsent_parameters
from exchange_kernel.core.risk import LimitRecord
from exchange_kernel.exchanges.port import Credentials, Exchange
from exchange_kernel.kernel import holdings
from exchange_kernel.kernel.account import AccountKernel
from exchange_kernel.kernel.errors import ExchangeError, ValidationError
from exchange_kernel.kernel.following import ObjectApi
from exchange_kernel.kernel.local_api import NAMESPACE
from exchange_kernel.kernel.local_desk import LocalDesk, OpenExchange
from exchange_kernel.kernel.models import AccountState
from exchange_kernel.kernel.names import fit_for_object
from exchange_kernel.kernel.orders import ACKNOWLEDGE_TIMEOUT_S
from exchange_kernel.kernel.reconciliation import SingleFlight, metrics
from exchange_kernel.reconcile.account_state import balances, positions
from exchange_kernel.reconcile.exchange_account import market_gone
from exchange_kernel.reconcile.figures import figures, time_of
from exchange_kernel.reconcile.ports import Clock, SystemClock
from exchange_kernel.reconcile.session import AccountSession, Term
from exchange_kernel.schema import StandardOrder
from exchange_kernel.stores.memory import NotKept
from exchange_kernel.stores.sqlite import FileInUse, NotAnOrdersFile

START_WITHIN_S = 10.0  # how long a start waits for the exchange; it goes on connecting after that
CANCEL_RESERVE_PERCENT = 20


class LocalKernel(AccountKernel):
    """The orders of one account, kept in one file that is this kernel's alone while it is started.

    exchange_id: ccxt's id of the exchange; any name, if there is an adapter.
    adapter: how the exchange is spoken to. An Exchange is used for as long as it is good, and closing it is its maker's business; a function that makes
      one is called for each connection. None: ccxt's spot account of that id, live, with `credentials` as ccxt names them.
    path: the file; it is made if it is not there. A copy of it names the same orders at the exchange: never run both.
    acknowledge_timeout: seconds that methods which place, change and cancel wait for the exchange; 0: not at all.
    clock: of the event loop's time, for backtests in virtual time.
    risk_limits: what the account's orders may not exceed, by name: all must be kept. They are judged before every send, as an operator judges RiskLimits.
    trading_mode: ReduceOnly sends only what has position_effect ReduceOnly, CancelOnly nothing; cancels always go. Both hold from start() to stop().

    Nothing is looked after while no kernel has the file: what happened meanwhile at the exchange is found when one starts.
    """

    def __init__(
        self,
        exchange_id: str,
        adapter: Exchange | OpenExchange | None = None,
        path: str | os.PathLike[str] = "orders.db",
        credentials: Mapping[str, str] | None = None,
        acknowledge_timeout: float = ACKNOWLEDGE_TIMEOUT_S,
        clock: Clock | None = None,
        risk_limits: Mapping[str, RiskLimitSpec] | None = None,
        trading_mode: TradingMode = TradingMode.ENABLED,
    ) -> None:
        if not fit_for_object(exchange_id):
            raise ValidationError([f"exchange_id {exchange_id!r} can't name an account: use a-z, 0-9, - and ."])
        self._risk_limits, self._trading_mode = dict(risk_limits or {}), trading_mode
        if problems := [problem for name, limit in self._risk_limits.items() for problem in _problems_of_limit(name, limit, exchange_id)]:
            raise ValidationError(problems)
        self._path, self._clock = os.fspath(path), clock or SystemClock()
        super().__init__(
            exchange_id,
            account=exchange_id,
            namespace=NAMESPACE,
            strategy=None,
            acknowledge_timeout=acknowledge_timeout,
            wall_ms=self._clock.wall_ms,
        )
        self._open_exchange = _opener(exchange_id, adapter, credentials)
        self._desk: LocalDesk | None = None
        self._forcing = SingleFlight()

    async def _connect(self) -> ObjectApi:
        spec = ExchangeAccountSpec.model_validate({
            "exchange": "".join(filter(str.isalnum, self.exchange_id)), "environment": "Live", "credentialsSecretRef": {"name": "in-process"},
            "tradingMode": self._trading_mode,
        })
        try:
            self._desk = LocalDesk(self._path, self.exchange_id, spec, self._open_exchange, self._clock, self._risk_limits)
        except (FileInUse, NotAnOrdersFile, NotKept) as error:
            raise ExchangeError(str(error)) from None
        self._desk.run()
        await self._desk.ready(START_WITHIN_S)
        return self._desk.api

    async def _leave(self) -> None:
        desk, self._desk = self._desk, None
        if desk is not None:
            await desk.close()

    def _more_problems(self) -> list[str]:
        session = self._desk.session if self._desk is not None else None
        if session is None:
            return []
        if session.health.problem is not None:
            return [session.health.problem.message]
        if session.term is None or not session.term.ready:
            return ["The account's orders are being read from the exchange."]
        if session.health.gone_markets:
            return [market_gone(session.health.gone_markets)]
        return [] if session.health.synced else [session.health.lack or "The account's orders are being read from the exchange."]

    # ── What the exchange says ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _connected(self) -> tuple[AccountSession, Term]:
        _ = self._api
        assert self._desk is not None
        session = self._desk.session
        if session is None or session.term is None:
            problem = self._desk.problem
            raise ExchangeError(problem.message if problem is not None else "The exchange is being connected to: try again in a moment.")
        return session, session.term

    async def _market_problems(self, order: StandardOrder) -> list[str]:
        session = self._desk.session if self._desk is not None else None
        if session is None or (term := session.term) is None or order.problems():
            return []
        if (market := term.markets.get(order.symbol_id)) is None:
            return [f"there is no market {order.symbol_id!r} on this account: list_symbols names them"]
        request = request_for(order, "", market, quantity=order.quantity)
        problem = unsent_parameters(order) or unacceptable(request, market, term.exchange.capabilities)
        return [problem] if problem is not None else []

    async def _known(self, symbols: Collection[str], price_of: str | None) -> Known:
        session = self._desk.session if self._desk is not None else None
        if session is None or (term := session.term) is None:
            return await super()._known(symbols, price_of)
        price = await term.exchange.last_price(price_of) if price_of is not None and price_of in term.markets else None
        return Known(
            markets=term.markets, venue=term.exchange.capabilities, limits=session.risk.limits(), wall_ms=self._clock.wall_ms(),
            fee_asset=session.account.spec.fee_asset,
            prices={price_of: price} if price_of is not None and price is not None and not isinstance(price, Unreachable) else {},
        )

    async def _market(self, symbol_id: str) -> holdings.KnownMarket | None:
        _, term = self._connected()
        market = term.markets.get(symbol_id)
        return holdings.KnownMarket(market, term.exchange.capabilities.order_types) if market is not None else None

    async def _markets(self) -> list[holdings.KnownMarket]:
        _, term = self._connected()
        return [holdings.KnownMarket(market, term.exchange.capabilities.order_types) for market in term.markets.values()]

    async def get_account_state(self) -> AccountState:
        """Asked of the exchange now; its balances and positions are two requests, one straight after the other."""
        session, term = self._connected()
        held = await session.holdings.read(term)
        if isinstance(held, Unreachable):
            raise ExchangeError(f"The account can't be read from the exchange: {held.reason}.")
        return holdings.account_state(
            self.exchange_id, self._account, balances(held.balances), positions(held, term.markets.values()),
            time=time_of(held.asked_ms), answer_time=time_of(held.answered_ms), settled=held.settled, truncated=False, now=time_of(session.venue_ms()),
        )

    # ── Reconciling ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def force_reconciliation(self, intent_id: str | None = None) -> None:
        if intent_id is not None:
            await self._find(intent_id)
        await self._forcing.run("", self._reconcile_all)

    async def _reconcile_all(self) -> None:
        """One sweep tells of all orders; whatever it says of one that is not open any more is looked up before it is believed."""
        session, _ = self._connected()
        assert self._desk is not None
        desk = self._desk
        began = self._clock.monotonic()
        await session.sweeper.asked()
        await session.sweeper.sweep()
        await session.sweeper.asked()
        if not session.sweeper.read_since(began):
            raise ExchangeError("The account's orders could not be read from the exchange. They are read again by themselves.")
        desk.wake_all()
        await desk.idle()
        await session.readings.idle()
        await desk.idle()
        # Our own watches come to it a moment later.
        for objects, mirror in ((desk.api.intents, self._mirror), (desk.api.groups, self._groups)):
            for raw in objects.everything().body["items"]:
                mirror.learn(raw)

    async def get_reconciliation_metrics(self) -> dict[str, Any]:
        _ = self._api
        assert self._desk is not None
        session = self._desk.session
        if session is None:
            return metrics(ReconciliationMetrics(), datetime.now(UTC))
        return metrics(figures(session), time_of(session.venue_ms()))


class _KeptOpen:
    """An exchange that its maker closes."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    async def close(self) -> None: ...


def _opener(exchange_id: str, adapter: Exchange | OpenExchange | None, credentials: Mapping[str, str] | None) -> OpenExchange:
    if adapter is None:
        return lambda: _ccxt_exchange(exchange_id, Credentials(credentials or {}))
    if callable(adapter):
        return adapter
    kept = cast(Exchange, _KeptOpen(adapter))
    return lambda: kept


def _problems_of_limit(name: str, limit: RiskLimitSpec, account: str) -> Iterator[str]:
    for problem in limit.problems():
        yield f"RiskLimit {name}: {problem}"
    if not LimitRecord(uid=name, namespace=NAMESPACE, name=name, spec=limit).covers(account):
        yield f"RiskLimit {name}: its accountSelector does not name {account}, the account of this kernel: leave it out"


def _ccxt_exchange(exchange_id: str, credentials: Credentials) -> Exchange:
    from exchange_kernel.exchanges.ccxt import open_exchange  # a second of imports, which no other adapter needs

    return open_exchange(
        exchange_id, market_type="spot", environment="Live", credentials=credentials, rest=None, websocket=None, ca_pem=None,
        requests_per_second=None, cancel_reserve_percent=CANCEL_RESERVE_PERCENT,
    )
