"""From what came back to what it proves (rule 1). Pure: a reply in, one of the values of `core/answers.py` out.

An answer is judged by its raw code and message: ccxt's exception classes depend on the host's name, and on substrings of the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from exchange_kernel.core.answers import (
    MALFORMED,
    Accepted,
    AmendOutcome,
    CancelOutcome,
    Duplicate,
    ExchangeOrder,
    Found,
    GroupAccepted,
    GroupLookupOutcome,
    GroupOutcome,
    LookupOutcome,
    NotFound,
    NotSent,
    Refused,
    SubmitOutcome,
    TimeRefused,
    Unknown,
    UnknownOrder,
    Unreachable,
)
from exchange_kernel.core.venue import GroupRequest, OrderRequest
from exchange_kernel.exchanges.ccxt.dialect import AllowList, Amends, Dialect, Groups, Market
from exchange_kernel.exchanges.ccxt.parsing import Unreadable, strictly
from exchange_kernel.exchanges.ccxt.printable import printable
from exchange_kernel.exchanges.ccxt.wire import Answer
from exchange_kernel.exchanges.port import OrderRef

TOO_MANY = (418, 429)

#: Without a Retry-After: a ban begins at two minutes (Binance: rest-api.md, "IP Limits"), a breach is over with its window.
STAY_AWAY_S = {418: 120.0, 429: 60.0}

#: A code for "too many" without the status: the venue is short of breath, and has not shut the door.
BREATH_S = 5.0

MAX_CODE = 64

GARBAGE = "the venue's answer can't be read"
ECHO = "the venue answered about another order"
UNSIGNED = "no request can be signed with the credentials"
TOO_LARGE = "the exchange's answers are too large to be read as often as they are asked for"
BUSY = "the venue asked this account to stay away for a while"


@dataclass(frozen=True, slots=True)
class Answered:
    """A 2xx with JSON in it."""

    document: Any


@dataclass(frozen=True, slots=True)
class VenueError:
    """An error the venue gave a code and a message."""

    status: int
    code: str
    message: str
    retry_after_s: float | None = None
    in_200: bool = False               # this venue says its errors with a 200

    @property
    def definite(self) -> bool:
        """Whether it can prove anything: a 5xx never does, whatever its body says (Binance: rest-api.md, "HTTP Return Codes")."""
        return (400 <= self.status < 500 and self.status not in TOO_MANY) or (self.in_200 and self.status == 200)


@dataclass(frozen=True, slots=True)
class Silence:
    """No word that could be read; `written` tells whether a byte of the request may have left us."""

    written: bool
    reason: str
    retry_after_s: float | None = None
    answered: bool = field(default=False, compare=False)      # something came back


Reply: TypeAlias = Answered | VenueError | Silence


def reply(answer: Answer, dialect: Dialect) -> Reply:
    """What an answer says, before anybody asks what it proves."""
    retry_after_s = _retry_after(answer, dialect.longest_ban.seconds)
    error = dialect.read_error(answer.document)
    if error is not None:
        code, message = error
        if retry_after_s is None and dialect.words.busy.has(code, message):
            retry_after_s = BREATH_S
        return VenueError(answer.status, code, message, retry_after_s, dialect.errors_in_200)
    if 200 <= answer.status < 300 and answer.document is not None and not answer.disowned:
        return Answered(answer.document)
    if answer.status in TOO_MANY:
        return Silence(True, BUSY, retry_after_s, answered=True)
    return Silence(True, f"the venue answered with HTTP {answer.status}" if answer.status >= 300 else GARBAGE, retry_after_s, answered=True)


def _retry_after(answer: Answer, longest_s: float) -> float | None:
    """Seconds, from the header or by the status, and no more than the venue documents; None where nobody asked us to wait."""
    if answer.status not in TOO_MANY:
        return None
    header = answer.headers.get("Retry-After", "")
    wanted = float(header) if header.isdecimal() else STAY_AWAY_S[answer.status]
    return min(wanted, longest_s)


def submit_outcome(reply: Reply, dialect: Dialect, request: OrderRequest, market: Market) -> SubmitOutcome:
    match reply:
        case Answered(document=document):
            try:
                order, trades = strictly(dialect.read_submitted, document, market)
            except Unreadable:
                return Unknown(GARBAGE)
            # Somebody else's answer on our connection proves nothing of ours.
            return Accepted(order, trades) if order.client_order_id == request.client_order_id else Unknown(ECHO)
        case VenueError() if _says(reply, dialect.words.duplicates):
            return Duplicate(reply.code)
        case VenueError() if _says(reply, dialect.words.time):
            return TimeRefused(_stable(reply.message))
        case VenueError() if _says(reply, dialect.words.refusals):
            return _refused(reply, dialect)
    return _unproved(reply)


def group_outcome(reply: Reply, dialect: Dialect, groups: Groups, request: GroupRequest, market: Market) -> GroupOutcome:
    """As with one order. All of the list's orders are in the answer under our ids, or it is about something else."""
    match reply:
        case Answered(document=document):
            try:
                found, orders, trades = strictly(groups.read, document, market)
            except Unreadable:
                return Unknown(GARBAGE)
            by_id = {order.client_order_id: order for order in orders}
            asked = [leg.request.client_order_id for leg in request.legs]
            if found.list_id != request.list_id or by_id.keys() != set(asked):
                return Unknown(ECHO)
            return GroupAccepted(found.list_id, found.exchange_list_id, tuple(by_id[one] for one in asked), trades)
        case VenueError() if _says(reply, dialect.words.duplicates):
            return Duplicate(reply.code)
        case VenueError() if _says(reply, dialect.words.time):
            return TimeRefused(_stable(reply.message))
        case VenueError() if _says(reply, dialect.words.refusals):
            return _refused(reply, dialect)
    return _unproved(reply)


