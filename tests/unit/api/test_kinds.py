"""The kinds as classes: what they read, what they write, and what they say is wrong."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from exchange_kernel.api import (
    KINDS,
    AccountRef,
    Attempt,
    AttemptStage,
    Condition,
    ExchangeAccount,
    FeeTotal,
    FillEntry,
    FillFee,
    Kind,
    MarketSnapshot,
    OrderIntent,
    OrderIntentSpec,
    OrderIntentStatus,
    OrderState,
    OrderType,
    Side,
    status_patch,
)

EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"
ACCEPTED = sorted([*EXAMPLES.glob("*.yaml"), *EXAMPLES.glob("limits/*.yaml"), *EXAMPLES.glob("from-other-bots/*.yaml")])
BY_NAME: dict[str, type[Kind]] = {kind.__name__: kind for kind in KINDS}
AT = datetime(2026, 1, 31, 12, 0, 0, 5000, UTC)


def a_spec(**changes: Any) -> OrderIntentSpec:
    fields = {"accountRef": {"name": "main"}, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.01", "price": "40000", **changes}
    return OrderIntentSpec.model_validate({name: value for name, value in fields.items() if value is not None})


def an_intent(status: dict[str, Any] | None = None, **changes: Any) -> OrderIntent:
    return OrderIntent.model_validate({"metadata": {"name": "order"}, "spec": a_spec(**changes), "status": status or {}})


# ── Reading and writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_python_says_snake_case_and_json_says_camel_case():
    spec = OrderIntentSpec(account_ref=AccountRef(name="main"), symbol="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.010"), price=Decimal("4E+4"))
    assert spec == a_spec()
    assert spec.document() == {
        "accountRef": {"name": "main"}, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.01", "price": "40000", "executionPolicy": "Any",
        "positionEffect": "Any", "desiredState": "Working", "modifyPolicy": "AmendOrReplace", "driftPolicy": "Report", "deletionPolicy": "Cancel",
        "submitDeadlineSeconds": 300, "suspend": False,
    }


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_the_examples_are_read_and_written_as_they_were(path):
    for document in yaml.safe_load_all(path.read_text()):
        if document["kind"] in BY_NAME:
            kind = BY_NAME[document["kind"]]
            written = kind.model_validate(document).document()
            assert kind.model_validate(written).document() == written
            for name, value in document["spec"].items():
                if name == "members":
                    assert [{**all_of_it, **member} for all_of_it, member in zip(written["spec"][name], value, strict=True)] == written["spec"][name]
                else:
                    assert written["spec"][name] == (value.replace("Z", ".000000Z") if name.endswith("Time") else value)


def test_a_spec_with_a_field_this_version_does_not_know_is_refused():
    with pytest.raises(ValidationError, match="postOnly"):
        a_spec(postOnly=True)


def test_a_status_with_a_field_this_version_does_not_know_is_read():
    status = OrderIntentStatus.model_validate({"state": "Open", "invented": 1, "attempts": [{"number": 1, "clientOrderId": "a", "stage": "Live", "new": True}]})
    assert status.attempts == [Attempt(number=1, client_order_id="a", stage=AttemptStage.LIVE)]


def test_a_model_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        a_spec().suspend = True


@pytest.mark.parametrize(("given", "written"), [
    (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00.000000Z"),
    (datetime(2026, 1, 31, 12, 0, 0, 1000, timezone(timedelta(hours=2))), "2026-01-31T10:00:00.001000Z"),
    ("2026-01-31T12:00:00+05:30", "2026-01-31T06:30:00.000000Z"),
])
def test_times_are_written_in_utc_to_the_microsecond(given, written):
    assert OrderIntentStatus(submit_time=given).document()["submitTime"] == written


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValidationError):
        OrderIntentStatus(submit_time=datetime(2026, 1, 31))  # noqa: DTZ001


def test_what_others_wrote_is_cut_to_fit():
    condition = Condition(type="Ready", status="True", reason="Because", message="m" * 5000, last_transition_time=AT)
    assert len(condition.message) == 1024


def test_reading_a_spec_is_quick():
    raw = an_intent(metadata={"signal": "1"}, timeInForce="GTC", submitDeadlineTime="2026-01-31T12:00:00Z").document()["spec"]

    def microseconds() -> float:
        began = time.perf_counter()
        for _ in range(200):
            OrderIntentSpec.model_validate(raw)
        return (time.perf_counter() - began) / 200 * 1e6

    assert min(microseconds() for _ in range(10)) < 100


# ── The merge patch of a status ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

def merged(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396, as the API server does it."""
    result = dict(document)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = merged(result[name] if isinstance(result.get(name), dict) else {}, value)
        else:
            result[name] = value
    return result


FILL = FillEntry(trade_id="1", quantity=Decimal("0.5"), price=Decimal(40000), fee=FillFee(asset="BNB", amount=Decimal("-0.1")), time=AT)
EMPTY = OrderIntentStatus()
OPEN = OrderIntentStatus(observed_generation=1, state=OrderState.OPEN, client_order_id="a", filled_quantity=Decimal("0.5"), fills=[FILL],
                         market=MarketSnapshot(base="BTC", quote="USDT", price_step=Decimal("0.01")))


