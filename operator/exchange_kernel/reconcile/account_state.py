"""AccountState: what an account holds and how well its orders are known, written on change, and not often; and the readings that somebody asks for there."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from exchange_kernel.api import AccountStateStatus, AssetBalance, HeldPosition, HeldSide
from exchange_kernel.api.account_state import MAX_BALANCES, MAX_POSITIONS
from exchange_kernel.core.answers import Balance
from exchange_kernel.core.money import ZERO, add
from exchange_kernel.core.venue import MarketRules
from exchange_kernel.reconcile.figures import figures, time_of
from exchange_kernel.reconcile.holdings import Held
from exchange_kernel.stores.port import AccountStateStore, Unavailable

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession, Term

LOOK_S = 1.0
BETWEEN_WRITES_S = 5.0
ASKED, ASKED_WITHIN_S = 5, 25.0  # so many readings are made for who asks, in so long: a list of all orders costs a venue as much as twenty of them
RESTED_WITHIN_S = 5.0  # how long the answer waits for what follows from a reading; an order that is slow is not waited for

#: What alone is no reason to write.
COUNTS = ("time", "last_sweep_time", "sweep_milliseconds", "sweeps", "sends", "checked_orders", "unresolved_operations")


class AccountStatePublisher:
    """One account's. Reading it costs its readers one object an account, however many orders there are."""

    def __init__(self, session: AccountSession, store: AccountStateStore) -> None:
        self._session, self._store = session, store
        self._look = asyncio.Event()
        self._asked: tuple[str, float] | None = None  # the token that is being answered, and when it was first seen
        self._next_write = -math.inf
        self._answered: deque[float] = deque(maxlen=ASKED)  # when readings began that were asked for

    def look(self) -> None:
        """Somebody may have asked for something."""
        self._look.set()

    async def keep(self, term: Term) -> None:
        session = self._session
        while not term.over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), LOOK_S)
            self._look.clear()
            if not term.ready or session.account.deleting:
                continue
            old = await self._store.current(session.account)
            if isinstance(old, Unavailable):
                await asyncio.sleep(BETWEEN_WRITES_S)
                continue
            answer, held = await self._answer(old, term), session.holdings.last
            if answer is None and (held is None or session.clock.monotonic() < self._next_write):
                continue
            new = self._status(old, held, answer, term)
            if answer is not None or _tells_more(old, new):
                await self._store.write(session.account, old, new)
                self._next_write = session.clock.monotonic() + BETWEEN_WRITES_S

    async def _answer(self, old: AccountStateStatus, term: Term) -> str | None:
        """The token that can be answered now, if somebody asked: all orders were read since it was first seen, and what follows was written.

        One reading for all who asked before it began. One that fails is not repeated for them: the sweeper does that, at its own pace.
        """
        session, token = self._session, self._store.asked(self._session.account)
        if token is None or token == old.reconciled_token:
            return None
        now = session.clock.monotonic()
        if self._asked is None or self._asked[0] != token:
            if len(self._answered) == ASKED and now < self._answered[0] + ASKED_WITHIN_S:
                return None
            self._asked = token, now
            self._answered.append(now)
            await session.sweeper.sweep()
        if session.sweeper.read_since(self._asked[1]):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.rested(), RESTED_WITHIN_S)
            await session.holdings.read(term)
            return token
        return None

    def _status(self, old: AccountStateStatus, held: Held | None, answer: str | None, term: Term) -> AccountStateStatus:
        metrics, token = figures(self._session), answer or old.reconciled_token
        if held is None:
            return old.model_copy(update={"reconciliation": metrics, "reconciled_token": token})
        have, found = balances(held.balances), positions(held, term.markets.values())
        return AccountStateStatus(
            observed_generation=1,
            sequence=old.sequence + 1,
            time=time_of(held.asked_ms),
            answer_time=time_of(held.answered_ms),
            settled=held.settled,
            truncated=len(have) > MAX_BALANCES or len(found) > MAX_POSITIONS,
            balances=have[:MAX_BALANCES],
            positions=found[:MAX_POSITIONS],
            reconciliation=metrics,
            reconciled_token=token,
        )


def balances(held: Sequence[Balance]) -> list[AssetBalance]:
    return [
        AssetBalance(asset=one.asset, free=one.free, locked=one.locked)
        for one in sorted(held, key=lambda one: one.asset)
        if one.free != 0 or one.locked != 0
    ]


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
