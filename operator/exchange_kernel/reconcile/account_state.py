"""AccountState: what an account holds and how well its orders are known, written on change, and not often."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from exchange_kernel.api import AccountStateStatus, AssetBalance, HeldPosition, HeldSide, OrderState, ReconciliationMetrics
from exchange_kernel.api.account_state import MAX_BALANCES, MAX_POSITIONS
from exchange_kernel.core.money import ZERO, add
from exchange_kernel.core.venue import MarketRules
from exchange_kernel.reconcile.holdings import Held
from exchange_kernel.stores.port import AccountStateStore, Unavailable

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession, Term

LOOK_S = 1.0
BETWEEN_WRITES_S = 5.0

#: What alone is no reason to write.
COUNTS = ("last_sweep_time", "sweep_milliseconds", "sweeps")


@dataclass(slots=True)
class Counters:
    """Of one session."""

    sweeps: int = 0
    failed_sweeps: int = 0
    failed_sends: int = 0
    unsent: int = 0
    last_sweep_ms: int | None = None  # venue time
    sweep_took_ms: int = 0


class AccountStatePublisher:
    """One account's. Reading it costs its readers one object an account, however many orders there are."""

    def __init__(self, session: AccountSession, store: AccountStateStore) -> None:
        self._session, self._store = session, store

    async def keep(self, term: Term) -> None:
        session = self._session
        while not term.over.is_set():
            await asyncio.sleep(LOOK_S)
            held = session.holdings.last
            if held is None or not term.ready or session.account.deleting:
                continue
            old = await self._store.current(session.account)
            if isinstance(old, Unavailable):
                await asyncio.sleep(BETWEEN_WRITES_S)
                continue
            new = self._status(old, held, term)
            if _tells_more(old, new):
                await self._store.write(session.account, old, new)
                await asyncio.sleep(BETWEEN_WRITES_S - LOOK_S)

    def _status(self, old: AccountStateStatus, held: Held, term: Term) -> AccountStateStatus:
        balances = [
            AssetBalance(asset=one.asset, free=one.free, locked=one.locked)
            for one in sorted(held.balances, key=lambda one: one.asset)
            if one.free != 0 or one.locked != 0
        ]
        found = positions(held, term.markets.values())
        return AccountStateStatus(
            observed_generation=1,
            sequence=old.sequence + 1,
            time=_time(held.asked_ms),
            answer_time=_time(held.answered_ms),
            settled=held.settled,
            truncated=len(balances) > MAX_BALANCES or len(found) > MAX_POSITIONS,
            balances=balances[:MAX_BALANCES],
            positions=found[:MAX_POSITIONS],
            reconciliation=self._metrics(),
        )

    def _metrics(self) -> ReconciliationMetrics:
        session, counters, census = self._session, self._session.counters, self._session.census
        records = [record for record in session.store.of_account(session.account.namespace, session.account.name) if not record.finished]
        unknown = [record for record in records if record.status.state is OrderState.UNKNOWN]
        since = [one.last_transition_time for record in unknown for one in record.status.conditions if one.type == "OutcomeUnknown" and one.status == "True"]
        return ReconciliationMetrics(
            last_sweep_time=_time(counters.last_sweep_ms) if counters.last_sweep_ms is not None else None,
            sweep_milliseconds=counters.sweep_took_ms,
            sweeps=counters.sweeps,
            failed_sweeps=counters.failed_sweeps,
            failed_sends=counters.failed_sends,
            unsent=counters.unsent,
            unknown_orders=len(unknown),
            oldest_unknown_time=min(since, default=None),
            orphan_orders=census.orphans if census is not None else 0,
            external_orders=census.external if census is not None else 0,
            drifted_orders=sum(any(one.reason == "Drifted" for one in record.status.conditions) for record in records),
            unattributed_fills=session.memory.unattributed(session.account.uid),
        )


def positions(held: Held, markets: Iterable[MarketRules]) -> list[HeldPosition]:
    """Of derivatives, those the exchange tells; on spot what the balances hold of each open market's base asset, unless it is dust."""
    by_symbol = {market.symbol: market for market in markets}
    found = [
        HeldPosition(
            symbol=one.symbol, side=HeldSide(one.side), quantity=one.quantity,
            contract_size=by_symbol[one.symbol].contract_size if one.symbol in by_symbol else None,
            entry_price=one.entry_price, unrealized_pnl=one.unrealised_pnl, margin=one.margin,
        )
        for one in held.positions
        if one.quantity != 0
    ]
    totals = {one.asset: add(one.free, one.locked) for one in held.balances}
    for market in by_symbol.values():
        if market.contract_size is None and market.active and (total := totals.get(market.base, ZERO)) > 0 and total >= smallest(market):
            found.append(HeldPosition(symbol=market.symbol, side=HeldSide.LONG, quantity=total))
    return sorted(found, key=lambda one: (one.symbol, one.side))


def smallest(market: MarketRules) -> Decimal:
    """Less than this is dust: no order of the market can sell it."""
    return max(market.min_quantity or ZERO, market.quantity_step or ZERO)


def _tells_more(old: AccountStateStatus, new: AccountStateStatus) -> bool:
    """Whether something changed that a reader goes by. A later reading of the same, or a count of sweeps, is not worth a write."""
    def substance(status: AccountStateStatus) -> object:
        metrics = status.reconciliation.model_dump(exclude=set(COUNTS)) if status.reconciliation is not None else None
        return status.observed_generation, status.settled, status.truncated, status.balances, status.positions, metrics

    return substance(old) != substance(new)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
