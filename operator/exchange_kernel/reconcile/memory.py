"""What this process knows and no store does: send records, cancels, and the account's orders as its exchange has told them.

Keyed by the account at the exchange with its market type, and there by client order id or UID, never by name: one id may name an order on each of two
markets. Send records outlive the account session and its object, and end only with a definite outcome (rule 3). Orders that no intent follows any more
are in `let_go.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from exchange_kernel.core import fills
from exchange_kernel.core.absence import Evidence
from exchange_kernel.core.answers import Bust, ExchangeOrder, OrderKey, Trade
from exchange_kernel.core.money import ZERO, add, subtract
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.resolution import is_told
from exchange_kernel.core.sending import CancelRecord, SendRecord, SendStage, Terms
from exchange_kernel.reconcile.let_go import LetGo, UnattributedFill


@dataclass(slots=True)
class OrderMemory:
    """One client order id's worth of memory."""

    send: SendRecord | None = None
    cancel: CancelRecord = field(default_factory=CancelRecord)
    amend: SendRecord | None = None
    asked: set[Terms] = field(default_factory=set)  # the terms of every request for it, and of every amend
    order: ExchangeOrder | None = None
    others: dict[str, ExchangeOrder] = field(default_factory=dict)  # further exchange ids under the same client id: shown, never merged
    trades: dict[str, Trade] = field(default_factory=dict)
    busts: dict[str, Bust] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    looked_up_ms: int | None = None
    ended_ms: int | None = None
    settle_read_ms: int | None = None
    missing_ms: int | None = None  # since when complete lists did not have it, though we believed it open
    not_found: tuple[int, int] | None = None  # first and last time (venue ms) it was not found by id, since the last report of it
    reads_in_vain: int = 0  # readings in a row that explained nothing new
    reported_ms: int = 0  # venue time of our last report of it

    def forget_reports(self) -> None:
        """What was told of an order under this id was of another market: all that is ours of it is what was asked."""
        self.order, self.others, self.trades, self.busts = None, {}, {}, {}
        self.ended_ms = self.settle_read_ms = self.missing_ms = None


class Memory:
    """All of it, for one process: what each account's sessions remember, whichever of its objects they are of."""

    def __init__(self) -> None:
        self._accounts: dict[Hashable, AccountMemory] = {}
        self.gone: dict[str, OrderRecord] = {}  # by UID: intents deleted past their finalizer that go on here, as deleted ones (rule 11)

    def at(self, place: Hashable) -> AccountMemory:
        """The memory of one account at its exchange (`admission.place_of`), which a recreated object goes on with."""
        return self._accounts.setdefault(place, AccountMemory())

    def gone_of(self, namespace: str, account: str) -> list[OrderRecord]:
        """The intents of this ExchangeAccount that go on in memory."""
        return [record for record in self.gone.values() if (record.namespace, record.spec.account_ref.name) == (namespace, account)]

    def sent_for(self, uid: str) -> bool:
        """Whether anything was ever handed to an adapter for this intent, or seen of it at the exchange, and has not been forgotten."""
        return any(memory.sent_for(uid) for memory in self._accounts.values())

    def forget_intent(self, record: OrderRecord) -> None:
        """All of one intent that is let go, wherever it is remembered."""
        self.gone.pop(record.uid, None)
        for memory in self._accounts.values():
            memory.forget_intent(record)

    def leave(self, uid: str, client_order_id: str, told: Decimal) -> None:
        """One attempt of an intent that its status does not tell of from now on, wherever it is remembered."""
        for memory in self._accounts.values():
            if memory.uid_of(client_order_id) == uid:
                memory.leave(client_order_id, told)

    def unsettled(self, account: str) -> bool:
        """Whether something of this ExchangeAccount may be live: an order not seen ended, or a send of which the outcome is not known."""
        return any(memory.unsettled(account) for memory in self._accounts.values())


