"""The kinds as the API server serves them: what it refuses and in which words, what can be changed when, and what kubectl shows."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from exchange_kernel.api import (
    KINDS,
    AccountSnapshot,
    Attempt,
    AttemptOutcome,
    AttemptStage,
    Condition,
    EarlierAttempts,
    FeeTotal,
    FillEntry,
    FillFee,
    MarketSnapshot,
    OrderIntentSpec,
    OrderIntentStatus,
    OrderState,
    status_patch,
)
from tests.cluster.desks import AS_OPERATOR
from tests.cluster.people import in_force

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"
REFUSED = sorted((EXAMPLES / "refused").glob("*.yaml"))
ACCEPTED = sorted([*EXAMPLES.glob("*.yaml"), *EXAMPLES.glob("limits/*.yaml"), *EXAMPLES.glob("from-other-bots/*.yaml")])
FINALIZER = "exchange-kernel.io/order"
NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)

Run = Callable[..., subprocess.CompletedProcess[str]]


def named(path: Path) -> str:
    return path.stem


@dataclass(frozen=True)
class Orders:
    """The OrderIntents of one namespace; where no name is given, the test's own."""

    run: Run
    name: str = "order"

    def create(self, name: str | None = None, **changes: Any) -> None:
        spec = {field: value for field, value in {**SPEC, **changes}.items() if value is not None}
        self.run("create", "-f", "-", stdin=manifest(name or self.name, spec))

    def patch(self, patch: dict[str, Any], name: str | None = None, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("patch", "oi", name or self.name, "--type=merge", "-p", json.dumps(patch), *options, check=False)

    def patch_status(self, status: dict[str, Any], name: str | None = None) -> None:
        done = self.patch({"status": status}, name, "--subresource=status", *AS_OPERATOR)
        assert done.returncode == 0, done.stderr

    def finish(self) -> None:
        self.patch_status({"state": "Canceled", "completionTime": "2026-01-31T12:00:00.000000Z"})

    def get(self) -> dict[str, Any]:
        return dict(json.loads(self.run("get", "oi", self.name, "-o", "json").stdout))

    def finalizers(self) -> list[str]:
        return list(self.get()["metadata"].get("finalizers", []))


SPEC = {"accountRef": {"name": "simulated"}, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "1", "price": "40000"}


def manifest(name: str, spec: dict[str, Any], **metadata: Any) -> str:
    return json.dumps({"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent", "metadata": {"name": name, **metadata}, "spec": spec})


def in_namespace(kube: Any, name: str) -> Run:
    def run(*arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = kube.kubectl("--namespace", name, *arguments, stdin=stdin, check=check)
        return done

    return run


@pytest.fixture
def orders(kube: Any, namespace: str) -> Orders:
    """For a test that lists them."""
    return Orders(in_namespace(kube, namespace))


@pytest.fixture(scope="module")
def shared_namespace(kube: Any) -> Iterator[Run]:
    name = f"kinds-{uuid.uuid4().hex[:10]}"
    kube.kubectl("create", "namespace", name)
    run = in_namespace(kube, name)
    yield run
    run("delete", "oi", "--all", "--wait=false")
    if left := run("get", "oi", "-o", "name").stdout.split():
        run("patch", *left, "--type=merge", "-p", '{"metadata":{"finalizers":null}}', check=False)
    kube.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def order(shared_namespace: Run) -> Orders:
    """For a test of a single one: a namespace for each would cost more than they do."""
    return Orders(shared_namespace, f"order-{uuid.uuid4().hex[:10]}")


# ── What is refused ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("path", REFUSED, ids=named)
def test_a_bad_manifest_is_refused_with_its_sentence(kube, path):
    expected = path.read_text().splitlines()[0].removeprefix("# refused: ")
    done = kube.kubectl("apply", "--dry-run=server", "-f", str(path), check=False)
    assert done.returncode != 0, done.stdout
    assert expected in done.stderr


def test_a_bad_order_is_refused_by_its_one_broken_rule_alone(kube):
    done = kube.kubectl("apply", "--dry-run=server", "-f", str(EXAMPLES / "refused" / "01-limit-without-price.yaml"), check=False)
    assert done.stderr.strip() == (
        'The OrderIntent "refused" is invalid: spec.price: Required value: price is required for limit types: set spec.price, or use type: Market'
    )


@pytest.mark.parametrize("path", ACCEPTED, ids=named)
def test_the_examples_are_accepted(kube, path):
    kube.kubectl("apply", "--dry-run=server", "-f", str(path))


@pytest.mark.parametrize("address", ["http://localhost:8080", "http://127.0.0.1/base", "http://[::1]:9000", "http://gateway.trading.svc:80/binance",
                                     "http://gateway.trading.svc.cluster.local", "https://gateway.example.com"])
def test_an_address_that_stays_near_or_is_encrypted_is_accepted(kube, address):
    spec = {"exchange": "binance", "environment": "Live", "credentialsSecretRef": {"name": "keys"}, "endpoint": {"rest": address}}
    document = {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "ExchangeAccount", "metadata": {"name": "near"}, "spec": spec}
    kube.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(document))


# ── What can be changed ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@dataclass(frozen=True)
class Change:
    reason: str
    patch: dict[str, Any]
    refused: str | None = None


ELSEWHERE = "create a new OrderIntent"
CHANGES = [
    Change("the price follows the market", {"price": "41000"}),
    Change("the quantity may change", {"quantity": "2"}),
    Change("an optional field may come", {"metadata": {"note": "1"}}),
    Change("no exchange changes a live order's time in force", {"timeInForce": "IOC"}, f"timeInForce can't be changed: {ELSEWHERE}"),
    Change("nor whether it may take", {"executionPolicy": "PostOnly"}, f"executionPolicy can't be changed: {ELSEWHERE}"),
    Change("nor what it may do to a position", {"positionEffect": "ReduceOnly"}, f"positionEffect can't be changed: {ELSEWHERE}"),
    Change("an order can be suspended", {"suspend": True}),
    Change("an order can be cancelled", {"desiredState": "Canceled"}),
    Change("another account is another order", {"accountRef": {"name": "other"}}, f"accountRef can't be changed: {ELSEWHERE}"),
    Change("another market is another order", {"symbol": "ETH/USDT"}, f"symbol can't be changed: {ELSEWHERE}"),
    Change("the other side is another order", {"side": "Sell"}, f"side can't be changed: {ELSEWHERE}"),
    Change("another type is another order", {"type": "Market", "price": None}, f"type can't be changed: {ELSEWHERE}"),
    Change("a position side can't come later", {"positionSide": "Long"}, f"positionSide can't be changed: {ELSEWHERE}"),
    Change("a key can't come later", {"idempotencyKey": "late", "submitDeadlineTime": "2030-01-01T00:00:00Z"}, f"idempotencyKey can't be changed: {ELSEWHERE}"),
    Change("a change must be a whole order too", {"price": None}, "price is required for limit types"),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.reason)
def test_while_an_order_works(order, change):
    order.create()
    done = order.patch({"spec": change.patch})
    if change.refused is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0, done.stdout
        assert change.refused in done.stderr


def test_what_is_immutable_can_neither_be_changed_nor_taken_away(order):
    order.create(positionSide="Long", idempotencyKey="first", submitDeadlineTime="2030-01-01T00:00:00Z")
    for patch, field in [
        ({"positionSide": "Short"}, "positionSide"), ({"positionSide": None}, "positionSide"),
        ({"idempotencyKey": "second"}, "idempotencyKey"), ({"idempotencyKey": None}, "idempotencyKey"),
    ]:
        done = order.patch({"spec": patch})
        assert f"spec.{field}: Forbidden: {field} can't be changed: {ELSEWHERE}" in done.stderr


def test_a_cancel_is_not_taken_back(order):
    order.create(desiredState="Canceled")
    for back in ("Working", None):      # None: the default, Working, fills in
        assert f"desiredState never goes back to Working: {ELSEWHERE}" in order.patch({"spec": {"desiredState": back}}).stderr


FINISHED = f"the order is finished and can't be changed any more: {ELSEWHERE}"
CHANGES_AFTER_THE_END = [
    Change("its price is history", {"price": "41000"}, FINISHED),
    Change("so is its quantity", {"quantity": "2"}, FINISHED),
    Change("so is a field that was absent", {"timeInForce": "GTC"}, FINISHED),
    Change("so is one with a default", {"positionEffect": "ReduceOnly"}, FINISHED),
    Change("there is nothing left to cancel", {"desiredState": "Canceled"}, FINISHED),
    Change("exchange parameters are part of the order", {"exchangeParameters": {"selfTradePrevention": "ExpireMaker"}}, FINISHED),
    Change("suspend says nothing of the order", {"suspend": True}),
    Change("when to delete it can still be said", {"ttlSecondsAfterFinished": 60}),
    Change("what deleting does can still be said", {"deletionPolicy": "Orphan"}),
    Change("the strategy's notes are its own", {"metadata": {"note": '"done"'}}),
]


@pytest.mark.proves("F50")
@pytest.mark.parametrize("change", CHANGES_AFTER_THE_END, ids=lambda change: change.reason)
def test_after_its_end(order, change):
    order.create()
    order.finish()
    done = order.patch({"spec": change.patch})
    assert (done.returncode == 0) == (change.refused is None), done.stdout + done.stderr
    assert (change.refused or "") in done.stderr


def test_the_operator_can_still_write_the_status_of_a_finished_order(order):
    order.create()
    order.finish()
    order.patch_status({"filledQuantity": "0.5"})
    assert order.get()["status"]["filledQuantity"] == "0.5"


def test_an_accounts_exchange_and_environment_and_market_are_fixed(kube, namespace):
    kube.kubectl("--namespace", namespace, "apply", "-f", str(EXAMPLES / "account.yaml"))
    for patch, field in [({"exchange": "kraken"}, "exchange"), ({"environment": "Live"}, "environment"), ({"marketType": "Swap"}, "marketType")]:
        done = kube.kubectl("--namespace", namespace, "patch", "xa", "simulated", "--type=merge", "-p", json.dumps({"spec": patch}), check=False)
        assert f"{field} can't be changed: create a new ExchangeAccount" in done.stderr
    kube.kubectl("--namespace", namespace, "patch", "xa", "simulated", "--type=merge", "-p", '{"spec":{"tradingMode":"CancelOnly"}}')


# ── The finalizer ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 11", "F18")
def test_an_order_has_the_finalizer_from_the_first_moment_and_nothing_takes_it_off(order):
    order.run("apply", "-f", "-", stdin=manifest(order.name, SPEC))
    assert order.finalizers() == [FINALIZER]

    order.run("replace", "-f", "-", stdin=manifest(order.name, SPEC))
    assert order.finalizers() == [FINALIZER], "a replace without finalizers"

    order.run("apply", "-f", "-", stdin=manifest(order.name, SPEC, finalizers=["example.com/other"]))
    assert set(order.finalizers()) == {FINALIZER, "example.com/other"}, "an apply that names another one"

    order.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest(order.name, SPEC, finalizers=[]))
    assert FINALIZER in order.finalizers(), "a server-side apply that names none"

    order.patch({"metadata": {"finalizers": None}})
    assert order.finalizers() == [FINALIZER], "a merge patch"

    order.run("patch", "oi", order.name, "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    assert order.finalizers() == [FINALIZER], "a JSON patch"


def test_a_request_that_claims_that_the_order_is_finished_is_not_believed(order):
    claimed = json.loads(manifest(order.name, SPEC)) | {"status": {"completionTime": "2026-01-31T12:00:00Z", "state": "Filled"}}
    order.run("create", "-f", "-", stdin=json.dumps(claimed))
    assert order.finalizers() == [FINALIZER], "at creation, as from a copied object"
    order.run("replace", "-f", "-", stdin=json.dumps(claimed))
    assert order.finalizers() == [FINALIZER], "at a replace"
    assert order.get()["status"] == {"observedGeneration": -1, "state": "Pending"}


def test_a_deleted_order_waits_for_its_finalizer_and_goes_when_it_is_taken_off(order):
    order.create()
    order.run("delete", "oi", order.name, "--wait=false")
    assert order.finalizers() == [FINALIZER]
    order.patch({"metadata": {"finalizers": None}})
    assert "NotFound" in order.run("get", "oi", order.name, check=False).stderr


def test_a_finished_order_is_let_go_and_is_not_held_again(order):
    order.create()
    order.finish()
    order.patch({"metadata": {"finalizers": None}})
    assert order.finalizers() == []
    order.patch({"spec": {"suspend": True}})
    assert order.finalizers() == []
    order.run("delete", "oi", order.name, "--timeout=60s")


def test_writing_status_does_not_touch_the_finalizer(order):
    order.create()
    before = order.get()["metadata"]
    order.patch_status({"observedGeneration": 1})
    after = order.get()["metadata"]
    assert after["finalizers"] == before["finalizers"]
    assert after["generation"] == before["generation"]


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_the_diff_is_empty_after_an_apply(orders, how):
    documents = [yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text()) for name in ("limit-order", "market-order", "keyed-order")]
    documents += [document for document in yaml.safe_load_all((EXAMPLES / "account.yaml").read_text()) if document["kind"] == "ExchangeAccount"]
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    orders.run("apply", *how, "-f", "-", stdin=manifests)
    diff = orders.run("diff", *how, "-f", "-", stdin=manifests, check=False)
    assert (diff.returncode, diff.stdout) == (0, ""), diff.stderr
    before = orders.run("get", "oi,xa", *CONTENTS).stdout
    orders.run("apply", *how, "-f", "-", stdin=manifests)
    assert orders.run("get", "oi,xa", *CONTENTS).stdout == before, "applying again changes nothing"


