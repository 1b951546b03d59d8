"""Reading the exchange's list of markets again: steps, limits, and what is open for trading change without a word.

One reading at a time, beside everything else. It is made every quarter of an hour, and soon where a refusal or an order that waits asks for it. A reading
that fails, hangs or lacks something leaves what was known. `markets.py` writes what is known down as objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from exchange_kernel.api import AttemptStage
from exchange_kernel.core.answers import Unreachable
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.venue import MarketRules
from exchange_kernel.reconcile.background import either
from exchange_kernel.telemetry import metrics

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession, Term

log = structlog.get_logger(__name__)

EVERY_S = 900.0
APART_S = 5.0  # between two readings at least; doubled for each that brought nothing new to who asked
LONG_APART_S = 60.0  # at most, where an order waits for its market to open
REFUSED_APART_S = 15.0  # where a refusal waits for what the rules are now: less than it waits
WITHIN_S = 90.0  # a reading that takes longer is given up
AT_ONCE = 200  # markets that are compared, or intents that are looked through, in one step of the loop

NEVER_SENT = (AttemptStage.REFUSED, AttemptStage.ABSENT)


class MarketReadings:
    """One account's."""

    def __init__(self, session: AccountSession) -> None:
        self._session = session
        self._asked = asyncio.Event()  # set whenever the next reading may be due sooner
        self._apart_s: float | None = None  # how long after the last reading the one that was asked for comes at most; None: none was
        self._waiting: set[str] = set()  # the UIDs of intents for which the next reading tells something
        self._vain = 0  # asked readings in a row that found every market as it was
        self._lacking: frozenset[str] = frozenset()  # what the last list lacked, and the one before had
        self._recalled: set[str] = set()
        self._taking = asyncio.Lock()
        self._last: Mapping[str, MarketRules] | None = None

    def ask(self, uid: str | None = None, *, refused: bool = False) -> None:
        """Ask for a reading soon; the intent of this UID is woken after it. `refused`: because of a refusal."""
        if uid is not None:
            self._waiting.add(uid)
        apart_s = REFUSED_APART_S if refused else LONG_APART_S
        if self._apart_s is None or apart_s < self._apart_s:
            self._apart_s = apart_s
            self._asked.set()

    async def keep(self, term: Term) -> None:
        """Read for as long as the term lasts."""
        self._vain, self._lacking = 0, frozenset()
        self._recalled.clear()
        began, clock = self._session.clock.monotonic(), self._session.clock
        # Spread by account, so that many accounts never read in step.
        every_s = EVERY_S * (0.9 + (int(self._session.account.uid.replace("-", "")[:4] or "0", 16) % 200) / 1000)
        while not term.over.is_set():
            self._asked.clear()
            asked = self._apart_s is not None
            pause_s = every_s if self._apart_s is None else min(self._apart_s, APART_S * 2.0 ** min(self._vain, 8))
            if (left_s := began + pause_s - clock.monotonic()) > 0:
                await either(term.over.wait(), self._asked.wait(), asyncio.sleep(left_s))
                continue
            self._apart_s, waiting, self._waiting = None, self._waiting, set()
            began = clock.monotonic()
            news = await self._read(term)
            self._vain = self._vain + 1 if asked and not news else 0
            for uid in waiting:
                self._session.wake(uid)

    async def _read(self, term: Term) -> bool:
        """Read the list once, and take over what is new in it. Whether anything is."""
        session, began_ms = self._session, self._session.venue_ms()
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await term.exchange.markets(reload=True)
        except TimeoutError:
            found = Unreachable("the list of markets does not come")
        metrics.MARKET_READINGS.labels(account=session.label, outcome="failed" if isinstance(found, Unreachable) else "read").inc()
        if isinstance(found, Unreachable):
            session.stay_away(found.retry_after_s)
            log.info("the markets could not be read again: those known are used", account=session.label, reason=found.reason)
            return False
        news = await self.take(term, found)
        term.markets_ms = began_ms
        return news

    async def take(self, term: Term, found: Mapping[str, MarketRules]) -> bool:
        """Go by a newer list, and wake whom it concerns. Whether anything is new in it."""
        session = self._session
        async with self._taking:
            if found is self._last:
                return False
            self._last, changed = found, await self._compare(term, found)
            if self._lacking:
                self.ask()  # a list that lacks a market is believed when a second one does
        if not changed:
            return False
        await self.note(term)
        for number, record in enumerate(session.store.of_account(session.account.namespace, session.account.name)):
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            if record.spec.symbol in changed and not record.finished:
                session.wake(record.uid)
        for group in session.groups.of_account(session.account.namespace, session.account.name) if session.groups is not None else ():
            if not group.finished and any(member.symbol in changed for member in group.spec.members):
                session.wake_group(group.uid)
        return True

    async def _compare(self, term: Term, found: Mapping[str, MarketRules]) -> set[str]:
        """Make a newer list the one that is gone by. The symbols of markets that came, went or changed."""
        old, taken, changed = term.markets, dict[str, MarketRules](), set[str]()
        for number, (symbol, market) in enumerate(found.items()):
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            known = old.get(symbol)
            if known is market or known == market:
                taken[symbol] = known  # the same object: who compares lists is done at once
            else:
                taken[symbol] = market
                changed.add(symbol)
        lacking = frozenset(old.keys() - found.keys())
        gone, self._lacking = lacking & self._lacking, lacking - self._lacking
        taken |= {symbol: old[symbol] for symbol in self._lacking}
        changed |= gone
        if changed:
            term.markets = taken
            log.info("markets changed", account=self._session.label, markets=len(changed), gone=sorted(gone)[:5])
        return changed

    async def note(self, term: Term) -> None:
        """Tell of markets that the exchange lists no more while an order of ours may live there, and have the adapter go on naming them."""
        session, gone = self._session, set[str]()
        for number, record in enumerate(session.store.of_account(session.account.namespace, session.account.name)):
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            if record.finished or record.spec.symbol in term.markets or not may_live(record):
                continue
            gone.add(record.spec.symbol)
            self.recall(term, record)
        if not term.over.is_set():
            session.report(replace(session.health, gone_markets=tuple(sorted(gone))))

    def recall(self, term: Term, record: OrderRecord) -> None:
        """Hand the adapter a market as the intent's status has it, once a term, where the exchange does not list it."""
        symbol, market = record.spec.symbol, record.status.market
        if market is None or market.id is None or symbol in self._recalled or symbol in term.markets:
            return
        self._recalled.add(symbol)
        term.exchange.recall(MarketRules(
            symbol=symbol, base=market.base, quote=market.quote, active=False, quantity_step=market.quantity_step, price_step=market.price_step,
            min_notional=market.min_notional, contract_size=market.contract_size, venue_id=market.id,
        ))


def may_live(record: OrderRecord) -> bool:
    """Whether an order of the intent may be at the exchange, by what is recorded."""
    return any(attempt.stage not in NEVER_SENT for attempt in record.attempts)