@pytest.mark.parametrize(("reason", "old", "new", "patch"), [
    ("nothing changed", OPEN, OPEN, {}),
    ("the same amount in other digits", OPEN, OPEN.model_copy(update={"filled_quantity": Decimal("0.500")}), {}),
    ("one field", OPEN, OPEN.model_copy(update={"state": OrderState.FILLED}), {"state": "Filled"}),
    ("a field goes", OPEN, OPEN.model_copy(update={"client_order_id": None}), {"clientOrderId": None}),
    ("an emptied list goes", OPEN, OPEN.model_copy(update={"fills": []}), {"fills": None}),
    ("an empty list is not written", EMPTY, OrderIntentStatus(fees=[]), {"observedGeneration": -1, "state": "Pending"}),
    ("a list is written whole", OPEN, OPEN.model_copy(update={"fees": [FeeTotal(asset="BNB", amount=Decimal("-0.10"))]}), {"fees": [{"asset": "BNB", "amount": "-0.1"}]}),
    ("of an object, what changed", OPEN, OPEN.model_copy(update={"market": MarketSnapshot(base="BTC", quote="USDC")}), {"market": {"quote": "USDC", "priceStep": None}}),
    ("a default that is not stored is written", EMPTY, OrderIntentStatus(observed_generation=-1), {"observedGeneration": -1, "state": "Pending"}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_status_patch(reason, old, new, patch):
    assert status_patch(old, new) == patch


@pytest.mark.parametrize("old", [EMPTY, OPEN])
@pytest.mark.parametrize("new", [EMPTY, OPEN, OPEN.model_copy(update={"market": None, "fills": [FILL, FILL.model_copy(update={"trade_id": "2"})]})])
def test_a_status_patch_makes_the_old_one_the_new_one(old, new):
    stored = {} if old is EMPTY else old.document()
    assert OrderIntentStatus.model_validate(merged(stored, status_patch(old, new))) == new


# ── Rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("path", sorted((EXAMPLES / "refused").glob("*.yaml")), ids=lambda path: path.stem)
def test_who_has_no_api_server_is_refused_the_same(path):
    document = yaml.safe_load(path.read_text())
    sentence = path.read_text().splitlines()[0].removeprefix("# refused: ")
    try:
        problems = BY_NAME[document["kind"]].model_validate(document).problems()
    except ValidationError:
        return      # refused as it is read; the API server words these itself
    assert any(sentence in problem for problem in problems), problems


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_nothing_is_wrong_with_the_examples(path):
    for document in yaml.safe_load_all(path.read_text()):
        if document["kind"] in BY_NAME:
            kept = BY_NAME[document["kind"]].model_validate(document)
            assert kept.problems() == kept.problems(old=kept) == []


@pytest.mark.parametrize(("reason", "old", "new", "problem"), [
    ("the price may change", {}, {"price": "41000"}, None),
    ("the side may not", {}, {"side": "Sell"}, "side can't be changed: create a new OrderIntent"),
    ("an absent field stays absent", {}, {"positionSide": "Long"}, "positionSide can't be changed: create a new OrderIntent"),
    ("a present one stays", {"positionSide": "Long"}, {}, "positionSide can't be changed: create a new OrderIntent"),
    ("a cancel is final", {"desiredState": "Canceled"}, {}, "desiredState never goes back to Working: create a new OrderIntent"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_change_is_judged_against_what_was(reason, old, new, problem):
    assert an_intent(**new).problems(an_intent(**old)) == ([problem] if problem else [])


def test_a_finished_order_is_frozen():
    ended = {"state": "Filled", "completionTime": "2026-01-31T12:00:00Z"}
    assert an_intent(ended, price="41000").problems(an_intent(ended)) == ["the order is finished and can't be changed any more: create a new OrderIntent"]
    assert an_intent(ended, suspend=True, ttlSecondsAfterFinished=60, metadata={"a": "1"}, deletionPolicy="Orphan").problems(an_intent(ended)) == []
    assert an_intent(ended, price="41000").problems(an_intent()) == [], "the write that finishes it is not yet frozen out"


@pytest.mark.parametrize(("address", "allowed"), [
    ("https://gateway.example.com", True), ("http://localhost", True), ("http://127.0.0.1:8080/base", True), ("http://[::1]:8080", True),
    ("http://gateway.trading.svc", True), ("http://gateway.trading.svc.cluster.local:80/x", True),
    ("http://gateway.example.com", False), ("http://localhost.example.com", False), ("http://127.0.0.1.example.com", False), ("http://a.b.svc.example.com", False),
    ("http://svc", False), ("http://10.0.0.1", False), ("http://example.com/localhost", False), ("http://example.com/.a.b.svc", False),
])
def test_credentials_leave_in_the_open_only_where_nobody_listens(address, allowed):
    def account(environment: str) -> ExchangeAccount:
        spec = {"exchange": "binance", "environment": environment, "credentialsSecretRef": {"name": "keys"},
                "endpoint": {"rest": address, "websocket": address.replace("http", "ws", 1)}}
        return ExchangeAccount.model_validate({"metadata": {"name": "main"}, "spec": spec})

    for environment in ("Live", "Sandbox"):
        assert (account(environment).problems() == []) is allowed
    assert account("Simulated").problems() == []


def test_userinfo_in_an_address_is_refused():
    with pytest.raises(ValidationError):
        ExchangeAccount.model_validate({"metadata": {"name": "main"}, "spec": {
            "exchange": "binance", "environment": "Live", "credentialsSecretRef": {"name": "keys"}, "endpoint": {"rest": "https://localhost@example.com"}}})
