"""The record of an order and the sight of it, with what every check asks of the two together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property

from exchange_kernel.api import (
    Attempt,
    AttemptStage,
    DeletionPolicy,
    DesiredState,
    LookupAuthority,
    OrderIntentSpec,
    OrderType,
    RefusalKind,
    TriggerPassedPolicy,
)
from exchange_kernel.api.order_intent import MAX_BUSTED
from exchange_kernel.core import absence, fills, resolution
from exchange_kernel.core.answers import OrderStatus, Trade
from exchange_kernel.core.deadline import submit_deadline_passed
from exchange_kernel.core.market_rules import TRIGGERED, as_sent, request_for, unacceptable
from exchange_kernel.core.money import ZERO, add, multiply, quantise_quantity, subtract
from exchange_kernel.core.order import Closing, Now, OrderRecord, Seen
from exchange_kernel.core.resolution import CONTRADICTED, SENT_AGAIN, UNSTAMPED, Resolution, Unusable, is_told
from exchange_kernel.core.risk import Proposal, Refusal, refused
from exchange_kernel.core.sending import SendRecord, SendStage, Terms
from exchange_kernel.core.time_limits import TimeLimit, time_limit
from exchange_kernel.core.venue import MarketRules, OrderRequest

FORGOTTEN_AFTER_MS = 5_000  # apart are two answers by which the exchange does not know a live order any more
MARKETS_WITHIN_MS = 20_000  # so long a refusal by the market's rules waits for a new reading of them
NEVER_LISTED_AFTER_MS = 600_000  # after its end an execution that no reading lists is not waited for any more
OF_THE_MARKET = (RefusalKind.MARKET_RULES, RefusalKind.MARKET_CLOSED)  # refusals after which the markets are read again
AT_MARKET = {"type": OrderType.MARKET} | dict.fromkeys(("price", "trigger_price", "trigger_price_type", "trailing", "time_in_force", "expire_time"))
REFUSALS_OF_A_REPLACEMENT = 4  # how often a replacement is offered: the funds of the order it replaces may be locked for a moment longer


def when(ms: int) -> datetime:
    """A venue's time as status has it."""
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)


