"""The record of an order and the sight of it, with what every check asks of the two together."""

from __future__ import annotations

from decimal import Decimal

from exchange_kernel.api import Attempt, AttemptStage, DeletionPolicy, DesiredState
from exchange_kernel.core import fills
from exchange_kernel.core.answers import OrderStatus
from exchange_kernel.core.market_rules import request_for
from exchange_kernel.core.money import ZERO, add, subtract
from exchange_kernel.core.order import Now, OrderRecord, Seen, SendRecord, SendStage


class Facts:
    """The record and the sight of it, with what every check asks of them."""

    __slots__ = ("_recorded", "now", "numbers", "order", "seen", "spec")

    def __init__(self, order: OrderRecord, seen: Seen, now: Now) -> None:
        self.order, self.seen, self.now, self.spec = order, seen, now, order.spec
        self._recorded = {attempt.number: attempt for attempt in order.attempts}
        self.numbers = sorted({*self._recorded, *seen.sends, *seen.orders})

    def recorded(self, number: int) -> Attempt | None:
        """This attempt as it was last written."""
        return self._recorded.get(number)

    def recorded_stage(self, number: int) -> AttemptStage | None:
        recorded = self.recorded(number)
        return recorded.stage if recorded is not None else None

    def send(self, number: int) -> SendRecord | None:
        return self.seen.sends.get(number)

    @property
    def never_sent(self) -> bool:
        """Rule 3's *unsent*: created after this session's fence, and memory holds no send record for it. Nothing else is."""
        return self.seen.new and not self.numbers

    def settled(self, number: int) -> bool:
        """Whether the outcome of this attempt's send is known."""
        if number in self.seen.orders:
            return True
        send = self.send(number)
        if send is not None:
            return not send.open_ended
        return self.recorded_stage(number) in (AttemptStage.LIVE, AttemptStage.ENDED, AttemptStage.REFUSED, AttemptStage.ABSENT)

    def nothing_at_exchange(self, number: int) -> bool:
        """Whether this attempt provably made no order."""
        if number in self.seen.orders:
            return False
        send = self.send(number)
        if send is not None:
            return send.stage in (SendStage.PREPARED, SendStage.NOT_SENT, SendStage.REFUSED, SendStage.ABSENT)
        return self.recorded_stage(number) in (AttemptStage.REFUSED, AttemptStage.ABSENT)

    def refused(self, number: int) -> bool:
        if number in self.seen.orders:
            return False  # an order that is there was not refused, whatever was once said of it
        send = self.send(number)
        return send.stage is SendStage.REFUSED if send is not None else self.recorded_stage(number) is AttemptStage.REFUSED

    def end_of(self, number: int) -> OrderStatus | None:
        """The venue's word of how this attempt's order ended; None while it lives or if there is none."""
        if (found := self.seen.orders.get(number)) is not None:
            return found.status if found.status.ended else None
        recorded = self.recorded(number)
        return OrderStatus(recorded.outcome) if recorded is not None and recorded.stage is AttemptStage.ENDED and recorded.outcome else None

    def live(self, number: int) -> bool:
        return self.settled(number) and not self.nothing_at_exchange(number) and self.end_of(number) is None

    def filled(self, number: int) -> fills.Filled:
        """Cumulative fill of one attempt: the most that the venue, its trades or our record ever said, and how much of it trades have explained."""
        seen = fills.filled(self.seen.orders.get(number), self.seen.trades.get(number, ()))
        recorded = self.recorded(number)
        if recorded is None or recorded.filled_quantity is None:
            return seen
        quote = max(recorded.filled_quote_quantity or ZERO, seen.quote_quantity)
        explained = max(seen.explained, self._explained_before(recorded.client_order_id, recorded.filled_quantity))
        return fills.Filled(max(recorded.filled_quantity, seen.quantity), quote, explained)

    def _explained_before(self, client_order_id: str, filled: Decimal) -> Decimal:
        """How much of a recorded fill was explained when it was written: all of it but what stands there as inferred."""
        for entry in self.order.status.fills:
            before = subtract(filled, entry.quantity)
            if entry.inferred and entry.trade_id == fills.inferred_id(client_order_id, before, filled):
                return before
        return filled

    def filled_total(self) -> Decimal:
        earlier = self.order.status.earlier_attempts
        return add(earlier.filled_quantity if earlier is not None else ZERO, *(self.filled(number).quantity for number in self.numbers))

    def remaining(self) -> Decimal | None:
        """What is still to be had of the target; None for an order sized in quote."""
        return None if self.spec.quantity is None else subtract(self.spec.quantity, self.filled_total())

    def final(self, number: int) -> bool:
        """Whether this attempt's quantity can't change any more (rules 10, 11): ended, and read again lookupDelay later with trades that add up."""
        if self.nothing_at_exchange(number):
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
    def unwanted(self) -> bool:
        """Whether the user wants the order gone from the exchange."""
        if self.spec.desired_state is DesiredState.CANCELED:
            return True
        return self.order.deleting and self.spec.deletion_policy is DeletionPolicy.CANCEL

    def differs(self, number: int) -> bool:
        """Whether what is wanted is not what this attempt asks for, once both are on the market's grid."""
        market, live = self.seen.market, self.seen.orders[number]
        assert market is not None
        earlier = subtract(self.filled_total(), self.filled(number).quantity)
        if self.spec.quantity is None or live.quantity is None:
            return False
        wanted = request_for(self.spec, self.seen.ids[number], market, quantity=subtract(self.spec.quantity, earlier))
        return wanted.quantity != live.quantity or (wanted.price is not None and live.price is not None and wanted.price != live.price)
