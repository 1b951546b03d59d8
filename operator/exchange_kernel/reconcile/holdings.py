"""What an account holds at its exchange, read again soon after each fill and at every resync: balances, and positions where it trades contracts."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from exchange_kernel.api import MarketType
from exchange_kernel.core.answers import Balance, Listing, Position, Unreachable
from exchange_kernel.core.money import ZERO, add, multiply
from exchange_kernel.core.order import Free
from exchange_kernel.core.venue import MarketRules

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession, Term

Fills: TypeAlias = Mapping[tuple[str, str], Decimal]  # by symbol and side

LOOK_S = 1.0
AFTER_FILLS_S = 2.0  # how often at most the account is read when fills have come to rest for lookupDelay
WHILE_FILLING_S = 5.0  # and while they have not: a reading costs a venue like Binance as much as twenty orders
CONTRACTS = (MarketType.SWAP, MarketType.FUTURE, MarketType.OPTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One reading. Fills that were known long enough before it began are in it; later ones may be."""

    asked_ms: int  # venue time at which the reading began
    answered_ms: int  # and at which it ended
    settled: bool  # nothing was known to be filled between the two, nor within lookupDelay before
    balances: tuple[Balance, ...]
    positions: tuple[Position, ...]
    filled: Fills  # what this process knew as filled, lookupDelay before the reading began

    def quantity_of(self, market: MarketRules, side: str, position_side: str | None) -> Decimal:
        """How much is held in the direction in which an order of this side opens: negative if the other way."""
        if market.contract_size is None:
            held = add(*(add(balance.free, balance.locked) for balance in self.balances if balance.asset == market.base))
            return held if side == "Buy" else multiply(held, Decimal(-1))
        of_market = [position for position in self.positions if position.symbol == market.symbol]
        if position_side is not None:
            return add(*(position.quantity for position in of_market if position.side == position_side))
        net = add(*(multiply(position.quantity, Decimal(-1)) if position.side == "Short" else position.quantity for position in of_market))
        return net if side == "Buy" else multiply(net, Decimal(-1))


class Holdings:
    """One account's."""

    def __init__(self, session: AccountSession) -> None:
        self._session = session
        self._known: deque[tuple[int, Fills]] = deque()  # what was known as filled, and when: the first of them is lookupDelay old
        self._read_at = -math.inf
        self.published = False  # whether there are readers besides RiskLimits
        self.last: Held | None = None
        self._waiting: set[str] = set()  # the UIDs of intents for which a reading tells how much there is to give

    def ask(self, uid: str) -> None:
        """Ask for a reading soon; the intent of this UID is woken after it."""
        self._waiting.add(uid)

    def free(self, market: MarketRules | None, side: str, position_side: str | None) -> Free | None:
        """How much an order of this side can give by the last reading; None where that is not read, or is an amount of money."""
        if self.last is None or market is None or (market.contract_size is None and side != "Sell"):
            return None
        if market.contract_size is None:
            return Free(add(*(balance.free for balance in self.last.balances if balance.asset == market.base)), self.last.asked_ms)
        held = self.last.quantity_of(market, "Buy" if side == "Sell" else "Sell", position_side)
        return Free(max(ZERO, held), self.last.asked_ms)

    async def keep(self, term: Term) -> None:
        """Read for as long as the term lasts: at once, soon after what fills, and every resyncSeconds."""
        session = self._session
        self.last, self._read_at = None, -math.inf
        self._known.clear()
        while not term.over.is_set():
            self._note_fills(term)
            filled = self._known[-1][1]
            quiet, stale = self._known[0][1] == filled, self.last is None or self.last.filled != filled
            since = session.clock.monotonic() - self._read_at
            due = since >= session.account.spec.resync_seconds or (stale and since >= (AFTER_FILLS_S if quiet else WHILE_FILLING_S))
            if (due and (self.published or session.risk.by_position)) or self._waiting:
                await self.read(term)
                waiting, self._waiting = self._waiting, set()
                for uid in waiting:
                    session.wake(uid)
            await asyncio.sleep(LOOK_S)

    def _note_fills(self, term: Term) -> int:
        now_ms = self._session.venue_ms()
        self._known.append((now_ms, self._session.memory.fills_of(self._session.account.uid)))
        while len(self._known) > 1 and self._known[1][0] <= now_ms - term.exchange.capabilities.lookup_delay_ms:
            self._known.popleft()
        return now_ms

    async def read(self, term: Term) -> Held | Unreachable:
        """Read now. A reading that is not whole is none."""
        session = self._session
        self._read_at, asked_ms = session.clock.monotonic(), self._note_fills(term)
        filled = self._known[0][1]
        balances: Listing[Balance] | Unreachable = await term.exchange.balances()
        positions: Listing[Position] | Unreachable = Listing((), True)
        if session.account.spec.market_type in CONTRACTS or any(market.contract_size is not None for market in term.markets.values()):
            positions = await term.exchange.positions()
        for answer in (balances, positions):
            if isinstance(answer, Unreachable):
                return answer
        assert not isinstance(balances, Unreachable)
        assert not isinstance(positions, Unreachable)
        if not positions.complete or not balances.complete:
            return Unreachable("the exchange did not list all of it")
        settled = filled == session.memory.fills_of(session.account.uid)
        self.last = Held(
            asked_ms=asked_ms, answered_ms=session.venue_ms(), settled=settled, balances=balances.items, positions=positions.items, filled=filled
        )
        session.risk.holdings_read()
        return self.last