class AccountMemory:
    """Of one account at its exchange. Two ExchangeAccount objects on it share what is remembered; each has the intents that are bound to it."""

    def __init__(self) -> None:
        self._orders: dict[str, OrderMemory] = {}
        self._uid_of: dict[str, str] = {}  # client order id → intent
        self._ids_of: dict[str, tuple[str, ...]] = {}  # and the other way
        self._account_of: dict[str, str] = {}  # client order id → ExchangeAccount
        self._own: dict[str, tuple[str, str | None]] = {}  # client order id → the symbol and the exchange order id that it has with its intent
        self._client_id_of: dict[OrderKey, str] = {}  # the order at the exchange → client order id
        self._beyond: dict[str, int] = {}  # by intent: its newest attempt that was seen at the exchange, where its status lacks it
        self.let_go = LetGo()
        self._untold: list[UnattributedFill] = []
        self._filled: dict[str, dict[tuple[str, str], Decimal]] = {}  # by account, then by symbol and side: all that it was told of while it ran
        self._unattributed: dict[str, int] = {}  # executions counted so far, by account; status has had all but the last of them

    def of(self, client_order_id: str) -> OrderMemory:
        found = self._orders.get(client_order_id)
        if found is None:
            found = self._orders[client_order_id] = OrderMemory()
        return found

    def peek(self, client_order_id: str) -> OrderMemory | None:
        return self._orders.get(client_order_id)

    def filled(self, client_order_id: str) -> Decimal:
        """How much of it the exchange has told of."""
        known = self._orders.get(client_order_id)
        return known.order.filled_quantity if known is not None and known.order is not None else ZERO

    def bind(self, client_order_id: str, uid: str, account: str, own: tuple[str, str | None] | None = None) -> None:
        """The intent `uid`, on the ExchangeAccount `account`, follows this id.

        `own`: the symbol, and the exchange order id where it is recorded, of an id that is this intent's alone. None for an order that is only looked for
        by its key: whatever has the id is told, and is the intent's if it agrees.
        """
        if (before := self._uid_of.get(client_order_id)) != uid:
            self._unbind(client_order_id, before)
            self._ids_of[uid] = (*self._ids_of.get(uid, ()), client_order_id)
        self._uid_of[client_order_id], self._account_of[client_order_id] = uid, account
        self.let_go.take_back(client_order_id)
        if own is None:
            self._own.pop(client_order_id, None)
            return
        self._own[client_order_id] = own
        known = self._orders.get(client_order_id)
        if known is not None and known.order is not None and self._of_another_market(known.order):
            known.forget_reports()

    def _unbind(self, client_order_id: str, uid: str | None) -> None:
        """Take the id from the intent that followed it, if one did."""
        if uid is None:
            return
        if others := tuple(one for one in self._ids_of[uid] if one != client_order_id):
            self._ids_of[uid] = others
        else:
            del self._ids_of[uid]

    def _of_another_market(self, order: ExchangeOrder) -> bool:
        """Whether an order is not the one that its id is bound to. The exchange may have renamed a market: its own id for the order stays."""
        symbol, exchange_order_id = self._own.get(order.client_order_id, (order.symbol, None))
        if order.symbol == symbol or order.exchange_order_id == exchange_order_id:
            return False
        known = self._orders.get(order.client_order_id)
        return known is None or known.order is None or known.order.symbol != symbol or known.order.exchange_order_id != order.exchange_order_id

    def reaches(self, uid: str, number: int) -> None:
        """Note that an order of this attempt was seen, of which the intent's status knows nothing."""
        self._beyond[uid] = max(number, self._beyond.get(uid, 0))

    def reach_of(self, uid: str) -> int:
        """The newest attempt noted so; 0 if there is none."""
        return self._beyond.get(uid, 0)

    def uid_of(self, client_order_id: str) -> str | None:
        return self._uid_of.get(client_order_id)

    def sent_for(self, uid: str) -> bool:
        """Whether anything was ever handed to an adapter for this intent, or seen of it at the exchange, and has not been forgotten."""
        known = (self._orders.get(client_order_id) for client_order_id in self._ids_of.get(uid, ()))
        return any(one is not None and (one.send is not None or one.order is not None) for one in known)

    def forget_intent(self, record: OrderRecord) -> None:
        """All of one intent that is let go. What its status does not tell of its fills, and what fills from now on, is unattributed (H20)."""
        self._beyond.pop(record.uid, None)
        for client_order_id in self._ids_of.get(record.uid, ()):
            self.leave(client_order_id, told_of(record, client_order_id))

    def leave(self, client_order_id: str, told: Decimal | None) -> None:
        """One id that no intent's status tells of from now on. `told`: how much of its fills was told; None: all of them."""
        account = self._account_of.pop(client_order_id)
        self._unbind(client_order_id, self._uid_of.pop(client_order_id))
        self._own.pop(client_order_id, None)
        known, left = self._orders.pop(client_order_id, None), told
        if known is None or known.order is None:
            return
        for order in (known.order, *known.others.values()):
            self._client_id_of.pop(order.key, None)
            told = order.filled_quantity if left is None else min(order.filled_quantity, left)
            left = None if left is None else subtract(left, told)
            self.let_go.add(account, client_order_id, {order.exchange_order_id: told}, whole=True)
            self._note(order, tuple(trade for trade in known.trades.values() if trade.order_key == order.key and told == 0))

    def learn(self, order: ExchangeOrder, trades: tuple[Trade, ...], venue_ms: int) -> str | None:
        """Take in a report of an order, in any order of arrival. Returns the UID of the intent to wake, if something is new."""
        if order.client_order_id in self.let_go:
            self._note(order, trades)
            return None
        if self._of_another_market(order):
            return None
        known = self.of(order.client_order_id)
        if known.order is not None and order.filled_quantity > known.order.filled_quantity and _before_a_bust(order, known):
            return None
        before = (known.order, len(known.trades), len(known.others))
        if known.order is not None and known.order.exchange_order_id != order.exchange_order_id:
            known.others[order.exchange_order_id] = order
        else:
            known.order = fills.merge(known.order, order)
            self._client_id_of[order.key] = order.client_order_id
            self._keep(known, trades)
        known.missing_ms = known.not_found = None
        known.reported_ms = max(known.reported_ms, venue_ms)
        if known.order.status.ended and known.ended_ms is None:
            known.ended_ms = venue_ms
        self._count(order, before[0], known)
        changed = before != (known.order, len(known.trades), len(known.others))
        if changed:
            known.reads_in_vain = 0
        return self._uid_of.get(order.client_order_id) if changed else None

    def _count(self, told: ExchangeOrder, before: ExchangeOrder | None, known: OrderMemory) -> None:
        """Add what is newly filled to the account's total of its market and side."""
        account = self._account_of.get(told.client_order_id)
        if account is None or known.order is None or known.order.exchange_order_id != told.exchange_order_id:
            return
        more = subtract(known.order.filled_quantity, before.filled_quantity if before is not None else ZERO)
        if more > 0:
            totals, key = self._filled.setdefault(account, {}), (told.symbol, told.side)
            totals[key] = add(totals.get(key, ZERO), more)

    def fills_of(self, account: str) -> dict[tuple[str, str], Decimal]:
        """How much this process was told of as filled, by symbol and side. It never falls; only its growth means anything."""
        return dict(self._filled.get(account, {}))

    def filled_of(self, account: str, symbol: str, side: str) -> Decimal:
        return self._filled.get(account, {}).get((symbol, side), ZERO)

    def of_account(self, account: str) -> list[tuple[str, OrderMemory]]:
        """What is known of each id that an intent of this ExchangeAccount follows, with the intent's UID."""
        return [
            (self._uid_of[client_order_id], known)
            for client_order_id, bound in self._account_of.items()
            if bound == account and (known := self._orders.get(client_order_id)) is not None
        ]

    def learn_bust(self, bust: Bust) -> str | None:
        """Take an execution back, once. Returns the UID of the intent to wake, if this is news."""
        if bust.client_order_id in self.let_go:
            return None
        symbol, exchange_order_id = self._own.get(bust.client_order_id, (bust.trade.symbol, None))
        known = self.of(bust.client_order_id)
        ours = (exchange_order_id, known.order.exchange_order_id if known.order is not None else None)
        if bust.trade.symbol != symbol and bust.trade.exchange_order_id not in ours:
            return None
        if bust.trade.trade_id in known.busts:
            return None
        known.busts[bust.trade.trade_id] = bust
        known.trades.pop(bust.trade.trade_id, None)
        if known.order is not None and (known.order.update_time_ms or 0) <= bust.time_ms:
            known.order = fills.bust(known.order, bust.trade)
        return self._uid_of.get(bust.client_order_id)

    def learn_absent(self, client_order_id: str, began_ms: int) -> None:
        """Note that the venue answered a look-up by id, begun at `began_ms` (venue time), with "no such order"."""
        known = self.of(client_order_id)
        known.not_found = (known.not_found[0] if known.not_found is not None else began_ms, began_ms)

    def revive(self, order: ExchangeOrder, began_ms: int, after_ms: int) -> None:
        """Take back an end that a reading contradicts: one that began `after_ms` after we heard of the end, and shows the order open."""
        known = self._orders.get(order.client_order_id)
        if known is None or known.order is None or known.ended_ms is None or order.status.ended or known.order.exchange_order_id != order.exchange_order_id:
            return
        if known.order.status.ended and began_ms >= known.ended_ms + after_ms and order.filled_quantity >= known.order.filled_quantity:
            known.order, known.ended_ms, known.settle_read_ms = order, None, None

    def learn_trades(self, client_order_id: str, trades: tuple[Trade, ...]) -> None:
        if client_order_id not in self.let_go:
            self._keep(self.of(client_order_id), trades)

    @staticmethod
    def _keep(known: OrderMemory, trades: tuple[Trade, ...]) -> None:
        for trade in trades:
            if trade.trade_id not in known.busts:
                known.trades.setdefault(trade.trade_id, trade)

    def knows_order(self, key: OrderKey) -> bool:
        return key in self._client_id_of

    def believed_open(self, belongs: Callable[[str], bool], before_ms: int) -> list[str]:
        """Client order ids of `belongs`' orders that we believe open by reports older than `before_ms`."""
        return [
            client_order_id
            for client_order_id, known in self._orders.items()
            if known.order is not None and not known.order.status.ended and known.reported_ms < before_ms and belongs(client_order_id)
        ]

    def account_of(self, client_order_id: str) -> str | None:
        """The ExchangeAccount of the intent that follows this id."""
        return self._account_of.get(client_order_id)

    def begin_term(self, belongs: Callable[[str], bool], version_of: Callable[[str], str | None]) -> None:
        """Forget that something was provably not at the exchange: while the account was not ours, another holder may have sent it (7).

        What may be there, and what was seen there, is kept. So is a refusal of which the intent stands as it stood then, by the term's own list: whoever
        sends what it did not see being created writes that down first (6).
        """
        for client_order_id, known in self._orders.items():
            if not belongs(client_order_id):
                continue
            send = known.send
            untouched = send is not None and send.stage is SendStage.REFUSED and send.version is not None and send.version == version_of(client_order_id)
            if send is not None and not send.open_ended and send.stage is not SendStage.ACCEPTED and not untouched:
                known.send = None
            if known.amend is not None and not known.amend.open_ended:
                known.amend = None
            known.evidence, known.not_found = Evidence(), None

    def unsettled(self, account: str) -> bool:
        """Whether something of this account may be live: an order not seen ended, or a send of which the outcome is not known."""
        return any(
            self._account_of.get(client_order_id) == account
            and ((known.send is not None and known.send.open_ended) or (known.order is not None and not known.order.status.ended))
            for client_order_id, known in self._orders.items()
        )

    # ── Executions that no intent tells (rule 11) ───────────────────────────────────────────────────────────────────────────────────────────

    def _note(self, order: ExchangeOrder, trades: tuple[Trade, ...]) -> None:
        if (fill := self.let_go.report(order, trades)) is not None:
            self._untold.append(fill)
            self._unattributed[fill.account] = self._unattributed.get(fill.account, 0) + fill.executions

    def untold(self) -> list[UnattributedFill]:
        """Those noted since this was last asked."""
        told, self._untold = self._untold, []
        return told

    def count_on(self, account: str, counted: int) -> None:
        """A term begins: other processes may have counted up to here meanwhile."""
        self._unattributed[account] = max(counted, self._unattributed.get(account, 0))

    def missing(self, account: str) -> int:
        """Orders that we believed open and a complete list did not have, and of which it is not known yet what became."""
        return sum(known.missing_ms is not None for _, known in self.of_account(account))

    def unattributed(self, account: str) -> int:
        return self._unattributed.get(account, 0)

    def cancelling(self, client_order_id: str, **changes: object) -> None:
        known = self.of(client_order_id)
        known.cancel = replace(known.cancel, **changes)  # type: ignore[arg-type]


def _before_a_bust(order: ExchangeOrder, known: OrderMemory) -> bool:
    """Whether a report is from before an execution of the order was taken back."""
    return order.update_time_ms is not None and any(order.update_time_ms < bust.time_ms for bust in known.busts.values())


def told_of(record: OrderRecord, client_order_id: str) -> Decimal | None:
    """How much of this id's fills the intent's status tells; None if it is not known by itself: an attempt that is summed up with others."""
    if (attempt := record.attempt_of(client_order_id)) is not None:
        return attempt.filled_quantity or ZERO
    return ZERO if record.status.earlier_attempts is None else None


def told_by_a_person(record: OrderRecord, client_order_id: str) -> bool:
    """Whether the intent's status has the end of this id's order by a person's word."""
    attempt = record.attempt_of(client_order_id)
    return attempt is not None and is_told(attempt.reason)
