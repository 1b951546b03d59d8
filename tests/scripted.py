"""A whole desk in one loop: the real session, submitter, resolver and reconcilers over a store in memory and an exchange that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

from exchange_kernel.api import ExchangeAccountSpec, ExchangeAccountStatus, RefusalKind
from exchange_kernel.core import fills
from exchange_kernel.core.answers import (
    Accepted,
    Balance,
    Bust,
    Duplicate,
    ExchangeOrder,
    Fee,
    Found,
    GroupAccepted,
    GroupFound,
    Listing,
    NotFound,
    NotSent,
    OrderStatus,
    Position,
    Refused,
    Replaced,
    TimeRefused,
    Trade,
    Unknown,
    UnknownOrder,
    Unreachable,
)
from exchange_kernel.exchanges.port import ClockReading, Closed, Gap, OrderUpdate
from exchange_kernel.reconcile.exchange_account import Speaks, alone
from exchange_kernel.reconcile.memory import Memory
from exchange_kernel.reconcile.ports import Clock, NoEvents, NoJournal, Ownership
from exchange_kernel.reconcile.reconcilers import Reconcilers
from exchange_kernel.reconcile.session import AccountSession
from exchange_kernel.stores.memory import MemoryGroupStore, MemoryIntentStore, MemoryLimitStore
from exchange_kernel.stores.port import AccountRecord
from tests.builders import T0, a_market, a_venue

OWNER = "0a1b2c"


class LoopClock:
    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_ms(self) -> int:
        return T0 + int((self.monotonic() - 1000) * 1000)


class ScriptedExchange:
    """The truth of one venue, and the ways in which its answers fail to tell it. Outlives the operator's restarts."""

    def __init__(self) -> None:
        self.capabilities = a_venue()
        self.market = a_market()
        self.judges = False                               # whether orders off the market's steps, or to a closed market, are refused
        self.listed = True                                # whether the list of markets has it
        self.markets_reply: Callable[[], Awaitable[object]] | None = None   # what a reading made anew brings instead of the list
        self.market_reads, self.recalled = 0, []          # readings of the list made anew; markets named by their record
        self.keeps_markets, self.read_markets = False, None     # whether the list is read only once and on demand, as an adapter does
        self.last: Decimal | None = Decimal(50000)        # the price of the market's last trade; None: it can't be read
        self.orders_by_id: dict[str, ExchangeOrder] = {}
        self.trades_of: dict[str, list[Trade]] = {}
        self.lists: dict[str, GroupFound] = {}            # order lists, by our ids for them
        self._list_modes: dict[str, str] = {}
        self.group_reply: Callable[[GroupAccepted], object] | None = None
        self.keeps_lists = False                          # whether what becomes of one order of a list ends the others, as at a venue
        self.held_balances: list[Balance] = []
        self.held_positions: list[Position] = []
        self.clock_source = LoopClock()
        self.hold_reply: asyncio.Event | None = None      # submit replies wait for it, after acceptance
        self.reply: Callable[[ExchangeOrder], object] | None = None
        self.amend_reply: Callable[[ExchangeOrder], object] | None = None
        self.replace_reply: Callable[[ExchangeOrder, ExchangeOrder], object] | None = None
        self.fills_at_once = False
        self.reachable = True
        self.readable = True                              # whether readings are answered; sends and cancels are, while it is `reachable`
        self.reads_take_s = 0.0
        self.forgotten: set[str] = set()                  # exchange order ids that no reading shows any more
        self.unlisted: set[str] = set()                   # exchange order ids that no list of open orders shows
        self.lost_trades: set[str] = set()                # trade ids that no reading tells
        self.secret = self.opened_with = "keys"
        self.refused_keys: set[str] = set()
        self.cannot_open = None                           # a NotConnectable: why the adapter can't be made
        self.uid_of = {"keys": "42", "newer keys": "42", "another's keys": "43"}
        self.stamps: list[int] = []
        self.calls: list[str] = []
        self.clock_jump_ms = 0
        self.visibility_ms = 0                            # how long an accepted order is hidden from every reading
        self.trades_lag_ms = 0                            # how much later than its order's total a trade is listed
        self.cancel_takes_s = 0.0                         # how long after a cancel was accepted the order ends
        self.late_fill: str | None = None                 # filled at a cancel, and not yet known to its answer
        self.accepted: Callable[[], None] = lambda: None  # called after each acceptance
        self.written: Callable[[str], None] = lambda client_order_id: None   # called as the bytes of a submit leave
        self.budget_s = 0.0                               # how long the adapter's rate budget lets a request wait before it is stamped
        self.flight_s = 0.0                               # how long a request is on its way; it arrives whatever becomes of its sender
        self.refuses_old = False                          # a request older than the window is refused (A1)
        self.at_the_wire: Callable[[], Awaitable[None]] | None = None   # between the gate and the first byte: where a process may be stopped
        self.taken_back = 0                               # executions; no id is used again
        self._streams: set[asyncio.Queue[object]] = set()

    def now_ms(self) -> int:
        return self.clock_source.wall_ms() + self.clock_jump_ms

    # ── What happens at the venue ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def fill(self, client_order_id: str, quantity: str, *, tell: bool = True) -> None:
        order = next(order for order in self.named(client_order_id) if not order.status.ended)
        trade = Trade(trade_id=str(101 + self.taken_back + sum(map(len, self.trades_of.values()))), symbol=order.symbol, exchange_order_id=order.exchange_order_id,
                      quantity=Decimal(quantity), price=order.price or Decimal(50000), time_ms=self.now_ms(), fee=Fee("USDT", Decimal("0.1")))
        self.trades_of[order.exchange_order_id].append(trade)
        filled = order.filled_quantity + trade.quantity
        self._set(replace(order, filled_quantity=filled, filled_quote_quantity=(order.filled_quote_quantity or Decimal(0)) + trade.quantity * trade.price,
                          status=OrderStatus.FILLED if filled >= (order.quantity or 0) else order.status, update_time_ms=self.now_ms()), trade if tell else None, tell)
        self._end_the_others(client_order_id, OrderStatus.EXPIRED, tell)

    def waits_in_its_list(self, client_order_id: str) -> bool:
        """Whether the order is placed only once the first of its list is filled whole."""
        found = next((one for one in self.lists.values() if client_order_id in one.client_order_ids), None)
        if not self.keeps_lists or found is None or self._list_modes[found.list_id] == "OneCancelsOther" or found.client_order_ids[0] == client_order_id:
            return False
        return self.named(found.client_order_ids[0])[-1].status is not OrderStatus.FILLED

    def _end_the_others(self, client_order_id: str, status: OrderStatus, tell: bool) -> None:
        """A list's rules: a fill of one of two ends the other, and so does a cancel of any; a fill of the first lets the others live."""
        for found in self.lists.values() if self.keeps_lists else ():
            first = self._list_modes[found.list_id] != "OneCancelsOther" and found.client_order_ids[0] == client_order_id
            if client_order_id not in found.client_order_ids or (first and status is OrderStatus.EXPIRED):
                continue
            for other in (order for one in found.client_order_ids if one != client_order_id for order in self.named(one) if not order.status.ended):
                self._set(replace(other, status=status, update_time_ms=self.now_ms()), tell=tell)

    def bust(self, trade_id: str) -> None:
        """The venue takes an execution back."""
        for number, trades in self.trades_of.items():
            for trade in [trade for trade in trades if trade.trade_id == trade_id]:
                trades.remove(trade)
                self.taken_back += 1
                order = replace(fills.bust(self.orders_by_id[number], trade), update_time_ms=self.now_ms())
                self.orders_by_id[number] = order
                for stream in self._streams:
                    stream.put_nowait(Bust(order.client_order_id, trade, self.now_ms()))

    def _set(self, order: ExchangeOrder, trade: Trade | None = None, tell: bool = True) -> ExchangeOrder:
        self.orders_by_id[order.exchange_order_id] = order
        for stream in self._streams if tell else ():
            stream.put_nowait(OrderUpdate(order, trade))
        return order

    def _new(self, request) -> ExchangeOrder:
        number = str(1000 + len(self.orders_by_id))
        self.trades_of[number] = []
        return self._set(ExchangeOrder(
            client_order_id=request.client_order_id, exchange_order_id=number, symbol=request.symbol, side=request.side, type=request.type, status=OrderStatus.OPEN,
            quantity=request.quantity, filled_quantity=Decimal(0), filled_quote_quantity=Decimal(0), price=request.price, trigger_price=request.trigger_price,
            update_time_ms=self.now_ms(), created_time_ms=self.now_ms(),
        ), tell=False)

    def named(self, client_order_id: str) -> list[ExchangeOrder]:
        return [order for order in self.orders_by_id.values() if order.client_order_id == client_order_id]

    def _shown(self) -> list[ExchangeOrder]:
        return [order for order in self.orders_by_id.values()
                if order.created_time_ms + self.visibility_ms <= self.now_ms() and order.exchange_order_id not in self.forgotten]

    # ── The port ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def clock(self):
        now = self.clock_source.monotonic()
        return ClockReading(self.now_ms(), now, now) if self.reachable else Unreachable("silent")

    async def fingerprint(self):
        return (self.uid_of[self.opened_with] if self.opened_with not in self.refused_keys else Refused("-2015", "Invalid API-key")) if self.reachable else Unreachable("silent")

    async def markets(self, *, reload: bool = False):
        self.market_reads += reload
        if not reload and self.keeps_markets and self.read_markets is not None:
            return self.read_markets
        if reload and self.markets_reply is not None:
            return await self.markets_reply()
        self.read_markets = {self.market.symbol: self.market} if self.listed else {}
        return self.read_markets

    def recall(self, market) -> None:
        self.recalled.append(market)

    def _judged(self, request) -> Refused | None:
        """By the market as it is, whatever its list says."""
        market = self.market
        if not self.judges:
            return None
        if not market.active:
            return Refused("-1013", "Market is closed", RefusalKind.MARKET_CLOSED)
        if request.quantity is not None and (request.quantity % market.quantity_step or request.quantity < (market.min_quantity or 0)):
            return Refused("-1013", "Filter failure: LOT_SIZE", RefusalKind.MARKET_RULES)
        if request.price is not None and request.price % market.price_step:
            return Refused("-1013", "Filter failure: PRICE_FILTER", RefusalKind.MARKET_RULES)
        return None

    async def last_price(self, symbol: str):
        self.calls.append("last_price")
        return self.last if self.reachable and self.last is not None else Unreachable("silent")

    async def cleared(self, clearance) -> int | Closed:
        """Rule 4: the budget, then the stamp, then the gate. The stamp, or why nothing may be sent."""
        if self.budget_s:
            await asyncio.sleep(self.budget_s)
        stamp = clearance.stamp()
        return stamp if isinstance(stamp, Closed) else clearance.check(stamp) or stamp

    async def _carry(self, arrive: Callable[[], Awaitable[object]]):
        """A request on its way: it arrives whether or not its sender lives to read the answer."""
        if self.at_the_wire is not None:
            await self.at_the_wire()
        if not self.flight_s:
            return await arrive()

        async def fly():
            await asyncio.sleep(self.flight_s)
            return await arrive()

        return await asyncio.shield(asyncio.get_running_loop().create_task(fly(), context=contextvars.Context()))

    def _too_old(self, stamp: int) -> bool:
        ahead_ms = stamp - self.now_ms()
        return self.refuses_old and not -self.capabilities.request_window_ms <= ahead_ms <= self.capabilities.accepts_ahead_ms

    async def submit(self, request, clearance):
        self.calls.append("submit")
        stamp = await self.cleared(clearance)
        if isinstance(stamp, Closed):
            return NotSent(stamp.reason)
        self.stamps.append(stamp)
        self.written(request.client_order_id)
        return await self._carry(lambda: self._take_order(request, stamp))

    async def _take_order(self, request, stamp: int):
        if not self.reachable:
            return Unknown("silent")
        if self._too_old(stamp):
            return TimeRefused("outside of the window")
        if request.quantity is not None and request.quantity > 1000:
            return Refused("-2010", "Account has insufficient balance for requested action")
        if (refused := self._judged(request)) is not None:
            return refused
        order = self._new(request)
        number = order.exchange_order_id
        self.accepted()
        if self.fills_at_once:
            self.fill(request.client_order_id, str(request.quantity), tell=False)
            order = self.orders_by_id[number]
        if self.hold_reply is not None:
            await self.hold_reply.wait()
        return self.reply(order) if self.reply is not None else Accepted(order, tuple(self.trades_of[number]))

    async def submit_group(self, request, clearance):
        """All of them become orders at once; what then becomes of one because of another is the story's to tell, unless the exchange `keeps_lists`."""
        self.calls.append("submit_group")
        stamp = await self.cleared(clearance)
        if isinstance(stamp, Closed):
            return NotSent(stamp.reason)
        self.stamps.append(stamp)
        for leg in request.legs:
            self.written(leg.request.client_order_id)
        return await self._carry(lambda: self._take_group(request, stamp))

    async def _take_group(self, request, stamp: int):
        if not self.reachable:
            return Unknown("silent")
        if self._too_old(stamp):
            return TimeRefused("outside of the window")
        ids = tuple(leg.request.client_order_id for leg in request.legs)
        if request.list_id in self.lists or any(not order.status.ended for one in ids for order in self.named(one)):
            return Duplicate("-2010")
        if (refused := next((one for leg in request.legs if (one := self._judged(leg.request)) is not None), None)) is not None:
            return refused
        if any(leg.request.quantity > 1000 for leg in request.legs):
            return Refused("-2010", "Account has insufficient balance for requested action")
        orders = tuple(self._new(leg.request) for leg in request.legs)
        self._list_modes[request.list_id] = request.mode
        self.lists[request.list_id] = GroupFound(request.list_id, str(1 + len(self.lists)), ids)
        self.accepted()
        accepted = GroupAccepted(request.list_id, self.lists[request.list_id].exchange_list_id, orders)
        return self.group_reply(accepted) if self.group_reply is not None else accepted

    async def cancel(self, ref, clearance):
        self.calls.append("cancel")
        stamp = await self.cleared(clearance)
        if isinstance(stamp, Closed):
            return NotSent(stamp.reason)
        return await self._carry(lambda: self._take_cancel(ref, stamp))

    async def _take_cancel(self, ref, stamp: int):
        if not self.reachable:
            return Unknown("silent")
        if self._too_old(stamp):
            return TimeRefused("outside of the window")
        for order in self.named(ref.client_order_id):
            if not order.status.ended:
                if self.late_fill is not None:
                    self.fill(order.client_order_id, self.late_fill, tell=False)
                if self.cancel_takes_s:
                    asyncio.get_running_loop().call_later(self.cancel_takes_s, self._cancel, order.exchange_order_id, context=contextvars.Context())
                    return Accepted(order)
                self._cancel(order.exchange_order_id)
                return Accepted(replace(order, status=OrderStatus.CANCELED, update_time_ms=self.now_ms()))
        return UnknownOrder("-2011")

    def _cancel(self, exchange_order_id: str) -> None:
        order = self.orders_by_id[exchange_order_id]
        if not order.status.ended:
            self._set(replace(order, status=OrderStatus.CANCELED, update_time_ms=self.now_ms()), tell=False)
            self._end_the_others(order.client_order_id, OrderStatus.CANCELED, tell=True)

    async def amend(self, ref, request, clearance):
        self.calls.append("amend")
        stamp = clearance.stamp()
        if isinstance(stamp, Closed) or clearance.check(stamp) is not None:
            return NotSent("closed")
        if not self.reachable:
            return Unknown("silent")
        live = [order for order in self.named(ref.client_order_id) if not order.status.ended]
        if not live:
            return UnknownOrder("-2013")
        if request.quantity <= live[-1].filled_quantity:
            return Refused("-2038", "Order amend is not supported on this quantity")
        order = self._set(replace(live[-1], quantity=request.quantity, price=request.price, trigger_price=request.trigger_price, update_time_ms=self.now_ms()), tell=False)
        self.accepted()
        return self.amend_reply(order) if self.amend_reply is not None else Accepted(order)

    async def replace(self, ref, request, clearance):
        """Fill-aware: what the old order filled is taken off the new one."""
        self.calls.append("replace")
        stamp = clearance.stamp()
        if isinstance(stamp, Closed) or clearance.check(stamp) is not None:
            return Replaced(NotSent("closed"), NotSent("closed"))
        if not self.reachable:
            return Replaced(Unknown("silent"), Unknown("silent"))
        live = [order for order in self.named(ref.client_order_id) if not order.status.ended]
        if not live:
            return Replaced(UnknownOrder("-2011"), Refused("-2021", "Order cancel-replace partially failed"))
        if self.late_fill is not None:
            self.fill(ref.client_order_id, self.late_fill, tell=False)
        old = self.orders_by_id[live[-1].exchange_order_id]
        cancelled = self._set(replace(old, status=OrderStatus.CANCELED, update_time_ms=self.now_ms()), tell=False)
        made = self._new(replace(request, quantity=request.quantity - old.filled_quantity))
        self.accepted()
        return self.replace_reply(cancelled, made) if self.replace_reply is not None else Replaced(Accepted(cancelled), Accepted(made))

    async def _answers_a_reading(self) -> bool:
        if self.reads_take_s:
            await asyncio.sleep(self.reads_take_s)
        return self.reachable and self.readable

    async def lookup(self, ref):
        self.calls.append("lookup")
        if not await self._answers_a_reading():
            return Unreachable("silent")
        by_id = [order for order in self._shown() if order.exchange_order_id == ref.exchange_order_id]
        found = by_id if ref.exchange_order_id is not None else [order for order in self._shown() if order.client_order_id == ref.client_order_id]
        return Found(found[-1]) if found else NotFound()

    async def lookup_group(self, symbol, list_id):
        self.calls.append("lookup_group")
        if not await self._answers_a_reading():
            return Unreachable("silent")
        return self.lists.get(list_id) or NotFound()

    async def balances(self):
        return Listing(tuple(self.held_balances), True) if self.reachable else Unreachable("silent")

    async def positions(self, symbol=None):
        return Listing(tuple(one for one in self.held_positions if symbol in (None, one.symbol)), True) if self.reachable else Unreachable("silent")

    async def open_orders(self, symbol=None):
        self.calls.append("open_orders")
        answered = await self._answers_a_reading()
        return Listing(tuple(order for order in self._shown() if not order.status.ended and order.exchange_order_id not in self.unlisted), True) if answered and self.opened_with not in self.refused_keys else Unreachable("silent")

    async def orders(self, symbol, since_ms):
        self.calls.append("orders")
        answered = await self._answers_a_reading()
        return Listing(tuple(order for order in self._shown() if order.created_time_ms >= since_ms), True) if answered else Unreachable("silent")

    async def trades(self, symbol, *, since_ms=None, exchange_order_id=None):
        if not await self._answers_a_reading():
            return Unreachable("silent")
        shown = {order.exchange_order_id for order in self._shown()}
        chosen = [trade for number, trades in self.trades_of.items() for trade in trades
                  if exchange_order_id in (None, number) and number in shown and trade.trade_id not in self.lost_trades and trade.time_ms + self.trades_lag_ms <= self.now_ms() and trade.time_ms >= (since_ms or 0)]
        return Listing(tuple(chosen), True)

    async def stream(self):
        queue: asyncio.Queue[object] = asyncio.Queue()
        self._streams.add(queue)
        try:
            yield Gap.SUBSCRIBED
            while True:
                yield await queue.get()
        finally:
            self._streams.discard(queue)

    async def close(self):
        pass


