"""Markets as objects: what the exchange lists, for strategies to read. Written on change only, and slowly: an exchange has hundreds."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from exchange_kernel.api import ContractType, MarketPriceBand, MarketSpec
from exchange_kernel.core.venue import MarketRules, PriceBand
from exchange_kernel.stores.port import AccountRecord, MarketRecord, MarketStore, Unavailable

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession, Term

log = structlog.get_logger(__name__)

LOOK_S = 5.0  # how soon a change is seen, and what could not be written is tried again
BETWEEN_WRITES_S = 0.25
MAX_SLUG = 40
AT_ONCE = 50  # specs that are made in one step of the loop: some milliseconds
MAX_OBJECTS = 4000  # of one account: a hostile exchange lists what it likes, and etcd keeps all of it


def market_name(spec: MarketSpec) -> str:
    """`binance-btc-usdt-1a2b3c4d`: readable, and different for whatever makes it another market."""
    identity = "|".join((spec.exchange, spec.environment, spec.endpoint or "", spec.market_type, spec.symbol))
    slug = re.sub(r"[^a-z0-9]+", "-", f"{spec.exchange}-{spec.symbol}".lower()).strip("-")[:MAX_SLUG].rstrip("-")
    return f"{slug}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def market_spec(account: AccountRecord, market: MarketRules, order_types: Iterable[str]) -> MarketSpec:
    spec = account.spec
    contract = market.contract_size is not None
    return MarketSpec(
        exchange=spec.exchange,
        environment=spec.environment,
        endpoint=spec.endpoint.rest if spec.endpoint is not None else None,
        market_type=spec.market_type,
        symbol=market.symbol,
        base=market.base,
        quote=market.quote,
        settle=market.settle if contract else None,
        contract_type=(ContractType.INVERSE if market.inverse else ContractType.LINEAR) if contract else None,
        contract_size=market.contract_size,
        active=market.active,
        quantity_step=market.quantity_step,
        price_step=market.price_step,
        min_quantity=market.min_quantity,
        max_quantity=market.max_quantity,
        min_price=market.min_price,
        max_price=market.max_price,
        min_notional=market.min_notional,
        order_types=sorted(frozenset(order_types) & market.order_types if market.order_types is not None else order_types),
        post_only=market.post_only,
        native_groups=sorted(market.native_groups) if market.native_groups is not None else None,
        buy_price_band=_band(market.buy_band),
        sell_price_band=_band(market.sell_band),
        max_open_orders=market.max_open_orders,
        max_trigger_orders=market.max_trigger_orders,
    )


def _band(band: PriceBand | None) -> MarketPriceBand | None:
    return MarketPriceBand(lowest=band.lowest, highest=band.highest) if band is not None else None


class MarketPublisher:
    """One account's markets. An object is owned by each account that needs it, and goes with the last of them."""

    def __init__(self, session: AccountSession, store: MarketStore) -> None:
        self._session, self._store = session, store

    async def keep(self, term: Term) -> None:
        """Write for as long as the term lasts: at its begin, and whenever the exchange's list or the account's symbols change."""
        done: tuple[Mapping[str, MarketRules], list[str]] | None = None
        while not term.over.is_set():
            wanted = (term.markets, self._session.account.spec.symbols)
            if term.ready and done != wanted and not self._session.account.deleting and await self._publish(term, *wanted):
                done = wanted
            await asyncio.sleep(LOOK_S)

    async def _publish(self, term: Term, markets: Mapping[str, MarketRules], symbols: list[str]) -> bool:
        """Bring the objects in line. True if all are."""
        account = self._session.account
        listed = await self._store.list_all(account.namespace)
        if isinstance(listed, Unavailable):
            return False
        order_types, specs = term.exchange.capabilities.order_types, dict[str, MarketSpec]()
        for number, market in enumerate(markets.values()):
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)  # there may be thousands, and others' orders keep their turn
            spec = market_spec(account, market, order_types)
            specs[market_name(spec)] = spec
        there = {record.name: record for record in listed}
        whole, owned = True, sum(account.uid in record.owners for record in listed)
        for name, spec in specs.items():
            record = there.get(name)
            mine = record is not None and account.uid in record.owners
            # One that is not open for trading is not made, and kept where it is there already: it says that it is closed.
            needed = (not symbols or spec.symbol in symbols) and (spec.active or mine)
            if term.over.is_set():
                return False
            if not needed and not mine:
                continue
            if needed and mine and record is not None and record.spec == spec:
                continue
            if needed and not mine:
                if owned >= MAX_OBJECTS:
                    continue  # spec.symbols narrows them to those that are traded
                owned += 1
            whole = await self._write(record, name, spec, account, needed=needed) and whole
            await asyncio.sleep(BETWEEN_WRITES_S)
        for name, record in there.items():
            if name not in specs and account.uid in record.owners:
                # The exchange lists it no more.
                whole = await self._write(record, name, None, account, needed=False) and whole
        return whole

    async def _write(self, record: MarketRecord | None, name: str, spec: MarketSpec | None, account: AccountRecord, *, needed: bool) -> bool:
        if record is None:
            assert spec is not None
            return await self._store.create(account, name, spec)
        owners = {uid: owner for uid, owner in record.owners.items() if uid != account.uid} | ({account.uid: account.name} if needed else {})
        if not owners:
            return await self._store.remove(record)
        return await self._store.write(record, replace(record, spec=spec or record.spec, owners=owners))
