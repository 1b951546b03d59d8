"""What each reply proves, as tables: the rule is that a definite word needs its code, its message and a status that can prove anything."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from exchange_kernel.core.answers import Accepted, Duplicate, Found, NotFound, NotSent, Refused, TimeRefused, Unknown, UnknownOrder, Unreachable
from exchange_kernel.core.venue import MarketRules, OrderRequest
from exchange_kernel.exchanges.ccxt.binance import BINANCE_SPOT
from exchange_kernel.exchanges.ccxt.dialect import AllowList, Market, codes
from exchange_kernel.exchanges.ccxt.outcomes import Answered, Silence, VenueError, cancel_outcome, lookup_outcome, reply, submit_outcome, unreachable
from exchange_kernel.exchanges.ccxt.wire import Answer
from exchange_kernel.exchanges.port import OrderRef
from tests.contract.fake_venue import an_order

ID = "a" * 32
MARKET = Market("BTCUSDT", MarketRules(symbol="BTC/USDT", base="BTC", quote="USDT", active=True, quantity_step=Decimal("0.00001"), price_step=Decimal("0.01")))
REQUEST = OrderRequest(client_order_id=ID, symbol="BTC/USDT", side="Buy", type="Limit", quantity=Decimal(1), price=Decimal(50000), time_in_force="GTC")
REF = OrderRef("BTC/USDT", ID)


def submit(said: Any) -> Any:
    return submit_outcome(said, BINANCE_SPOT, REQUEST, MARKET)


def cancel(said: Any, ref: OrderRef = REF) -> Any:
    return cancel_outcome(said, BINANCE_SPOT, ref, MARKET)


def lookup(said: Any, ref: OrderRef = REF) -> Any:
    return lookup_outcome(said, BINANCE_SPOT, ref, {"BTCUSDT": MARKET})


class Case(NamedTuple):
    code: str
    message: str
    submit: type
    cancel: type
    lookup: type
    reason: str


CASES = [
    Case("-2010", "Order would trigger immediately.", Refused, Refused, Unreachable, "the market has passed the trigger, as documented"),
    Case("-2010", "Stop price would trigger immediately.", Refused, Refused, Unreachable, "and as the venue says it"),
    Case("-2010", "The relationship of the prices for the orders is not correct.", Refused, Refused, Unreachable, "the two of an OCO"),
    Case("-2038", "Order amend (quantity increase) is not supported.", Refused, Refused, Unreachable, "an amend's no"),
    Case("-2038", "Unknown order sent.", Unknown, UnknownOrder, Unreachable, "an amend's order is not known"),
    Case("-2018", "Order list does not exist.", Unknown, Unknown, NotFound, "a list is not known"),
    Case("-2010", "Account has insufficient balance for requested action.", Refused, Refused, Unreachable, "no funds"),
    Case("-2010", "Duplicate order sent.", Duplicate, Unknown, Unreachable, "exists, under the code of the refusals"),
    Case("-2010", "Order would immediately match and take.", Refused, Refused, Unreachable, "post-only"),
    Case("-2010", "Market is closed.", Refused, Refused, Unreachable, "closed"),
    Case("-2010", "Order book liquidity is less than LOT_SIZE filter minimum quantity.", Refused, Refused, Unreachable, "a placeholder of the documentation"),
    Case("-2010", "Unknown order sent.", Unknown, Unknown, Unreachable, "nonsense for a new order: proves nothing"),
    Case("-2010", "NEW_ORDER_REJECTED", Unknown, Unknown, Unreachable, "the code's name is no message"),
    Case("-2010", "", Unknown, Unknown, Unreachable, "no words"),
    Case("-2010", "Account has insufficient balance for requested action. But it was sent.", Unknown, Unknown, Unreachable, "the whole message, not its beginning"),
    Case("-1013", "Filter failure: PRICE_FILTER", Refused, Refused, Unreachable, "a filter"),
    Case("-1013", "Filter failure: MAX_NUM_ORDERS", Refused, Refused, Unreachable, "another filter"),
    Case("-1013", "Invalid quantity.", Refused, Refused, Unreachable, "an older wording"),
    Case("-2011", "Unknown order sent.", Unknown, UnknownOrder, Unreachable, "a cancel's order is not known"),
    Case("-2011", "This account may not place or cancel orders.", Refused, Refused, Unreachable, "a no to the cancel"),
    Case("-2013", "Order does not exist.", Unknown, UnknownOrder, NotFound, "the lookup's evidence"),
    Case("-2026", "Order was canceled or expired with no executed qty over 90 days ago and has been archived.", Unknown, Unknown, Unreachable, "existed"),
    Case("-2039", "Client order ID is not correct for this order ID.", Unknown, Unknown, Unreachable, "an order, but not ours"),
    Case("-1021", "Timestamp for this request is outside of the recvWindow.", TimeRefused, TimeRefused, Unreachable, "too old"),
    Case("-1021", "Timestamp for this request was 1000ms ahead of the server's time.", TimeRefused, TimeRefused, Unreachable, "too young"),
    Case("-1022", "Signature for this request is not valid.", Refused, Refused, Unreachable, "a wrong secret"),
    Case("-2014", "API-key format invalid.", Refused, Refused, Unreachable, "no key"),
    Case("-2015", "Invalid API-key, IP, or permissions for action.", Refused, Refused, Unreachable, "a wrong key"),
    Case("-1102", "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.", Refused, Refused, Unreachable, "a bug of ours"),
    Case("-1111", "Parameter 'quantity' has too much precision.", Refused, Refused, Unreachable, "off the grid"),
    Case("-1100", "Illegal characters found in parameter 'price'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.", Refused, Refused, Unreachable, "regex text"),
    Case("-1121", "Invalid symbol.", Refused, Refused, Unreachable, "no such market, so no order of it was made; but a lookup learns nothing"),
    Case("-1000", "An unknown error occurred while processing the request.", Unknown, Unknown, Unreachable, "its own words"),
    Case("-1001", "Internal error; unable to process your request. Please try again.", Unknown, Unknown, Unreachable, "trying again is how orders double"),
    Case("-1006", "An unexpected response was received from the message bus. Execution status unknown.", Unknown, Unknown, Unreachable, "its own words"),
    Case("-1007", "Timeout waiting for response from backend server. Send status unknown; execution status unknown.", Unknown, Unknown, Unreachable, "its own words"),
    Case("-1008", "Server is currently overloaded with other requests. Please try again in a few minutes.", Unknown, Unknown, Unreachable, "overload"),
    Case("-1003", "Too many requests queued.", Unknown, Unknown, Unreachable, "busy"),
    Case("-1015", "Too many new orders; current limit is 50 orders per 10 SECOND.", Unknown, Unknown, Unreachable, "busy"),
    Case("-1016", "This service is no longer available.", Unknown, Unknown, Unreachable, "shutting down: who knows what it still did"),
    Case("-9999", "Account has insufficient balance for requested action.", Unknown, Unknown, Unreachable, "a code nobody documented"),
]


@pytest.mark.proves("rule 1", "H23")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code} {case.reason}")
def test_a_word_proves_what_the_venue_documents_and_no_more(case: Case) -> None:
    said = VenueError(400, case.code, case.message)
    assert isinstance(submit(said), case.submit), case.reason
    assert isinstance(cancel(said), case.cancel), case.reason
    assert isinstance(lookup(said), case.lookup), case.reason


@pytest.mark.proves("rule 1", "F3")
@pytest.mark.parametrize("status", [200, 302, 418, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_status_that_can_prove_nothing_takes_the_proof_from_every_word(case: Case, status: int) -> None:
    said = VenueError(status, case.code, case.message)
    assert isinstance(submit(said), Unknown)
    assert isinstance(cancel(said), Unknown)
    assert isinstance(lookup(said), Unreachable)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_the_other_client_errors_prove_what_400_does(status: int) -> None:
    assert submit(VenueError(status, "-1022", "Signature for this request is not valid.")) == Refused("-1022", "Signature for this request is not valid")


@pytest.mark.parametrize(("said", "want", "reason"), [
    (Silence(False, "no connection could be made"), NotSent("no connection could be made"), "proof"),
    (Silence(True, "no answer came in time"), Unknown("no answer came in time"), "a byte may have left"),
    (Silence(True, "the venue asked", 30.0), Unknown("the venue asked", 30.0), "how long to stay away"),
    (Answered({}), Unknown("the venue's answer can't be read"), "an empty object is no order"),
    (Answered([]), Unknown("the venue's answer can't be read"), "nor is a list"),
    (Answered(an_order(clientOrderId=ID)), Unknown("the venue's answer can't be read"), "an order that wasn't made now has no transaction time"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_send_without_a_word(said: Any, want: Any, reason: str) -> None:
    assert submit(said) == want, reason


def test_a_lookup_that_was_never_written_is_unreachable_all_the_same() -> None:
    assert lookup(Silence(False, "no connection could be made")) == Unreachable("no connection could be made")


@pytest.mark.proves("rule 1", "H23")
@pytest.mark.parametrize(("document", "found", "reason"), [
    (an_order(), True, "ours"),
    (an_order(clientOrderId="b" * 32), False, "another client order id"),
    (an_order(orderId=29), False, "another order under our id, where we named it"),
    (an_order(symbol="ETHUSDT"), False, "another market"),
    (an_order(executedQty="-1"), False, "less than nothing"),
    (an_order(executedQty="NaN"), False, "no number"),
    (an_order(executedQty=None), False, "no word of fills"),
    ({**an_order(), "orderId": "28"}, False, "a number that became text"),
    ([an_order()], False, "a list of one"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_an_order_is_found_when_it_is_the_one_that_was_asked_for(document: Any, found: bool, reason: str) -> None:
    outcome = lookup(Answered(document), OrderRef("BTC/USDT", ID, "28"))
    assert isinstance(outcome, Found if found else Unreachable), reason


def test_a_cancel_is_taken_when_it_was_of_our_order() -> None:
    document = {**an_order(status="CANCELED"), "origClientOrderId": ID, "clientOrderId": "the cancel", "transactTime": 5}
    assert isinstance(cancel(Answered(document)), Accepted)
    assert cancel(Answered(document), OrderRef("BTC/USDT", ID, "29")) == Unknown("the venue answered about another order")


@pytest.mark.parametrize(("answer", "want", "reason"), [
    (Answer(200, {"serverTime": 1}), Answered({"serverTime": 1}), "an answer"),
    (Answer(200, None), Silence(True, "the venue's answer can't be read"), "a page"),
    (Answer(200, {"ok": 1}, disowned=True), Silence(True, "the venue's answer can't be read"), "ccxt knows it for an error"),
    (Answer(307, None), Silence(True, "the venue answered with HTTP 307"), "a redirect"),
    (Answer(502, None), Silence(True, "the venue answered with HTTP 502"), "a gateway"),
    (Answer(429, None, {"Retry-After": "7"}), Silence(True, "the venue asked this account to stay away for a while", 7.0), "a page with a 429"),
    (Answer(418, None, {}), Silence(True, "the venue asked this account to stay away for a while", 120.0), "a ban that doesn't say how long"),
    (Answer(429, None, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), Silence(True, "the venue asked this account to stay away for a while", 60.0), "a date"),
    (Answer(400, {"code": -1003, "msg": "Too many requests queued."}), VenueError(400, "-1003", "Too many requests queued.", 5.0), "busy by its code"),
    (Answer(400, {"code": "-1003", "msg": "x"}), Silence(True, "the venue answered with HTTP 400"), "not the venue's form of an error"),
    (Answer(503, None, {"Retry-After": "7"}), Silence(True, "the venue answered with HTTP 503"), "maintenance is not about us"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_an_answer_says(answer: Answer, want: object, reason: str) -> None:
    assert reply(answer, BINANCE_SPOT) == want, reason


def test_every_reason_is_stable_text() -> None:
    for said in (VenueError(400, "-1000", "at 1800000000000"), VenueError(400, "-1003", "until 1800000000000", 5), Silence(True, "x"), Answered({})):
        assert "1800000000000" not in unreachable(said).reason


def test_an_allow_list_is_exact_but_for_its_placeholders() -> None:
    words = AllowList(codes("-1", messages=("Parameter '%s' was empty.", "Yes (really)."), meaning="a parameter"))
    assert words.has("-1", "Parameter 'price' was empty.")
    assert words.has("-1", "Yes (really).")
    assert not words.has("-1", "Parameter 'price' was empty. No.")
    assert not words.has("-1", "Yes really.")
    assert not words.has("-2", "Yes (really).")