class HeldLease:
    """Ownership that is granted after its term is waited out, and kept until told otherwise."""

    duration, identity = 6.0, "this-process"
    elsewhere = False

    def __init__(self) -> None:
        self.clock, self.lost, self.renewing, self._renewed = LoopClock(), asyncio.Event(), True, 0.0

    @property
    def held_until(self) -> float:
        return self._renewed + self.duration

    async def look(self):
        pass

    async def acquire(self):
        self.lost.clear()
        await asyncio.sleep(self.duration)
        self._renewed = self.clock.monotonic()

    async def hold(self, before_renewal, renewed):
        while not self.lost.is_set() and self.clock.monotonic() < self.held_until:
            if self.renewing:
                at = self.clock.monotonic()
                before_renewal(at)
                self._renewed = at
                renewed(at)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.lost.wait(), 1.5)

    async def release(self):
        pass


class Keys:
    """The account's Secret, which the exchange takes or not (`refused_keys`), and what was last opened with."""

    def __init__(self, exchange):
        self.exchange, self.used = exchange, None

    async def open(self, account):
        if (problem := self.exchange.cannot_open) is not None:
            return problem
        self.used = self.exchange.opened_with = self.exchange.secret
        self.exchange.read_markets = None
        return self.exchange

    async def outdated(self, account):
        return self.exchange.secret != self.used