#: All but resourceVersion: the first update of an object stores the default status that reading it had shown all along.
CONTENTS = ("-o", "jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.metadata.finalizers} {.spec} {.status}{end}")


# ── Status ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_an_order_nobody_has_looked_at_says_so(order):
    order.create()
    assert order.get()["status"] == {"observedGeneration": -1, "state": "Pending"}


def fullest_status() -> OrderIntentStatus:
    """Every field, every list at its bound, every amount as long as it may be."""
    amount, word = Decimal("1234567890123456789.12345678901234567891"), "x" * 128
    fee = FillFee(asset="BNB", amount=-amount)
    fills = [FillEntry(trade_id=f"trade-{number}", quantity=amount, price=amount, fee=fee, time=NOW, inferred=number % 2 == 0) for number in range(20)]
    fees = [FeeTotal(asset=f"A{number}", amount=amount) for number in range(16)]
    attempts = [
        Attempt(number=number, client_order_id=word, exchange_order_id=word, quantity=amount, quote_quantity=amount, price=amount, stage=AttemptStage.ENDED,
                outcome=AttemptOutcome.CANCELED, filled_quantity=amount, filled_quote_quantity=amount, trade_cursor=word, prepared_time=NOW, end_time=NOW,
                reason="r" * 5000, fees=fees, busted_quantity=amount, busted_trades=[f"{word[4:]}{number:04}" for number in range(20)])
        for number in range(1, 10)
    ]
    return OrderIntentStatus(
        observed_generation=7, state=OrderState.PARTIALLY_FILLED, operation="Replacing", client_order_id=word, exchange_order_id=word, filled_quantity=amount,
        filled_quote_quantity=Decimal(1) / Decimal(3) * 10**12, remaining_quantity=Decimal("1E+3"), average_price=Decimal("1E-18"),
        fees=fees, more_fee_assets=True, fills=fills, attempts=attempts,
        earlier_attempts=EarlierAttempts(count=3, filled_quantity=amount, filled_quote_quantity=amount, fees=fees, filled_through=2),
        account=AccountSnapshot(uid=word, fingerprint=word, exchange="binance"),
        market=MarketSnapshot(base="BTC", quote="USDT", quantity_step=Decimal("0.00001"), price_step=Decimal("0.01"), min_notional=Decimal(5), contract_size=Decimal(1)),
        submit_time=NOW, acknowledge_time=NOW, trigger_time=NOW,
        conditions=[Condition(type=f"Kind{number}", status="True", reason="Because", message="m" * 5000, observed_generation=7, last_transition_time=NOW) for number in range(16)],
    )


