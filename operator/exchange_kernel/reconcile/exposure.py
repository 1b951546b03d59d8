"""What RiskLimits are held against (`core/risk.py`): an account's open orders, its sends of the last minute, and how large a position may become."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from exchange_kernel.api import AttemptStage
from exchange_kernel.core.market_rules import TRIGGERED
from exchange_kernel.core.money import ZERO, add, subtract
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.risk import REASON, Exposure, LimitRecord
from exchange_kernel.core.sending import SendStage
from exchange_kernel.core.venue import MarketRules
from exchange_kernel.stores.port import LimitStore

if TYPE_CHECKING:
    from exchange_kernel.reconcile.memory import OrderMemory
    from exchange_kernel.reconcile.session import AccountSession

MINUTE_S = 60.0
MAY_BE_OPEN = (AttemptStage.PREPARED, AttemptStage.SENT, AttemptStage.LIVE)


class SendLog:
    """When this process sent orders of one account, and changes of them. What others sent before a term began is taken from status."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque()  # monotonic seconds

    def sent(self, at: float) -> None:
        self._sent.append(at)

    def last_minute(self, now: float) -> int:
        while self._sent and self._sent[0] <= now - MINUTE_S:
            self._sent.popleft()
        return len(self._sent)

    def take_over(self, records: Iterable[OrderRecord], venue_ms: int, now: float) -> None:
        """A term begins: another process may have sent these within the last minute."""
        times = sorted(record.status.submit_time.timestamp() for record in records if record.status.submit_time is not None)
        sent = [now - age for time in times if 0 <= (age := venue_ms / 1000 - time) < MINUTE_S]
        if len(sent) > self.last_minute(now):
            self._sent = deque(sent)


class AccountRisk:
    """The RiskLimits of one account, and what its orders add up to."""

    def __init__(self, session: AccountSession, limits: LimitStore) -> None:
        self._session, self._limits, self.sends = session, limits, SendLog()

    async def know_limits(self) -> None:
        """Nothing is sent before the RiskLimits are known. Cancels and lookups do not wait for them."""
        while True:
            if await self.read_limits():
                return
            await asyncio.sleep(1.0)

    async def read_limits(self) -> bool:
        """A watch that begins anew never tells what was deleted meanwhile: a list does."""
        return await self._limits.read(self._session.account.namespace)

    def limits(self) -> tuple[LimitRecord, ...] | None:
        account = self._session.account
        return self._limits.of_account(account.namespace, account.name)

    @property
    def by_position(self) -> bool:
        """Whether a limit goes by what the account holds."""
        return any(limit.spec is not None and limit.spec.max_position for limit in self.limits() or ())

    def orders_by_market(self) -> tuple[dict[str, int], dict[str, int]]:
        """The open orders of the account that are known, and those of them that wait for a trigger, by market."""
        every, triggered = Counter[str](), Counter[str]()
        for _, known in self._session.memory.of_account(self._session.account.uid):
            for order in (known.order, *known.others.values()):
                if order is not None and not order.status.ended:
                    every[order.symbol] += 1
                    triggered[order.symbol] += order.type in TRIGGERED
        return every, triggered

    def holdings_read(self) -> None:
        """What waited for a reading of what the account holds can go on."""
        session = self._session
        for record in session.store.of_account(session.account.namespace, session.account.name) if self.by_position else ():
            if not record.finished and any(condition.reason == REASON for condition in record.status.conditions):
                session.wake(record.uid)

    def exposure(self, record: OrderRecord, market: MarketRules | None) -> Exposure:
        """All but `record` itself; only what one of the limits asks for, and nothing for an order that is over."""
        session, limits = self._session, () if record.finished else self.limits()
        if not limits:
            return Exposure(limits=limits)
        specs = [limit.spec for limit in limits if limit.spec is not None]
        position, current = None, False
        if market is not None and any(spec.max_position for spec in specs):
            position, current = _position(session, record, market)
        return Exposure(
            limits=limits,
            open_orders=_open_orders(session, record.uid) if any(spec.max_open_orders is not None for spec in specs) else 0,
            sent_last_minute=self.sends.last_minute(session.clock.monotonic()),
            position=position,
            position_current=current,
        )


def _open_orders(session: AccountSession, besides: str) -> int:
    told, open_ones = set(), set()
    for uid, known in session.memory.of_account(session.account.uid):
        if known.send is not None or known.order is not None:
            told.add(uid)
        if _may_be_open(known):
            open_ones.add(uid)
    for record in session.store.of_account(session.account.namespace, session.account.name):
        if not record.finished and record.uid not in told and any(attempt.stage in MAY_BE_OPEN for attempt in record.attempts):
            open_ones.add(record.uid)
    return len(open_ones - {besides})


def _may_be_open(known: OrderMemory) -> bool:
    """An order that lives, or a request that is past the gate and may have made one."""
    if any(order is not None and not order.status.ended for order in (known.order, *known.others.values())):
        return True
    send = known.send
    if send is None or known.order is not None or not send.open_ended:
        return False
    return send.stage is not SendStage.IN_FLIGHT or send.last_stamp_ms is not None


def _position(session: AccountSession, record: OrderRecord, market: MarketRules) -> tuple[Decimal | None, bool]:
    """How large the position may become in the order's direction: what was last read, what was filled since, and what is open. And whether nothing was.

    What was filled the other way since is left out until it is read: it may be in the reading already.
    """
    held = session.holdings.last
    if held is None:
        return None, False
    side, account = record.spec.side, session.account.uid
    position = held.quantity_of(market, record.spec.side, record.spec.position_side)
    bought = {one: subtract(session.memory.filled_of(account, market.symbol, one), held.filled.get((market.symbol, one), ZERO)) for one in ("Buy", "Sell")}
    pending = ZERO
    for uid, known in session.memory.of_account(account):
        other = session.store.get(uid)
        if uid == record.uid or other is None or (other.spec.symbol, other.spec.side) != (market.symbol, side):
            continue
        if _may_be_open(known):
            live = [order for order in (known.order, *known.others.values()) if order is not None and not order.status.ended]
            pending = add(pending, *(subtract(order.quantity or ZERO, order.filled_quantity) for order in live))
            if not live and known.send is not None:
                pending = add(pending, known.send.quantity or ZERO)
    return add(position, bought[side], pending), not any(bought.values())