class OneAccount:
    """The accounts; most tests have one."""

    def __init__(self, record):
        self.first, self.records, self.writes, self.changed = record.uid, {record.uid: record}, 0, lambda uid: None

    @property
    def record(self):
        return self.records[self.first]

    @record.setter
    def record(self, record):
        self.records[self.first] = record

    def put(self, record):
        self.records[record.uid] = record
        self.changed(record.uid)
        return True

    def delete(self, uid):
        record = self.records[uid]
        if record.finalizer:
            self.put(replace(record, deleting=True))
        else:
            self.records.pop(uid)
            self.changed(uid)

    def all(self):
        return list(self.records.values())

    def get(self, uid):
        return self.records.get(uid)

    def named(self, namespace, name):
        return next((record for record in self.records.values() if (record.namespace, record.name) == (namespace, name)), None)

    async def read(self, uid):
        return self.get(uid)

    async def list_all(self):
        return tuple(self.records.values())

    async def missing(self, namespace, name):
        return self.named(namespace, name) is None

    async def write_status(self, record, status):
        if record.uid in self.records and record.status != status:
            self.writes += 1
            self.put(replace(self.records[record.uid], status=status))
        return True

    async def add_finalizer(self, record):
        return self.put(replace(self.records[record.uid], finalizer=True))

    async def remove_finalizer(self, record):
        self.put(replace(self.records[record.uid], finalizer=False))
        if record.deleting:
            self.delete(record.uid)
        return True