def test_the_fullest_status_is_taken_and_read_back_as_it_was_written(order):
    order.create()
    stored = OrderIntentStatus.model_validate(order.get()["status"])
    status = fullest_status()
    order.patch_status(status_patch(stored, status))
    read = OrderIntentStatus.model_validate(order.get()["status"])
    assert read == status
    assert status_patch(read, status) == {}


def test_a_status_patch_takes_away_what_is_no_longer_so(order):
    order.create()
    full = fullest_status()
    order.patch_status(status_patch(OrderIntentStatus(), full))
    bare = OrderIntentStatus(observed_generation=8, state=OrderState.OPEN, account=full.account, market=MarketSnapshot(base="BTC", quote="USDT"))
    order.patch_status(status_patch(full, bare))
    assert OrderIntentStatus.model_validate(order.get()["status"]) == bare


def test_a_status_is_one_writers_and_costs_no_list_of_who_wrote_which_field_of_it(order):
    order.create()
    order.patch_status(status_patch(OrderIntentStatus(), fullest_status()))
    managers = json.loads(order.run("get", "oi", order.name, "--show-managed-fields", "-o", "json").stdout)["metadata"]["managedFields"]
    assert [manager["fieldsV1"] for manager in managers if manager.get("subresource") == "status"] == [{"f:status": {}}]