def cancel_outcome(reply: Reply, dialect: Dialect, ref: OrderRef, market: Market) -> CancelOutcome:
    return _changed(reply, dialect, ref, market, dialect.read_cancelled)


def amend_outcome(reply: Reply, dialect: Dialect, amends: Amends, ref: OrderRef, market: Market) -> AmendOutcome:
    return _changed(reply, dialect, ref, market, amends.read)


def _changed(reply: Reply, dialect: Dialect, ref: OrderRef, market: Market, read: Callable[[Any, Market], ExchangeOrder]) -> CancelOutcome:
    match reply:
        case Answered(document=document):
            try:
                order = strictly(read, document, market)
            except Unreadable:
                return Unknown(GARBAGE)
            return Accepted(order) if _is(order, ref) else Unknown(ECHO)
        case VenueError() if _says(reply, dialect.words.unknown_order):
            return UnknownOrder(reply.code)
        case VenueError() if _says(reply, dialect.words.time):
            return TimeRefused(_stable(reply.message))
        case VenueError() if _says(reply, dialect.words.refusals):
            return _refused(reply, dialect)
    return _unproved(reply)


def lookup_outcome(reply: Reply, dialect: Dialect, ref: OrderRef, markets: Mapping[str, Market]) -> LookupOutcome:
    match reply:
        case Answered(document=document):
            try:
                order = strictly(dialect.read_order, document, markets)
            except Unreadable:
                return Unreachable(GARBAGE)
            return Found(order) if _is(order, ref) else Unreachable(ECHO)
        case VenueError() if _says(reply, dialect.words.not_found):
            return NotFound()
    return unreachable(reply)


def group_lookup_outcome(reply: Reply, dialect: Dialect, groups: Groups, list_id: str) -> GroupLookupOutcome:
    match reply:
        case Answered(document=document):
            try:
                found = strictly(groups.read_found, document)
            except Unreadable:
                return Unreachable(GARBAGE)
            return found if found.list_id == list_id else Unreachable(ECHO)
        case VenueError() if _says(reply, dialect.words.not_found):
            return NotFound()
    return unreachable(reply)


def unreachable(reply: Reply) -> Unreachable:
    """For every read that brought nothing."""
    match reply:
        case Answered():
            return Unreachable(GARBAGE, answered=True)
        case VenueError():
            why = BUSY if reply.retry_after_s is not None else f"the venue answered with error {printable(reply.code, MAX_CODE)}"
            return Unreachable(why, reply.retry_after_s, answered=True)
        case Silence():
            return Unreachable(reply.reason, reply.retry_after_s, reply.answered)


def account_refusal(reply: Reply, dialect: Dialect) -> Refused | Unreachable:
    """Tell a no about the credentials, the venue's or our own, from silence.

    For a reading of the account that brought nothing.
    """
    if isinstance(reply, Silence) and reply.reason == UNSIGNED:
        return Refused(MALFORMED, UNSIGNED)
    if isinstance(reply, VenueError) and _says(reply, dialect.words.refusals):
        return Refused(reply.code, _stable(reply.message))
    return unreachable(reply)


def _is(order: ExchangeOrder, ref: OrderRef) -> bool:
    """Asked for by the venue's id alone, where a trade does not tell ours, it is any order of that id."""
    named = ref.client_order_id == order.client_order_id or (not ref.client_order_id and ref.exchange_order_id is not None)
    return named and order.symbol == ref.symbol and ref.exchange_order_id in (None, order.exchange_order_id)


def _unproved(reply: VenueError | Silence | Answered) -> NotSent | Unknown:
    if isinstance(reply, Silence) and not reply.written:
        return NotSent(reply.reason)
    nothing = unreachable(reply)
    return Unknown(nothing.reason, nothing.retry_after_s)


def _refused(error: VenueError, dialect: Dialect) -> Refused:
    return Refused(error.code, _stable(error.message), dialect.words.refusals.kind(error.code, error.message))


def _says(error: VenueError, words: AllowList) -> bool:
    return error.definite and words.has(error.code, error.message)


def _stable(message: str) -> str:
    """The venue's words, as part of a sentence of ours."""
    return printable(message.rstrip(". "))