def an_account_record(**spec) -> AccountRecord:
    values = {"exchange": "binance", "environment": "Simulated", "endpoint": {"rest": "http://sim"}, "credentialsSecretRef": {"name": "keys"}, "resyncSeconds": 5, **spec}
    return AccountRecord(uid="aaaa-account", namespace="default", name="main", generation=1, resource_version="1", created_ms=T0,
                         spec=ExchangeAccountSpec.model_validate(values), status=ExchangeAccountStatus())


class Desk:
    """One life of the operator process."""

    def __init__(self, exchange: ScriptedExchange, store: MemoryIntentStore, accounts: OneAccount, lease: Ownership | None = None, events=None, journal=None, exchanges: dict[str, ScriptedExchange] | None = None,
                 groups: MemoryGroupStore | None = None, limits: MemoryLimitStore | None = None, speaks: Speaks = alone, clock: Clock | None = None,
                 rereads: bool = False) -> None:
        events, journal = events or NoEvents(), journal or NoJournal()
        self.exchange, self.store, self.accounts, self.memory, self.lease = exchange, store, accounts, Memory(), lease or HeldLease()
        self.group_store = groups or MemoryGroupStore(lambda uid: None, LoopClock().wall_ms)
        clock = clock or LoopClock()

        def new_session(account, changed):
            return AccountSession(account, opener=Keys((exchanges or {}).get(account.uid, exchange)), ownership=self.lease if account.uid == accounts.record.uid else HeldLease(), store=store, accounts=accounts, memory=self.memory, clock=clock, owner=OWNER,
                                  wake=self.reconcilers.wake_intent, changed=changed, events=events, journal=journal, limits=limits,
                                  groups=self.group_store, wake_group=self.reconcilers.group_wakeups.wake, rested=lambda: self.reconcilers.rested(account), rereads=rereads)

        self.reconcilers = Reconcilers(accounts=accounts, groups=self.group_store, intents=store, memory=self.memory, clock=clock, new_session=new_session, events=events, journal=journal, speaks=speaks)
        self.account_keys, self.groups, self.intents = self.reconcilers.account_wakeups, self.reconcilers.group_wakeups, self.reconcilers.intent_wakeups
        self.account_reconciler, self.group_reconciler, self.intent_reconciler = self.reconcilers.account_reconciler, self.reconcilers.group_reconciler, self.reconcilers.intent_reconciler
        self.wake_intent = self.reconcilers.wake_intent

    def boot(self) -> None:
        self.accounts.changed = self.account_keys.wake
        for account in self.accounts.all():
            self.account_keys.wake(account.uid)
        self._ticking = asyncio.create_task(self._tick())

    async def ready(self) -> None:
        await until(lambda: self.account_reconciler._running and self.account_reconciler.all_ready(), within=60)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            for account in self.accounts.all():
                if not account.deleting:  # kopf's timers end there
                    await self.account_reconciler.sweep(account.uid)

    @property
    def session(self) -> AccountSession:
        return self.account_reconciler._running[self.accounts.record.uid].session

    async def stop(self) -> None:
        self._ticking.cancel()
        await self.groups.close(within=0)
        await self.intents.close(within=0)
        await self.account_reconciler.close()
        await self.account_keys.close(within=1)

    def kill(self) -> None:
        """Gone, with all it had in memory."""
        self._ticking.cancel()
        for wakeups in (self.groups, self.intents, self.account_keys):
            wakeups._closed = True
            for task in list(wakeups._running.values()):
                task.cancel()
            for timer in wakeups._timers.values():
                timer.cancel()
        for running in self.account_reconciler._running.values():
            for task in (*running.session._under_way, *running.session.readings.under_way.values()):
                task.cancel()
            running.task.cancel()