def test_what_the_server_stores_of_a_spec_is_what_our_model_says(order):
    """The defaults of the schema and those of the class are the same."""
    order.create()
    stored = order.get()["spec"]
    assert OrderIntentSpec.model_validate(SPEC).document() == stored


# ── What kubectl shows ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_the_kinds_are_established_and_their_schemas_structural(kube):
    for kind in KINDS:
        found = json.loads(kube.kubectl("get", "crd", kind.resource.crd_name, "-o", "json").stdout)
        conditions = {condition["type"]: condition["status"] for condition in found["status"]["conditions"]}
        assert conditions["Established"] == conditions["NamesAccepted"] == "True"
        assert "NonStructuralSchema" not in conditions


@pytest.mark.parametrize("path", ["oi", "oi.spec", "oi.spec.trailing", "oi.status", "oi.status.attempts", "oi.status.conditions", "xa", "xa.spec", "xa.spec.endpoint",
                                  "xa.status", "xa.status.capabilities"])
def test_explain_says_something_of_every_field(kube, path):
    shown = kube.kubectl("explain", path).stdout
    assert "<no description>" not in shown
    assert "<empty>" not in shown


def test_get_shows_the_columns(orders):
    orders.create()
    status = fullest_status()
    ready = Condition(type="Ready", status="False", reason="Replacing", message="", last_transition_time=NOW)
    orders.patch_status(status.model_copy(update={"conditions": [ready]}).document())
    head, row = orders.run("get", "oi").stdout.splitlines()
    assert head.split() == ["NAME", "STATE", "SIDE", "TYPE", "SYMBOL", "QTY", "PRICE", "FILLED", "AVG", "AGE"]
    assert row.split()[1:7] == ["PartiallyFilled", "Buy", "Limit", "BTC/USDT", "1", "40000"]
    head, row = orders.run("get", "oi", "-o", "wide").stdout.splitlines()
    for title in ("ACCOUNT", "OPERATION", "READY", "REASON", "EXCHANGE ORDER ID", "CLIENT ORDER ID"):
        assert title in head
    assert row.split()[-6:] == ["simulated", "Replacing", "False", "Replacing", "x" * 128, "x" * 128]


