"""Values that strategies get and give: frozen, exact, and the same after a journey through JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pydantic
import pytest

from exchange_kernel.api import Model
from exchange_kernel.kernel import (
    AccountState,
    AssetMetadata,
    Balance,
    EventFilter,
    EventType,
    Fee,
    Fill,
    OrderAccepted,
    OrderCanceled,
    OrderDeleted,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderFillExplained,
    OrderFillReversed,
    OrderFinished,
    OrderIntent,
    OrderOutcomeUnknown,
    OrderPartiallyFilled,
    OrderRejected,
    OrderReopened,
    OrderReplaced,
    OrderResynced,
    OrderStalled,
    OrderState,
    Position,
    State,
    event_from_json,
)
from exchange_kernel.schema import GroupMember, GroupMode, MemberRole, OrderType, Side, StandardOrder, StandardOrderGroup, SymbolMetadata, Trailing

T = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
TINY = Decimal("0.000000000000000001")

AN_ORDER = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.010"), price=Decimal("42000.5"), expire_time=T)
A_GROUP = StandardOrderGroup(mode=GroupMode.BRACKET, members=(GroupMember(name="entry", role=MemberRole.ENTRY, order=AN_ORDER), GroupMember(name="stop", role=MemberRole.STOP_LOSS, order=AN_ORDER)))
A_FILL = Fill(trade_id="7", quantity=TINY, price=Decimal("42000.5"), fee=Fee(asset_id="BNB", amount=Decimal("-0.0001")), time=T)
A_STATE = OrderState(
    intent_id="grid-1", symbol_id="BTC/USDT", state=State.PARTIALLY_FILLED, finished=False, succeeded=None, reachable=True, filled_quantity=TINY, filled_quote_quantity=Decimal("1E+3"),
    fills=(A_FILL,), current=True, sequence=3, age_seconds=0.25,
)
COMMON = {"intent_id": "grid-1", "symbol_id": "BTC/USDT", "sequence": 4, "seen_time": T}

VALUES = [
    AN_ORDER,
    StandardOrder(symbol_id="ETH/USDT:USDT", side=Side.SELL, type=OrderType.TRAILING_STOP, quantity="3", trailing=Trailing(offset="50", unit="BasisPoints"), exchange_parameters={"a": "b"}),
    A_GROUP,
    SymbolMetadata(symbol_id="BTC/USDT", base_asset_id="BTC", quote_asset_id="USDT", market_type="Spot", active=True, price_step=Decimal("0.01"), order_types=(OrderType.LIMIT,), maker_fee_rate=Decimal("-0.0001")),
    OrderIntent(intent_id="grid-1", exchange_id="main", account="main", order=AN_ORDER, desired_state="Working", metadata={"level": 3, "why": ["a", None, {"b": 1.5}]}, create_time=T, age_seconds=1),
    A_STATE,
    Position(symbol_id="ETH/USDT:USDT", side="Short", quantity=Decimal(3), unrealized_pnl=Decimal("-1.50"), time=T, age_seconds=2),
    AccountState(exchange_id="main", account="main", balances=(Balance(asset_id="BTC", free=TINY, used=Decimal(0), total=TINY),), time=T, answer_time=T, settled=True, age_seconds=2),
    AssetMetadata(asset_id="BTC", quantity_step=Decimal("1E-8")),
]
EVENTS = [
    OrderAccepted(exchange_order_id="x1", **COMMON),
    OrderReplaced(exchange_order_id="x2", **COMMON),
    OrderPartiallyFilled(fill=A_FILL, quantity=TINY, filled_quantity=TINY, **COMMON),
    OrderFilled(fill=None, quantity=Decimal(0), filled_quantity=TINY, **COMMON),
    OrderFillExplained(fill=A_FILL, **COMMON),
    OrderFillReversed(quantity=TINY, filled_quantity=Decimal(0), **COMMON),
    OrderCanceled(reason="CanceledAsAsked", settled=True, **COMMON),
    OrderExpired(settled=False, **COMMON),
    OrderRejected(reason="RejectedByExchange", message="The exchange refused the order: no funds.", settled=True, **COMMON),
    OrderDenied(settled=True, **COMMON),
    OrderOutcomeUnknown(**COMMON),
    OrderReopened(state=State.OPEN, **COMMON),
    OrderStalled(reason="AccountNotFound", **COMMON),
    OrderFinished(state=State.FILLED, succeeded=True, filled_quantity=TINY, fees=(Fee(asset_id="BTC", amount=TINY),), **COMMON),
    OrderDeleted(state=State.FILLED, finished=True, **COMMON),
    OrderResynced(order=A_STATE, **COMMON),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("by_alias", [False, True])
def test_a_value_survives_json(value, by_alias):
    assert type(value).model_validate_json(value.model_dump_json(by_alias=by_alias)) == value


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("by_alias", [False, True])
def test_an_event_survives_json_and_keeps_its_kind(event, by_alias):
    read = event_from_json(event.model_dump_json(by_alias=by_alias))
    assert (type(read), read) == (type(event), event)


def test_every_kind_of_event_is_covered_here():
    assert [event.event_type for event in EVENTS] == list(EventType)


@pytest.mark.parametrize("value", [*VALUES, *EVENTS], ids=lambda value: type(value).__name__)
def test_a_value_is_frozen(value):
    field = next(iter(type(value).model_fields))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(value, field, getattr(value, field))


def test_no_digit_of_an_amount_is_lost():
    order = StandardOrder.model_validate_json(AN_ORDER.model_copy(update={"quantity": TINY, "price": Decimal("123456789012345678901234567890.123456789")}).model_dump_json())
    assert (order.quantity, order.price) == (TINY, Decimal("123456789012345678901234567890.123456789"))


@pytest.mark.parametrize("quantity", [0.1, 1, "1e-3", Decimal(0), Decimal("-1"), Decimal("NaN"), "1" * 41])
def test_an_amount_that_could_be_misread_is_refused(quantity):
    with pytest.raises(pydantic.ValidationError):
        StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.MARKET, quantity=quantity)


def test_a_misspelt_field_is_refused_rather_than_overlooked():
    with pytest.raises(pydantic.ValidationError, match="limit_price"):
        StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="1", limit_price="5")


def test_an_order_knows_which_rules_it_breaks_without_asking_anybody():
    order = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="1", idempotency_key="k")
    assert order.problems() == [
        "price is required for limit types: set spec.price, or use type: Market",
        "idempotencyKey needs submitDeadlineTime, which holds when the object is created again: set spec.submitDeadlineTime",
    ]
    assert AN_ORDER.model_copy(update={"expire_time": None}).problems() == []


@pytest.mark.parametrize(("event_filter", "fits"), [
    (EventFilter(), True),
    (EventFilter(event_type=EventType.ACCEPTED), True),
    (EventFilter(event_type=EventType.FILLED), False),
    (EventFilter(event_type=frozenset({EventType.ACCEPTED, EventType.FILLED})), True),
    (EventFilter(event_type=frozenset()), False),
    (EventFilter(symbol_id="BTC/USDT"), True),
    (EventFilter(symbol_id="ETH/USDT"), False),
    (EventFilter(intent_id="grid-1", symbol_id="BTC/USDT"), True),
    (EventFilter(intent_id="grid-1", symbol_id="ETH/USDT"), False),
    (EventFilter(intent_id="grid"), False),
])
def test_what_a_filter_lets_through(event_filter, fits):
    assert event_filter.matches(EVENTS[0]) is fits


def test_all_answers_share_one_base():
    assert all(isinstance(value, Model) for value in [*VALUES, *EVENTS])
