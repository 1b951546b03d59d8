"""LocalKernel: orders in a file, and the operator's own reconcilers in this process. For notebooks, tests, backtests, and people without a cluster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from exchange_kernel.api import ExchangeAccountSpec
from exchange_kernel.core.answers import Listing, Unreachable
from exchange_kernel.core.market_rules import request_for, unacceptable
from exchange_kernel.exchanges.port import Credentials, Exchange
from exchange_kernel.kernel import holdings
from exchange_kernel.kernel.errors import ExchangeError, NotFoundError, ValidationError
from exchange_kernel.kernel.following import ObjectApi
from exchange_kernel.kernel.local_api import NAMESPACE
from exchange_kernel.kernel.local_desk import LocalDesk, OpenExchange
from exchange_kernel.kernel.models import AccountState, AssetMetadata, Position
from exchange_kernel.kernel.names import fit_for_object
from exchange_kernel.kernel.objects import order_spec
from exchange_kernel.kernel.orders import ACKNOWLEDGE_TIMEOUT_S, ObjectsKernel
from exchange_kernel.kernel.reconciliation import SingleFlight, metrics
from exchange_kernel.reconcile.ports import Clock, SystemClock
from exchange_kernel.reconcile.session import Term
from exchange_kernel.schema import StandardOrder, SymbolMetadata
from exchange_kernel.stores.sqlite import FileInUse, NotAnOrdersFile

START_WITHIN_S = 10.0  # how long a start waits for the exchange; it goes on connecting after that
CANCEL_RESERVE_PERCENT = 20


class LocalKernel(ObjectsKernel):
    """The orders of one account, kept in one file that is this kernel's alone while it is started.

    exchange_id: ccxt's id of the exchange; any name, if there is an adapter.
    adapter: how the exchange is spoken to. An Exchange is used for as long as it is good, and closing it is its maker's business; a function that makes
      one is called for each connection. None: ccxt's spot account of that id, live, with `credentials` as ccxt names them.
    path: the file; it is made if it is not there. A copy of it names the same orders at the exchange: never run both.
    acknowledge_timeout: seconds that methods which place, change and cancel wait for the exchange; 0: not at all.
    clock: of the event loop's time, for backtests in virtual time.

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
    ) -> None:
        if not fit_for_object(exchange_id):
            raise ValidationError([f"exchange_id {exchange_id!r} can't name an account: use a-z, 0-9, - and ."])
        super().__init__(exchange_id, account=exchange_id, namespace=NAMESPACE, strategy=None, acknowledge_timeout=acknowledge_timeout)
        self._path, self._clock = os.fspath(path), clock or SystemClock()
        self._open_exchange = _opener(exchange_id, adapter, credentials)
        self._desk: LocalDesk | None = None
        self._forcing = SingleFlight()

    async def _connect(self) -> ObjectApi:
        spec = ExchangeAccountSpec.model_validate(
            {"exchange": "".join(filter(str.isalnum, self.exchange_id)), "environment": "Live", "credentialsSecretRef": {"name": "in-process"}}
        )
        try:
            self._desk = LocalDesk(self._path, self.exchange_id, spec, self._open_exchange, self._clock)
        except (FileInUse, NotAnOrdersFile) as error:
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
        return [] if session.health.synced else ["The last reading of the account's orders at the exchange was not complete."]

    # ── What the exchange says ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _term(self) -> Term:
        _ = self._api
        assert self._desk is not None
        session = self._desk.session
        if session is None or session.term is None:
            problem = self._desk.problem
            raise ExchangeError(problem.message if problem is not None else "The exchange is being connected to: try again in a moment.")
        return session.term

    async def _market_problems(self, order: StandardOrder) -> list[str]:
        session = self._desk.session if self._desk is not None else None
        if session is None or (term := session.term) is None or order.problems():
            return []
        if (market := term.markets.get(order.symbol_id)) is None:
            return [f"there is no market {order.symbol_id!r} on this account: list_symbols names them"]
        request = request_for(order_spec(order, self._account), "", market, quantity=order.quantity)
        problem = unacceptable(request, market, term.exchange.capabilities)
        return [problem] if problem is not None else []

    async def get_symbol_metadata(self, symbol_id: str) -> SymbolMetadata:
        term = self._term
        if (market := term.markets.get(symbol_id)) is None:
            raise NotFoundError(f"There is no market {symbol_id!r} on this account: list_symbols names them.")
        return holdings.symbol_metadata(market, term.exchange.capabilities)

    async def get_asset_metadata(self, asset_id: str) -> AssetMetadata:
        found = holdings.asset_metadata(asset_id, self._term.markets.values())
        if found is None:
            raise NotFoundError(f"There is no asset {asset_id!r} in the markets of this account.")
        return found

    async def list_symbols(self) -> list[str]:
        return sorted(symbol for symbol, market in self._term.markets.items() if market.active)

    async def get_positions(self, symbol_id: str | None = None) -> list[Position]:
        if symbol_id is not None:
            await self.get_symbol_metadata(symbol_id)
        return [position for position in (await self.get_account_state()).positions if symbol_id in (None, position.symbol_id)]

    async def get_account_state(self) -> AccountState:
        """Asked of the exchange now; its balances and positions are two requests, one straight after the other."""
        term = self._term
        balances, held = await asyncio.gather(term.exchange.balances(), term.exchange.positions())
        time = datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC)
        have, positions = _listed(balances), _listed(held)
        return AccountState(
            exchange_id=self.exchange_id,
            account=self._account,
            balances=tuple(holdings.balance(one) for one in have),
            positions=tuple(holdings.positions(term.markets, have, positions, time=time, age_seconds=0)),
            time=time,
            age_seconds=0,
        )

    # ── Reconciling ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def force_reconciliation(self, intent_id: str | None = None) -> None:
        if intent_id is not None:
            await self._find(intent_id)
        await self._forcing.run(self._reconcile_all)

    async def _reconcile_all(self) -> None:
        """One sweep tells of all orders; whatever it says of one that is not open any more is looked up before it is believed."""
        _ = self._term
        assert self._desk is not None
        desk = self._desk
        session = desk.session
        if session is None or not await session.sweeper.sweep():
            raise ExchangeError("The account's orders could not be read from the exchange. They are read again by themselves.")
        desk.wake_all()
        await desk.idle()

    async def get_reconciliation_metrics(self) -> dict[str, Any]:
        _ = self._api
        assert self._desk is not None
        return metrics(self._desk)


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


def _ccxt_exchange(exchange_id: str, credentials: Credentials) -> Exchange:
    from exchange_kernel.exchanges.ccxt import open_exchange  # a second of imports, which no other adapter needs

    return open_exchange(
        exchange_id, market_type="spot", environment="Live", credentials=credentials, rest=None, websocket=None, ca_pem=None,
        requests_per_second=None, cancel_reserve_percent=CANCEL_RESERVE_PERCENT,
    )


def _listed(answer: Listing[Any] | Unreachable) -> tuple[Any, ...]:
    if isinstance(answer, Unreachable):
        raise ExchangeError(f"The account can't be read from the exchange: {answer.reason}.")
    return answer.items