def test_get_shows_an_accounts_columns(orders):
    orders.run("apply", "-f", str(EXAMPLES / "account.yaml"))
    head = orders.run("get", "xa", "-o", "wide").stdout.splitlines()[0]
    assert head.startswith("NAME")
    for title in ("EXCHANGE", "ENVIRONMENT", "MODE", "READY", "OPEN", "AGE", "CONNECTED", "CREDENTIALS", "SYNCED", "HOLDER", "FINGERPRINT"):
        assert title in head


def test_orders_are_selected_by_field(orders):
    orders.create("bitcoin", side="Sell")
    orders.create("ether", symbol="ETH/USDT", accountRef={"name": "second"})
    orders.patch_status({"state": "Open"}, "ether")

    def selected(selector: str) -> list[str]:
        return [name.rpartition("/")[2] for name in orders.run("get", "oi", "-o", "name", f"--field-selector={selector}").stdout.split()]

    assert selected("spec.symbol=ETH/USDT") == ["ether"]
    assert selected("spec.side=Sell") == ["bitcoin"]
    assert selected("spec.accountRef.name=second") == ["ether"]
    assert selected("status.state=Open") == ["ether"]
    assert selected("status.state=Pending") == ["bitcoin"]


def test_the_kinds_are_in_the_category_trading_and_never_in_all(orders):
    orders.create()
    assert "orderintent.exchange-kernel.io/order" in orders.run("get", "trading", "-o", "name").stdout
    assert "orderintent" not in orders.run("get", "all", "-o", "name").stdout