class Facts:
    """The record and the sight of it, with what every check asks of them."""

    def __init__(self, order: OrderRecord, seen: Seen, now: Now) -> None:
        self.order, self.seen, self.now, self.spec = order, seen, now, order.spec
        self._recorded = {attempt.number: attempt for attempt in order.attempts}
        self._filled: dict[int, fills.Filled] = {}
        self._explained: dict[int, fills.Explained] = {}
        self._wanted: dict[int, OrderRequest | None] = {}
        # A later attempt of an earlier object with the same key that was proved absent is none of ours.
        sent = {number for number, send in seen.sends.items() if number == 1 or send.stage is not SendStage.ABSENT}
        numbers = {*self._recorded, *sent, *seen.orders}
        if numbers:
            # An attempt was made after each of those before it, whatever status has of them by now (a restored or wiped one). What lies between those it
            # lists was summed up, if anything was.
            listed = max if order.status.earlier_attempts is not None else min
            numbers.update(range(listed(self._recorded, default=1), max(numbers)))
        self.numbers = sorted(numbers)
        if self.resolved_number is not None and self.resolved_number not in self.numbers:
            self.numbers = sorted({*self.numbers, self.resolved_number})

    def recorded(self, number: int) -> Attempt | None:
        """This attempt as it was last written."""
        return self._recorded.get(number)

    def recorded_stage(self, number: int) -> AttemptStage | None:
        recorded = self.recorded(number)
        return recorded.stage if recorded is not None else None

    def recorded_terms(self, number: int) -> Terms | None:
        recorded = self.recorded(number)
        return Terms.of(recorded) if recorded is not None else None

    def send(self, number: int) -> SendRecord | None:
        return self.seen.sends.get(number)

    @property
    def never_sent(self) -> bool:
        """Rule 3's *unsent*: created after this session's fence, and memory holds no send record for it. Nothing else is.

        A key names its order across objects: an earlier object may have sent it, so it is always looked for first (H2).
        """
        return self.seen.new and not self.numbers and not self.named_before

    @property
    def named_before(self) -> bool:
        """2: whether an earlier object may have had these ids: by the same key, or in the same place of a group whose status was lost."""
        return self.spec.idempotency_key is not None or (self.seen.group is not None and self.seen.group.made_before)

    @property
    def adopted(self) -> bool:
        """2: whether the orders of this intent are known to be its own. What only a key found may be another's until it was compared."""
        return self.spec.idempotency_key is None or bool(self.order.attempts or self.seen.sends)

    def can_be_named(self, number: int) -> bool:
        """Whether this attempt's order can be named to its venue though no reading has shown it."""
        recorded = self.recorded(number)
        by_exchange_id = recorded is not None and recorded.exchange_order_id is not None
        return by_exchange_id or self.seen.account.capabilities.cancel_by_client_id

    @cached_property
    def resolution(self) -> Resolution | Unusable | None:
        """A person's word on an outcome, or why it is none."""
        return UNSTAMPED if self.order.unstamped else resolution.read(self.order.resolve)

    @cached_property
    def resolved_number(self) -> int | None:
        """The attempt whose outcome a person has told, once nothing of ours can change it any more; None while the exchange can tell itself."""
        said = self.resolution
        if not isinstance(said, Resolution):
            return None
        number = next((number for number, client_order_id in self.seen.ids.items() if client_order_id == said.client_order_id), None)
        if number is None or not self._asked_of_a_person(number) or self.now.venue_ms < self.quiet_from(number):
            return None
        if self.called_absent(number):
            return None
        if self.forgotten(number) or (self.never_listed(number) and self._completes(number, said)):
            return number
        if number in self.seen.orders or self.word_is_spent(number):
            return None
        if self.told_before(number) and self.recorded_stage(number) is AttemptStage.ABSENT:
            return number  # who told it, or another, may correct it
        send = self.send(number)
        if send is not None:
            return number if send.stage in (SendStage.UNKNOWN, SendStage.EXISTS) else None
        return number if self.recorded_stage(number) in (None, AttemptStage.PREPARED, AttemptStage.SENT) and not self._unsent_so_far else None

    def never_listed(self, number: int) -> bool:
        """8: whether an order has long ended, and a whole reading still lacks executions that its total shows: only a person can say that this is all."""
        found, recorded, read = self.seen.orders.get(number), self.recorded(number), self.seen.settle_read_ms.get(number)
        if found is not None:
            ended = found.status.ended and all(twin.status.ended for twin in self.seen.duplicates.get(number, ()))
        else:
            ended = recorded is not None and recorded.stage is AttemptStage.ENDED
        if not ended or read is None or self._most(number) <= self.explained(number).quantity:
            return False
        told = recorded.end_time if recorded is not None else None
        end_ms = int(told.timestamp() * 1000) if told is not None else self.seen.ended_ms.get(number, self.seen.account.session_start_ms)
        return read >= max(self.settles_from(number), end_ms + NEVER_LISTED_AFTER_MS)

    def _most(self, number: int) -> Decimal:
        """How much the exchange or our record ever said was filled of an attempt."""
        recorded = self.recorded(number)
        return max(self._shown(number).quantity, (recorded.filled_quantity if recorded is not None else None) or ZERO)

    def _completes(self, number: int, said: Resolution) -> bool:
        """Whether a word on an order that ended says no other end than the exchange, and no smaller fill."""
        found, recorded = self.seen.orders.get(number), self.recorded(number)
        outcome = str(found.status) if found is not None else recorded.outcome if recorded is not None else None
        return said.outcome == outcome and said.filled_quantity >= self._most(number)

    def told_before(self, number: int) -> bool:
        """Whether a person's word on this attempt is written, and the exchange has not shown it since. It holds though its annotation goes."""
        recorded = self.recorded(number)
        if recorded is None or number in self.seen.orders:
            return False
        return recorded.stage in (AttemptStage.ABSENT, AttemptStage.ENDED) and is_told(recorded.reason)

    def told_absent(self, number: int) -> bool:
        """Whether nothing but a person's word says that this attempt made no order."""
        if (told := self._told(number)) is not None:
            return told.outcome == "Absent"
        return self.told_before(number) and self.recorded_stage(number) is AttemptStage.ABSENT

    def word_is_spent(self, number: int) -> bool:
        """Whether the annotation's Absent was said of an earlier send under the same id: it says nothing of the send that followed it."""
        said, recorded = self.resolution, self.recorded(number)
        if not isinstance(said, Resolution) or said.outcome != "Absent" or said.client_order_id != self.seen.ids.get(number):
            return False
        return recorded is not None and recorded.reason == SENT_AGAIN

    def contradicted(self, number: int) -> bool:
        """Whether the exchange has an order that a person had called absent."""
        recorded = self.recorded(number)
        if recorded is None or number not in self.seen.orders:
            return False
        return recorded.reason == CONTRADICTED or (recorded.stage is AttemptStage.ABSENT and is_told(recorded.reason))

    @property
    def next_number(self) -> int:
        """6: the attempt that is sent next: the last, if it made no order. In place of what was only called absent, one with an id of its own.

        Two cases keep the id: orders that are sent as one list, and what only an earlier object with the same key may have sent.
        """
        if not self.numbers:
            return 1
        last = self.numbers[-1]
        native = self.seen.group is not None and self.seen.group.native
        return last + 1 if self.told_absent(last) and not self.adopting and not native else last

    @property
    def exceeds(self) -> bool:
        """10: whether the last order asks for more than is left, since one that was called absent turned out to be filled."""
        if not self.numbers or not any(self.contradicted(number) and self.filled(number).quantity > 0 for number in self.numbers[:-1]):
            return False
        number, remaining = self.numbers[-1], self.remaining()
        asked = self.quantity_of(number)
        return remaining is not None and asked is not None and self.live(number) and subtract(asked, self.filled(number).quantity) > max(ZERO, remaining)

    def _asked_of_a_person(self, number: int) -> bool:
        """Whether there may be an order of this attempt: the id of the next one names nothing that anybody could have found."""
        return number in self.numbers or number == (self.numbers[-1] + 1 if self.numbers and self.adopting else 1)

    def called_absent(self, number: int) -> bool:
        """Whether a person says of an order that the exchange once told of that it never arrived: that can't be, and would have it sent again."""
        said, recorded = self.resolution, self.recorded(number)
        if not isinstance(said, Resolution) or said.outcome != "Absent" or said.client_order_id != self.seen.ids.get(number):
            return False
        return number in self.seen.orders or (recorded is not None and recorded.exchange_order_id is not None)

    @property
    def unproved_tail(self) -> int | None:
        """2, 10: the attempt after the last, which may exist though status does not have it; None if it does not.

        An inherited status may be older than the order, for it may have been restored or wiped. A key may have been another object's before.
        """
        if not self.numbers or self.nothing_at_exchange(last := self.numbers[-1]):
            return None
        if last == self.resolved_number and (self.adopting or self.market_gone):
            return None  # a person was asked because nothing can be looked up here; else the word is about this attempt, and not about the next
        return last + 1 if (self.seen.inherited or self.adopting) and not self._tail_absent(last + 1) else None

    def _tail_absent(self, number: int) -> bool:
        """Whether an attempt that status does not have was looked for in vain.

        An attempt is written before it is sent, so only a restored status can lack one. Two answers by id, lookupDelay apart and the last after E, are
        enough for that, and need no list, which may never be whole. What is open of it is found in the lists by its id. After a key, rule 5 decides.
        """
        send, venue = self.send(number), self.seen.account.capabilities
        if (send is not None and send.stage is SendStage.ABSENT) or (venue.lookup is LookupAuthority.NONE and not self.adopting):
            return True
        first, last = self.seen.not_found.get(number, (0, 0))
        return not self.adopting and last >= self.quiet_from(number) and last - first >= venue.lookup_delay_ms

    @property
    def adopting(self) -> bool:
        """2: whether the last attempt was found by an id of an earlier object, and never written ahead by this one: another may follow it."""
        recorded = self.recorded(self.numbers[-1]) if self.numbers else None
        return self.named_before and (recorded is None or recorded.prepared_time is None)

    def forgotten(self, number: int) -> bool:
        """Whether the exchange does not know an order any more that we believe live, so that only a person can say what became of it.

        Two answers by id say so, lookupDelay apart; or its market is gone, and with it every question about it.
        """
        found, account = self.seen.orders.get(number), self.seen.account
        if found is not None and found.status.ended:
            whole = found.status is OrderStatus.FILLED and self._shown(number).unexplained == 0
            asked = self._asked_in_vain(number, self.settles_from(number))
            return self.market_gone and asked and not whole and not self._read_since_the_end(number)
        missing = found is None and self.send(number) is None and self.recorded_stage(number) is AttemptStage.LIVE
        if not (missing or (found is not None and number in self.seen.missing)):
            return False
        if self.market_gone and self._asked_in_vain(number, self.seen.missing.get(number, account.session_start_ms)):
            return True
        first, last = self.seen.not_found.get(number, (0, 0))
        return last >= account.session_start_ms and last - first >= max(account.capabilities.lookup_delay_ms, FORGOTTEN_AFTER_MS)

    @property
    def market_gone(self) -> bool:
        """Whether the exchange lists the order's market no more. It may still answer about its orders."""
        return self.seen.market is None and self.seen.account.ready

    def _asked_in_vain(self, number: int, since_ms: int) -> bool:
        """Whether a reading of this attempt that began at `since_ms` (venue ms) or later is over, at a time at which the exchange answers."""
        asked_ms = self.seen.looked_up_ms.get(number)
        return asked_ms is not None and asked_ms >= max(since_ms, self.seen.account.answers_since_ms) and number not in self.seen.reading

    def lost(self, number: int) -> bool:
        """Whether an order is forgotten, and nobody has said yet what became of it."""
        return number != self.resolved_number and self.forgotten(number)

    @property
    def anothers(self) -> bool:
        """2: whether the order that this intent names is not its own: another intent has it, or a key was used for something else."""
        return self.seen.holder is not None or (self.spec.idempotency_key is not None and not self.order.attempts and not self._agrees())

    def _agrees(self) -> bool:
        """Whether the orders found by a key are the order that spec asks for."""
        spec, market = self.spec, self.seen.market
        if any((found.symbol, found.side, found.type) != (spec.symbol, spec.side, spec.type) for found in self.seen.orders.values()):
            return False
        last = self.seen.orders.get(self.numbers[-1]) if self.numbers else None
        if last is None or last.quantity is None or spec.quantity is None or market is None:
            return True
        before = add(*(self.filled(number).quantity for number in self.numbers[:-1]))
        return request_for(spec, last.client_order_id, market, quantity=subtract(spec.quantity, before)).quantity == last.quantity

    @property
    def _unsent_so_far(self) -> bool:
        return self.seen.new and not self._recorded and not self.seen.sends and not self.named_before

    def quiet_from(self, number: int) -> int:
        """E of rule 5 for one attempt (venue ms): no request for it can arrive any more, nor an order stay hidden."""
        return absence.quiet_from(self.send(number), self.seen.account.session_start_ms, self.seen.account.capabilities)

    def settled(self, number: int) -> bool:
        """Whether the outcome of this attempt's send is known."""
        if number in self.seen.orders or number == self.resolved_number or self.told_before(number):
            return True
        send = self.send(number)
        if send is not None:
            return not send.open_ended
        return self.recorded_stage(number) in (AttemptStage.LIVE, AttemptStage.ENDED, AttemptStage.REFUSED, AttemptStage.ABSENT)

    def nothing_at_exchange(self, number: int) -> bool:
        """Whether this attempt provably made no order."""
        if (told := self._told(number)) is not None:
            return told.outcome == "Absent"
        if number in self.seen.orders:
            return False
        if self.told_before(number):
            return self.recorded_stage(number) is AttemptStage.ABSENT
        send = self.send(number)
        if send is not None:
            return send.stage in (SendStage.PREPARED, SendStage.NOT_SENT, SendStage.REFUSED, SendStage.ABSENT)
        return self.recorded_stage(number) in (AttemptStage.REFUSED, AttemptStage.ABSENT)

    def _told(self, number: int) -> Resolution | None:
        return self.resolution if number == self.resolved_number and isinstance(self.resolution, Resolution) else None

    def refused(self, number: int) -> bool:
        if number in self.seen.orders or number == self.resolved_number:
            return False  # an order that is there was not refused, whatever was once said of it
        send = self.send(number)
        return send.stage is SendStage.REFUSED if send is not None else self.recorded_stage(number) is AttemptStage.REFUSED

    def offered_again(self, number: int) -> bool:
        """10: whether a replacement that was refused is sent once more: the venue may free the funds of the order it replaces only after a moment."""
        send = self.send(number)
        if number == 1 or self.submits_first or self.closing is not None or send is None or send.stage is not SendStage.REFUSED:
            return False
        if send.refusal in OF_THE_MARKET:
            return False
        return send.refusals < REFUSALS_OF_A_REPLACEMENT

    @property
    def submits_first(self) -> bool:
        """4: whether no attempt was ever at the exchange: what is sent is the first submission, whatever was refused before it."""
        return self.order.status.acknowledge_time is None and all(self.nothing_at_exchange(number) for number in self.numbers)

    def refusal(self, number: int) -> RefusalKind | None:
        """What the refusal of this attempt was about, where another attempt may follow it."""
        if not self.refused(number):
            return None
        send, recorded = self.send(number), self.recorded(number)
        return send.refusal if send is not None else recorded.refusal if recorded is not None else None

    @property
    def refused_in_a_row(self) -> int:
        """How many of the last attempts were refused."""
        return next((count for count, number in enumerate(reversed(self.numbers)) if not self.refused(number)), len(self.numbers))

    @property
    def newer_than_markets(self) -> bool:
        """Whether the order may be newer than the markets that are known, and a reading of them may still come."""
        age_ms = self.now.wall_ms - self.order.created_ms
        return self.now.venue_ms - self.seen.account.markets_ms > age_ms and age_ms < MARKETS_WITHIN_MS

    def markets_unread(self, number: int) -> bool:
        """Whether the markets were not read yet since this attempt was refused, and a reading may still come."""
        send = self.send(number)
        if send is None or send.refused_ms is None:
            return False  # refused before this session began, with its markets
        return self.seen.account.markets_ms < send.refused_ms and self.now.venue_ms < send.refused_ms + MARKETS_WITHIN_MS

    def goes_on(self, number: int) -> bool:
        """Whether a refused attempt is to be followed by another: its market was closed, or its rules have changed so that the order is another one now.

        16: of an exit whose Entry has filled, for whatever reason it was refused.
        """
        kind, market = self.refusal(number), self.seen.market
        if self.closing is not None:
            return self.refused(number) and not (kind is RefusalKind.TRIGGER_PASSED and self.closing.trigger_passed is TriggerPassedPolicy.REPORT)
        if kind is RefusalKind.MARKET_CLOSED:
            return True
        if kind not in OF_THE_MARKET or (self.seen.group is not None and self.seen.group.native):
            return False  # of a list's orders one may be rounded otherwise by now, and another not
        if self.markets_unread(number):
            return True
        if market is None or (self.submits_first and submit_deadline_passed(self.order, self.now.wall_ms)):
            return False
        return self.asks_for_other(number) and unacceptable(self.request(number, market), market, self.seen.account.capabilities) is None

    def asks_for_other(self, number: int) -> bool:
        """Whether what would be sent now is another order than this refused attempt was."""
        send = self.send(number)
        before = send.terms if send is not None else self.recorded_terms(number)
        return self.seen.market is not None and Terms.of(self.request(number, self.seen.market)) != before

    @property
    def closing(self) -> Closing | None:
        """16: what its group says of an exit whose Entry has filled, where the operator keeps the group."""
        group = self.seen.group
        return group.closing if group is not None and not group.native else None

    def request(self, number: int, market: MarketRules) -> OrderRequest:
        """What attempt `number` asks for, if it is sent now."""
        return self.as_sent(request_for(self._spec_of(number), self.seen.ids[number], market, quantity=self.remaining()))

    def replacement(self, number: int, market: MarketRules, quantity: Decimal | None) -> OrderRequest:
        """Return what is sent in place of attempt `number`, under the id of the next."""
        return self.as_sent(request_for(self.spec, self.seen.ids[number + 1], market, quantity=quantity))

    def as_sent(self, request: OrderRequest) -> OrderRequest:
        """Return the request in the words of the account's exchange."""
        return as_sent(request, self.seen.account.capabilities)

    def _spec_of(self, number: int) -> OrderIntentSpec:
        return self.spec.model_copy(update=AT_MARKET) if self.at_market(number) else self.spec

    def at_market(self, number: int) -> bool:
        """16: whether this attempt is a Market order, in place of an exit whose trigger was passed before it could be placed."""
        recorded, before = self.recorded(number), self.recorded(number - 1)
        if recorded is not None:
            return recorded.type is not None and not (recorded.stage is AttemptStage.PREPARED and self._repriced)
        if self.closing is None or self.closing.trigger_passed is not TriggerPassedPolicy.MARKET or self._repriced:
            return False
        return self.refusal(number - 1) is RefusalKind.TRIGGER_PASSED or (before is not None and before.type is not None)

    @property
    def _repriced(self) -> bool:
        """Whether spec has another price or trigger than the exchange was last asked for."""
        asked = self.order.status.asked_terms
        return asked is not None and (asked.price, asked.trigger_price) != (self.spec.price, self.spec.trigger_price)

    def end_of(self, number: int) -> OrderStatus | None:
        """The venue's word of how this attempt's order ended; None while it lives or if there is none."""
        if (told := self._told(number)) is not None:
            return OrderStatus(told.outcome) if told.outcome != "Absent" else None
        if (found := self.seen.orders.get(number)) is not None:
            ended = found.status.ended and all(twin.status.ended for twin in self.seen.duplicates.get(number, ()))
            return found.status if ended else None
        recorded = self.recorded(number)
        return OrderStatus(recorded.outcome) if recorded is not None and recorded.stage is AttemptStage.ENDED and recorded.outcome else None

    def live(self, number: int) -> bool:
        return self.settled(number) and not self.nothing_at_exchange(number) and self.end_of(number) is None

    def filled(self, number: int) -> fills.Filled:
        """Cumulative fill of one attempt: the most that the venue, its trades or our record ever said, and how much of it trades have explained."""
        if number not in self._filled:
            self._filled[number] = self._count(number)
        return self._filled[number]

    def _count(self, number: int) -> fills.Filled:
        seen = self._shown(number)
        recorded = self.recorded(number)
        if (told := self._told(number)) is not None:
            least = max(seen.quantity, (recorded.filled_quantity if recorded is not None else None) or ZERO)
            if told.filled_quantity >= least:
                return fills.Filled(told.filled_quantity, multiply(told.filled_quantity, told.average), told.filled_quantity)
        if recorded is None or recorded.filled_quantity is None:
            return seen
        # What was recorded is the least there is, but for what was taken back since.
        taken = subtract(self.busted(number), recorded.busted_quantity or ZERO)
        least = max(ZERO, subtract(recorded.filled_quantity, taken))
        least_quote = ZERO if taken > 0 else recorded.filled_quote_quantity or ZERO
        explained = self.explained(number).quantity
        return fills.Filled(max(least, seen.quantity, explained), max(least_quote, seen.quote_quantity), explained)

    def trades(self, number: int) -> tuple[Trade, ...]:
        """The executions of this attempt known now, without those that its venue took back."""
        recorded = self.recorded(number)
        gone = {*(recorded.busted_trades if recorded is not None else ()), *(trade.trade_id for trade in self.seen.busted.get(number, ()))}
        known = self.seen.trades.get(number, ())
        return tuple(trade for trade in known if trade.trade_id not in gone) if gone else known

    def explained(self, number: int) -> fills.Explained:
        """Which executions explain this attempt's fill: those known now, or those the record counted and what is new, whichever are more (rule 8)."""
        if number not in self._explained:
            self._explained[number] = self._explain(number)
        return self._explained[number]

    def _explain(self, number: int) -> fills.Explained:
        trades, recorded = self.trades(number), self.recorded(number)
        by_trades, most = add(*(trade.quantity for trade in trades)), self._shown(number).quantity
        if recorded is None or by_trades >= max(recorded.filled_quantity or ZERO, most):
            return fills.Explained(by_trades, by_trades=True)
        kept, changes = self._kept(recorded, max(recorded.filled_quantity or ZERO, most))
        return fills.Explained(by_trades, by_trades=True) if by_trades >= kept else fills.Explained(kept, False, changes)

    def _kept(self, recorded: Attempt, most: Decimal) -> tuple[Decimal, fills.Changes]:
        """How much of a fill the record explains with what changed since; `most`: how much there can be to explain."""
        filled = recorded.filled_quantity or ZERO
        before = self.explained_before(recorded)
        cursor = recorded.trade_cursor if before == filled else None
        new = tuple(trade for trade in self.trades(recorded.number) if self._is_new(trade, cursor))
        returned = tuple(trade for trade in self.busts(recorded.number) if not self._is_new(trade, cursor))
        lost = add(*(trade.quantity for trade in returned)) if returned else subtract(self.busted(recorded.number), recorded.busted_quantity or ZERO)
        kept = max(ZERO, subtract(before, lost))
        if add(kept, *(trade.quantity for trade in new)) > most:
            new = ()  # more than the order's total: what the record counted it does not list, as what a person told
        return add(kept, *(trade.quantity for trade in new)), fills.Changes(new, returned, cursor)

    def changes(self, number: int) -> fills.Changes:
        """What is to be added to the record of this attempt and taken from it, be it known whole or not."""
        recorded = self.recorded(number)
        return self._kept(recorded, max(recorded.filled_quantity or ZERO, self._shown(number).quantity))[1] if recorded is not None else fills.Changes()

    def _is_new(self, trade: Trade, cursor: str | None) -> bool:
        """Whether the record provably does not count this execution: by what it lists, by the time of the newest listed, or by the attempt's cursor."""
        if trade.trade_id in self._listed:
            return False
        if self._lists_all or (self._newest is not None and when(trade.time_ms) > self._newest):
            return True
        return cursor is not None and trade.trade_id.isdecimal() and int(trade.trade_id) > int(cursor)

    @cached_property
    def _listed(self) -> set[str]:
        """The executions that status lists."""
        return {entry.trade_id for entry in self.order.status.fills if not entry.inferred}

    @cached_property
    def _newest(self) -> datetime | None:
        """When the newest execution happened that status lists. It has listed each that it counts, and keeps the newest of them."""
        return max((entry.time for entry in self.order.status.fills if not entry.inferred), default=None)

    @cached_property
    def _lists_all(self) -> bool:
        """Whether status lists every execution that it counts."""
        old = self.order.status
        counted = add(*(self.explained_before(attempt) for attempt in old.attempts))
        earlier = old.earlier_attempts.filled_quantity if old.earlier_attempts is not None else ZERO
        return add(*(entry.quantity for entry in old.fills if not entry.inferred)) == add(counted, earlier)

    def shows_less(self, number: int) -> bool:
        """Whether the venue shows less filled than it once did, with no execution reported as taken back: ours stays (rule 8)."""
        return number in self.seen.orders and number != self.resolved_number and self._shown(number).quantity < self.filled(number).quantity

    def _shown(self, number: int) -> fills.Filled:
        """What the venue shows as filled under one attempt's id."""
        found = self.seen.orders.get(number)
        orders = (found, *self.seen.duplicates.get(number, ())) if found is not None else ()
        return fills.filled(orders, self.trades(number))

    def busts(self, number: int) -> tuple[Trade, ...]:
        """The executions that the venue took back and the record does not have as taken back."""
        recorded = self.recorded(number)
        before = recorded.busted_trades if recorded is not None else ()
        if len(before) >= MAX_BUSTED:
            return ()
        return tuple(trade for trade in self.seen.busted.get(number, ()) if trade.trade_id not in before)

    def busted(self, number: int) -> Decimal:
        """How much of this attempt's fills its venue took back, as far as it is recorded or was seen."""
        recorded, seen = self.recorded(number), self.seen.busted.get(number, ())
        before = recorded.busted_quantity or ZERO if recorded is not None else ZERO
        if recorded is not None and len(recorded.busted_trades) >= MAX_BUSTED:
            return max(before, add(*(trade.quantity for trade in seen)))  # more than are remembered by id
        return add(before, *(trade.quantity for trade in self.busts(number)))

    def explained_before(self, recorded: Attempt) -> Decimal:
        """How much of a recorded fill was explained when it was written: all of it but what stands there as inferred."""
        filled = recorded.filled_quantity or ZERO
        for entry in self.order.status.fills:
            before = subtract(filled, entry.quantity)
            if entry.inferred and entry.trade_id == fills.inferred_id(recorded.client_order_id, before, filled):
                return before
        return filled

    def filled_total(self) -> Decimal:
        earlier = self.order.status.earlier_attempts
        return add(earlier.filled_quantity if earlier is not None else ZERO, *(self.filled(number).quantity for number in self.numbers))

    @cached_property
    def target(self) -> Decimal | None:
        """How much is to be had in all; None for an order sized in quote.

        16: of an exit no more than its group wants now, whatever its spec still says, and no more than there was to give once it was refused for that.
        """
        if self.spec.quantity is None or self.closing is None:
            return self.spec.quantity
        limits = (self.spec.quantity, self.closing.most or None, self._given)
        return min(limit for limit in limits if limit is not None)

    @property
    def _given(self) -> Decimal | None:
        """How large an exit is in all that was refused for the account's balance: as large as there is to give; None where that is not its limit."""
        if not self.numbers:
            return None
        last = self.numbers[-1]
        if self.refusal(last) is RefusalKind.BALANCE:
            free = self.free_since(last)
            return add(self.filled_total(), free) if free else None
        asked = self.order.status.asked_terms
        if self.refusal(last - 1) is not RefusalKind.BALANCE or asked is None or Terms.of(asked) != Terms.of(self.spec):
            return None
        quantity = self.quantity_of(last)
        return add(self.filled_total(), subtract(quantity, self.filled(last).quantity)) if quantity is not None else None

    def free_since(self, number: int) -> Decimal | None:
        """How much there is to give, read since this attempt was refused, in the market's steps; None while it is not read."""
        free, send, market = self.seen.free, self.send(number), self.seen.market
        if free is None or market is None or send is None or send.refused_ms is None or free.asked_ms < send.refused_ms:
            return None
        return quantise_quantity(free.quantity, market.quantity_step)

    def remaining(self) -> Decimal | None:
        """What is still to be had of the target; None for an order sized in quote."""
        return None if self.target is None else subtract(self.target, self.filled_total())

    def final(self, number: int) -> bool:
        """Whether this attempt's quantity can't change any more (rules 10, 11): ended, and read again lookupDelay later with trades that add up."""
        if self.nothing_at_exchange(number) or number == self.resolved_number:
            return True
        status = self.end_of(number)
        if status is None:
            return False
        amount = self.filled(number)
        if amount.unexplained != 0:
            return False
        asked = self.quantity_of(number)
        if status is OrderStatus.FILLED and asked is not None and amount.quantity >= asked:
            return True  # whole: there is nothing left that could still fill
        if self.market_gone and number not in self.seen.orders and self._asked_in_vain(number, self.settles_from(number)):
            return True  # recorded as ended, and nothing can be asked about it any more
        return self._read_since_the_end(number)

    def _read_since_the_end(self, number: int) -> bool:
        read = self.seen.settle_read_ms.get(number)
        return read is not None and read >= self.settles_from(number)

    def settles_from(self, number: int) -> int:
        """From when on (venue ms) a reading of an ended attempt counts as its last: lookupDelay after we first saw it ended."""
        # Recorded as ended before a restart: that was before this session began.
        ended = self.seen.ended_ms.get(number, self.seen.account.session_start_ms)
        return ended + self.seen.account.capabilities.lookup_delay_ms

    def quantity_of(self, number: int) -> Decimal | None:
        if (found := self.seen.orders.get(number)) is not None and found.quantity is not None:
            return found.quantity
        recorded = self.recorded(number)
        return recorded.quantity if recorded is not None else None

    @property
    def operation(self) -> str | None:
        """What is under way with an order that is not live: it is being cancelled, or between an attempt that ended and the next."""
        if self.unwanted:
            return "Canceling"
        return "Replacing" if len(self.numbers) > 1 and self.nothing_at_exchange(self.numbers[-1]) and not self.submits_first else None

    @property
    def awake(self) -> bool:
        """Whether nothing holds the order back any more: it has no trigger, or its trigger fired."""
        fired = self.order.status.trigger_time is not None or any(found.trigger_time_ms is not None for found in self.seen.orders.values())
        return fired or self.spec.type not in TRIGGERED or self.filled_total() > 0

    @property
    def unwanted(self) -> bool:
        """Return whether the order is to go: by the user's wish, or as its time is up."""
        return self.asked_away or self.overdue is not None

    @cached_property
    def time_limit(self) -> TimeLimit | None:
        """When the operator gives the order up by itself."""
        return time_limit(self.order, self.seen, submits_first=self.submits_first)

    @property
    def overdue(self) -> TimeLimit | None:
        """The limit that has passed, if one has."""
        return self.time_limit if self.time_limit is not None and self.now.venue_ms >= self.time_limit.due_ms else None

    @property
    def asked_away(self) -> bool:
        """Whether the user wants the order gone from the exchange."""
        if self.spec.desired_state is DesiredState.CANCELED or (self.seen.group is not None and self.seen.group.unwanted):
            return True
        return self.order.deleting and self.spec.deletion_policy is DeletionPolicy.CANCEL

    def risk(self, request: OrderRequest, *, changes: int | None = None) -> Refusal | None:
        """4: what of the account's RiskLimits keeps this from being sent. `changes`: the attempt whose order is to be changed by it."""
        if self.seen.exposure.limits == () or self.seen.market is None:
            return None
        amended = changes is not None and request.client_order_id == self.seen.ids[changes]
        proposal = Proposal(
            request=request, filled=self.filled(changes).quantity if amended and changes is not None else ZERO, replaces=changes is not None,
            exit=self._closes(request, amended=changes if amended else None),
            instead=request.type != self.spec.type or (self.seen.group is not None and self.seen.group.at_market),
        )
        return refused(proposal, self.seen.exposure, self.seen.market)

    def _closes(self, request: OrderRequest, *, amended: int | None) -> bool:
        """Return whether the request makes an exit no larger in all than its group wants it."""
        most = self.seen.group.exit if self.seen.group is not None else None
        if most is None or request.quantity is None:
            return False
        elsewhere = subtract(self.filled_total(), self.filled(amended).quantity if amended is not None else ZERO)
        return add(elsewhere, request.quantity) <= most

    def wanted(self, number: int) -> OrderRequest | None:
        """What spec asks of this attempt's order, on the grid that it is compared on; None where nothing of it can be changed: by quote quantity."""
        if number not in self._wanted:
            self._wanted[number] = self._want(number, self.grid)
        return self._wanted[number]

    def changed_to(self, number: int) -> OrderRequest | None:
        """As `wanted`, on the market's grid as it is now: what is sent for it, if it is to be changed."""
        return self._want(number, self.seen.market)

    def _want(self, number: int, market: MarketRules | None) -> OrderRequest | None:
        if market is None or self.target is None:
            return None
        earlier = subtract(self.filled_total(), self.filled(number).quantity)
        return self.as_sent(request_for(self._spec_of(number), self.seen.ids[number], market, quantity=subtract(self.target, earlier)))

    @cached_property
    def grid(self) -> MarketRules | None:
        """10: the market with the steps that spec was last asked for on, until its terms are edited: a new grid alone changes no order."""
        return self.seen.market if self.edited else self._snapshot

    @property
    def _snapshot(self) -> MarketRules | None:
        market, taken = self.seen.market, self.order.status.market
        return replace(market, quantity_step=taken.quantity_step, price_step=taken.price_step) if market is not None and taken is not None else market

    @cached_property
    def edited(self) -> bool:
        """10: whether spec's terms are others than those that the exchange was last asked for."""
        if (asked := self.order.status.asked_terms) is not None:
            return Terms.of(asked) != Terms.of(self.spec)
        # A status from before they were written: what its last attempt asked for tells.
        if not self.numbers or (number := self.numbers[-1]) not in self.seen.orders:
            return False
        wanted = self._want(number, self._snapshot)
        return wanted is not None and Terms.of(wanted) != self.asked(number)

    def asked(self, number: int) -> Terms:
        """What we last asked of this attempt's order, and what it has where that is not known."""
        recorded, send, live = self.recorded(number), self.send(number), self.seen.orders[number]
        if (amend := self.seen.amends.get(number)) is not None and amend.stage is SendStage.ACCEPTED:
            return amend.terms
        if recorded is not None and recorded.quantity is not None:
            target = Terms.of(recorded.amend) if recorded.amend is not None else None
            return target if target is not None and self.has(number, target) else Terms.of(recorded)
        return send.terms if send is not None and send.quantity is not None else Terms.of(live)

    def has(self, number: int, terms: Terms) -> bool:
        """Whether this attempt's order at the exchange is on these terms, as far as both say."""
        live = self.seen.orders[number]
        pairs = (terms.quantity, live.quantity), (terms.price, live.price), (terms.trigger_price, live.trigger_price)
        return all(one is None or other is None or one == other for one, other in pairs)

    def matches(self, number: int) -> bool:
        """Whether this attempt's order at the exchange is what spec asks for."""
        wanted = self.wanted(number)
        return number not in self.seen.orders or wanted is None or self.has(number, Terms.of(wanted))

    def drifted(self, number: int) -> bool:
        """10: whether somebody else changed the order: spec asks for what we asked for, and the exchange has something else."""
        wanted = self.wanted(number)
        return wanted is not None and not self.matches(number) and self.asked(number) == Terms.of(wanted)

    def late(self, number: int) -> bool:
        """10: whether the order is as one of our own earlier requests wanted it, which came late."""
        return any(self.has(number, terms) for terms in self.seen.asked.get(number, ()) if terms != self.asked(number))

    def amending(self, number: int) -> Terms | None:
        """The terms of an amend that was written and of which it is not known yet whether the exchange made it."""
        recorded, record = self.recorded(number), self.seen.amends.get(number)
        if recorded is None or recorded.amend is None or not self.live(number) or number not in self.seen.orders:
            return None
        terms = Terms.of(recorded.amend)
        if self.has(number, terms) or (record is not None and record.stage in (SendStage.ACCEPTED, SendStage.REFUSED)):
            return None
        if record is not None and record.stage in (SendStage.PREPARED, SendStage.NOT_SENT):
            wanted = self.wanted(number)
            return terms if wanted is not None and terms == Terms.of(wanted) else None  # not on the wire, and not wanted any more
        read = self.seen.settle_read_ms.get(number)
        return None if read is not None and read >= self.amend_quiet_from(number) else terms

    def amend_quiet_from(self, number: int) -> int:
        """E for the last amend (venue ms): from then on a reading tells whether it was made (H24)."""
        return absence.quiet_from(self.seen.amends.get(number), self.seen.account.session_start_ms, self.seen.account.capabilities)