class World:
    """An exchange and a store, and the lives of the operator between them."""

    lease: Callable[[], Ownership] = HeldLease
    clock: Callable[[], Clock] = LoopClock  # of the operator's machine
    rereads = False  # whether the account is read again beside its watch: here a watch is never deaf

    def __init__(self, through: Callable[[object], object] = lambda room: room, **account_spec) -> None:
        self.exchange, self.accounts, self.desk, self._through = ScriptedExchange(), OneAccount(an_account_record(**account_spec)), None, through
        self.events, self.journal = None, None     # who is told, in all lives
        self.exchanges: dict[str, ScriptedExchange] = {}      # of accounts that are at another one, by UID
        self.store = MemoryIntentStore(lambda uid: self.desk.wake_intent(uid) if self.desk is not None else None, LoopClock().wall_ms)
        self.store.gone = lambda record: self.desk.reconcilers.intent_gone(record) if self.desk is not None else None
        self.limits = MemoryLimitStore(self._limits_changed)
        self.groups = MemoryGroupStore(lambda uid: self.desk.groups.wake(uid) if self.desk is not None else None, LoopClock().wall_ms)

    def _limits_changed(self, namespace: str) -> None:
        for record in self.store.of_account(namespace, "main") if self.desk is not None else ():
            self.desk.intents.wake(record.uid)

    def boot(self) -> Desk:
        """A process begins; `through` may stand between it and its store and exchange."""
        self.desk = Desk(self._through(self.exchange), self._through(self.store), self._through(self.accounts), self._through(self.lease()), self.events, self.journal, self.exchanges, self._through(self.groups), self.limits, clock=self.clock(), rereads=self.rereads)
        self.desk.boot()
        return self.desk

    async def start(self) -> Desk:
        desk = self.boot()
        await desk.ready()
        return desk

    async def crash(self) -> None:
        self.kill()
        await asyncio.sleep(0)

    def kill(self) -> None:
        """The process is gone, with all it had in memory; what it had sent is at the exchange."""
        desk, self.desk = self.desk, None
        desk.kill()
        self.store.forget_creations()

    def status(self, uid: str):
        return self.store.get(uid).status


@asynccontextmanager
async def a_world():
    world = World()
    try:
        yield world
    finally:
        if world.desk is not None:
            await world.desk.stop()


async def until(check: Callable[[], object], within: float = 60.0) -> None:
    """Wait in virtual time."""
    deadline = asyncio.get_running_loop().time() + within
    while not check():
        assert asyncio.get_running_loop().time() < deadline, "not within the time"
        await asyncio.sleep(0.05)