# ── Who may do what ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

OPERATOR = "system:serviceaccount:exchange-kernel-system:exchange-kernel"


@pytest.mark.parametrize(("may", "question"), [
    (True, "watch orderintents --all-namespaces"),
    (True, "patch orderintents"),
    (True, "patch orderintents --subresource=status"),
    (True, "update orderintents --subresource=status"),
    (False, "update orderintents"),
    (True, "patch exchangeaccounts"),
    (True, "patch exchangeaccounts --subresource=status"),
    (True, "get secrets"),
    (True, "create events.events.k8s.io"),
    (True, "delete orderintents"),
    (True, "get namespaces/kube-system"),
    (True, "create leases.coordination.k8s.io --namespace exchange-kernel-system"),
    (True, "patch leases.coordination.k8s.io --namespace exchange-kernel-system"),
    (True, "create orderintents"),
    (True, "patch ordergroups --subresource=status"),
    (True, "watch accountstates"),
    (True, "patch accountstates --subresource=status"),
    (False, "patch accountstates"),
    (False, "create ordergroups"),
    (False, "delete exchangeaccounts"),
    (False, "list secrets --all-namespaces"),
    (False, "get namespaces/default"),
    (False, "create leases.coordination.k8s.io --namespace default"),
    (False, "patch exchangeaccounts --subresource=scale"),
], ids=lambda value: value if isinstance(value, str) else None)
def test_the_operator_may_do_what_it_does_and_no_more(kube, may, question):
    answer = kube.kubectl("auth", "can-i", *question.split(), f"--as={OPERATOR}", check=False)
    assert answer.stdout.strip() == ("yes" if may else "no"), answer.stderr


def test_a_strategy_trades_and_neither_deletes_nor_writes_status(orders, kube, namespace):
    orders.run("create", "rolebinding", "strategy", "--clusterrole=exchange-kernel-strategy", "--serviceaccount=default:strategy")
    in_force(kube, namespace)

    def may(question: str) -> bool:
        answer = orders.run("auth", "can-i", *question.split(), "--as=system:serviceaccount:default:strategy", check=False)
        return answer.stdout.strip() == "yes"

    assert may("create orderintents")
    assert may("patch orderintents")
    assert not may("delete orderintents")
    assert not may("patch orderintents --subresource=status")
    assert may("watch markets")
    assert may("patch accountstates")
    assert not may("patch accountstates --subresource=status")
    assert not may("patch markets")
    assert not may("patch exchangeaccounts")


def test_every_refused_example_is_one_of_ours_and_says_why():
    assert len(REFUSED) >= 24
    for path in REFUSED:
        assert path.read_text().startswith("# refused: "), path.name
        assert yaml.safe_load(path.read_text())["kind"] in {kind.__name__ for kind in KINDS}
