"""Nothing opens that can't be protected, on a real API server and through the real ccxt: what traders saw is Denied whole, and a dry run says so before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal

import pytest
import yaml

from exchange_kernel.cli.children import Child
from exchange_kernel.kernel import KubernetesKernel, ValidationError
from exchange_kernel.schema import GroupMember, GroupMode, MemberRole, NativePolicy, OrderType, Side, StandardOrder, StandardOrderGroup
from tests.cluster.desks import report_failure
from tests.cluster.groups import Group
from tests.cluster.operating import Exchange, Trading, operator_arguments
from tests.support import aeventually, condition, eventually

PRICE = 60000                      # where BTC/USDT stands, and nothing moves it
WITHOUT_STOPS = "LTC/USDT"
ENTRY = {"name": "entry", "role": "Entry", "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "0.01", "price": "50000"}
STOP = {"name": "stop", "role": "StopLoss", "symbol": "BTC/USDT", "side": "Sell", "type": "StopLimit", "quantity": "0.01", "price": "44900", "triggerPrice": "45000"}
TAKE = {"name": "take", "role": "TakeProfit", "symbol": "BTC/USDT", "side": "Sell", "type": "Limit", "quantity": "0.01", "price": "70000"}
AT_MARKET = {name: value for name, value in ENTRY.items() if name != "price"} | {"type": "Market"}
SMALL = {"quantity": "0.0001"}
EMULATED, NATIVE = {"nativePolicy": "Never"}, {"nativePolicy": "Require", "onPartialFill": "Cancel"}


@pytest.fixture(scope="module")
def desk_of_all(kube, operator_kubeconfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trading]:
    """An exchange of which one market has no stop orders."""
    namespace, dir = f"protection-{os.getpid()}", tmp_path_factory.mktemp("protection")
    kube.kubectl("create", "namespace", namespace)
    exchange = Exchange(dir, symbols=f"BTC/USDT,{WITHOUT_STOPS}", maker=False, extra=("--order-types", f"{WITHOUT_STOPS}=LIMIT,LIMIT_MAKER,MARKET"))
    operator = Child("operator", operator_arguments(operator_kubeconfig, namespace), dir)
    try:
        trading = Trading(kube.kubectl, namespace, exchange)
        trading.open_account()
        trading.await_account()
        eventually(lambda: len(json.loads(trading.run("get", "markets", "-o", "json"))["items"]) == 2, within=60, what="both markets are told")
        yield trading
    finally:
        print(operator.log_tail(30))
        operator.stop()
        exchange.stop()


@pytest.fixture
def trading(desk_of_all: Trading, request: pytest.FixtureRequest) -> Iterator[Trading]:
    yield desk_of_all
    report_failure(request, desk_of_all)


def sends(trading: Trading) -> int:
    return sum(count for path, count in trading.exchange.requests().items() if path.startswith("POST /api/v3/order"))


def denied_whole(trading: Trading, name: str, reason: str, says: str, *members, mode: str = "Bracket", **spec) -> None:
    before, orders = sends(trading), len(trading.exchange.orders())
    group = Group(trading, name).place(mode, *members, **spec)
    group.wait("Finished")
    found = group.get()
    conditions = {kind: condition(found, kind) for kind in ("Finished", "Succeeded", "Ready", "Stalled")}
    assert {kind: conditions[kind]["status"] for kind in ("Finished", "Succeeded", "Ready", "Stalled")} == {
        "Finished": "True", "Succeeded": "False", "Ready": "False", "Stalled": "True"}
    assert {conditions[kind]["reason"] for kind in ("Finished", "Succeeded", "Ready", "Stalled")} == {reason}
    assert says in conditions["Stalled"]["message"]
    assert {member["state"] for member in group.status()["members"]} == {"Denied"}
    assert not any(group.exists(member["name"]) for member in members)
    assert (sends(trading), len(trading.exchange.orders())) == (before, orders)


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize(("mode", "policy"), [("Bracket", EMULATED), ("OneTriggersOther", EMULATED), ("OneTriggersOther", {"nativePolicy": "Require"})],
                         ids=["bracket", "one triggers the other", "native"])
def test_an_entry_of_6_usdt_whose_stop_is_worth_4_49_is_not_bought(trading, mode, policy):
    native = policy.get("nativePolicy") == "Require"
    entry = {**ENTRY, **SMALL, "price": str(PRICE)} if native else {**AT_MARKET, **SMALL}
    name = f"small-{mode.lower()}-{'native' if native else 'emulated'}"
    denied_whole(trading, name, "TooSmallToProtect", "Member stop: filled whole, the Entry leaves it 0.00009 BTC, worth 4.041 USDT at its price, and the market's "
                 "smallest order is 5 USDT", entry, {**STOP, **SMALL}, mode=mode, **policy)


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize("policy", [EMULATED, NATIVE], ids=["emulated", "native"])
def test_nothing_is_bought_on_a_symbol_that_has_no_stop_orders(trading, policy):
    entry = {**ENTRY, "symbol": WITHOUT_STOPS, "price": "70", "quantity": "1"}
    stop = {**STOP, "symbol": WITHOUT_STOPS, "triggerPrice": "60", "price": "59", "quantity": "1"}
    take = {**TAKE, "symbol": WITHOUT_STOPS, "price": "90", "quantity": "1"}
    name = f"stopless-{policy['nativePolicy'].lower()}"
    denied_whole(trading, name, "MarketRules", "Member stop: The market LTC/USDT has no orders of type StopLimit: use one of Limit, Market.", entry, stop, take, **policy)


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize("policy", [EMULATED, NATIVE], ids=["emulated", "native"])
def test_a_long_bracket_with_its_stop_above_the_entry_sells_nothing(trading, policy):
    stop, name = {**STOP, "triggerPrice": "65000", "price": "64900"}, f"above-{policy['nativePolicy'].lower()}"
    denied_whole(trading, name, "WrongSide", "Member stop: a StopLoss that sells is below the Entry's price", ENTRY, stop, TAKE, **policy)


@pytest.mark.proves("rule 16")
def test_a_market_entry_is_compared_with_the_last_price(trading):
    denied_whole(trading, "last-price", "WrongSide", "below the market's last price", AT_MARKET, {**STOP, "triggerPrice": "65000", "price": "64900"}, **EMULATED)


def known_to_the_operator(trading: Trading) -> bool:
    """Whether it denies an order by the limit's other rule. One that it takes is cancelled again."""
    name = f"tries-{uuid.uuid4().hex[:10]}"
    trading.place(name, symbol=WITHOUT_STOPS, type="Limit", price="10", quantity="1")
    state = trading.await_state(name, "Denied", "Open")["state"]
    if state == "Open":
        trading.patch(name, desiredState="Canceled")
        trading.wait(name, "Finished")
    return bool(state == "Denied")


@pytest.mark.proves("rule 16")
def test_a_limit_that_forbids_the_stop_forbids_the_entry(trading):
    spec = {"maxOpenOrders": 1, "maxPosition": [{"symbol": WITHOUT_STOPS, "quantity": "0.1"}, {"symbol": "BTC/USDT", "quantity": "1000"}]}
    limit = {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "RiskLimit", "metadata": {"name": "desk"}, "spec": spec}
    trading.run("apply", "-f", "-", stdin=json.dumps(limit))
    try:
        says = "RiskLimit desk: maxOpenOrders is 1, and the group has 2 orders open at once"
        eventually(lambda: known_to_the_operator(trading), within=60, what="the limit")
        denied_whole(trading, "limited", "RiskLimit", says, ENTRY, STOP, **EMULATED)
    finally:
        trading.run("delete", "risklimit", "desk")


@pytest.mark.proves("rule 16")
def test_a_market_object_shows_what_its_market_has(trading):
    shown = {one["spec"]["symbol"]: one["spec"] for one in json.loads(trading.run("get", "markets", "-o", "json"))["items"]}
    assert shown[WITHOUT_STOPS]["orderTypes"] == ["Limit", "Market"]
    assert "StopLimit" in shown["BTC/USDT"]["orderTypes"]
    assert (shown["BTC/USDT"]["sellPriceBand"], shown["BTC/USDT"]["maxTriggerOrders"]) == ({"lowest": "0.1", "highest": "10"}, 1000)


# ── Before it is placed ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_group(stop: dict[str, str], symbol: str = "BTC/USDT", price: str | None = "50000", quantity: str = "0.01") -> StandardOrderGroup:
    entry = StandardOrder(symbol_id=symbol, side=Side.BUY, type=OrderType.LIMIT if price is not None else OrderType.MARKET, quantity=quantity, price=price)
    exit_ = StandardOrder(symbol_id=symbol, side=Side.SELL, type=OrderType.STOP_LIMIT, quantity=quantity, **stop)
    members = [GroupMember(name="entry", role=MemberRole.ENTRY, order=entry), GroupMember(name="stop", role=MemberRole.STOP_LOSS, order=exit_)]
    return StandardOrderGroup(mode=GroupMode.BRACKET, native_policy=NativePolicy.NEVER, members=members)


REFUSED = [
    pytest.param(a_group({"trigger_price": "45000", "price": "44900"}, quantity="0.0001", price=None), "Member stop: .*smallest order is 5 USDT", id="too small"),
    pytest.param(a_group({"trigger_price": "60", "price": "59"}, symbol=WITHOUT_STOPS, price="70", quantity="1"), "Member stop: .*no orders of type StopLimit", id="no stops"),
    pytest.param(a_group({"trigger_price": "65000", "price": "64900"}), "Member stop: a StopLoss that sells is below", id="above the entry"),
]


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize(("group", "says"), REFUSED)
async def test_a_strategy_is_refused_up_front_and_a_dry_run_says_why(kube, trading, group, says):
    kernel = KubernetesKernel("main", namespace=trading.namespace, kubeconfig=kube.kubeconfig)
    await kernel.start()
    try:
        await aeventually(lambda: kernel.list_symbols(), within=60, what="the markets")
        before = len(await kernel.get_all_intents())
        found = await kernel.check(group)
        assert not found.accepted
        assert [order.name for order in found.orders] == ["entry", "stop"]
        with pytest.raises(ValidationError, match=says):
            await kernel.place_order_group(group)
        assert len(await kernel.get_all_intents()) == before
        good = await kernel.check(a_group({"trigger_price": "45000.004", "price": "44900"}))
        assert (good.accepted, good.orders[1].trigger_price, good.orders[1].after_entry) == (True, Decimal(45000), True)
        assert any("adapter" in sentence for sentence in good.not_judged)
    finally:
        await kernel.stop()


@pytest.fixture(scope="module")
def plugin(kube, desk_of_all: Trading):
    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from exchange_kernel.cli.plugin.main import main; main()", "check", "-n", desk_of_all.namespace, *arguments]
        return subprocess.run(command, env={**os.environ, "KUBECONFIG": str(kube.kubeconfig)}, input=stdin, text=True, capture_output=True, timeout=300, check=False)

    return run


def manifest(name: str, *members: dict[str, str], **spec: object) -> str:
    body = {"accountRef": {"name": "main"}, "mode": "Bracket", "members": list(members), **spec}
    return yaml.safe_dump({"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup", "metadata": {"name": name}, "spec": body})


def test_kubectl_exchange_check_says_what_would_be_sent_and_creates_nothing(trading, plugin, tmp_path):
    file = tmp_path / "group.yaml"
    file.write_text(manifest("dry", {**ENTRY, "quantity": "0.0100009"}, STOP, **EMULATED) + "---\n" + manifest("bad", ENTRY, {**STOP, "triggerPrice": "65000"}, **EMULATED))
    done = plugin("-f", str(file))
    assert done.returncode == 1, done.stderr
    assert "OrderGroup dry: nothing is known against it, kept by the operator" in done.stdout
    assert "once the Entry fills" in done.stdout
    assert "refused: Member stop: a StopLoss that sells is below the Entry's price" in done.stdout
    assert not Group(trading, "dry").exists()
    shown = json.loads(plugin("-f", "-", "-o", "json", stdin=manifest("dry", {**ENTRY, "quantity": "0.0100009"}, STOP, **EMULATED)).stdout)
    assert (shown[0]["accepted"], [order["quantity"] for order in shown[0]["orders"]]) == (True, ["0.01", "0.00999"]), "rounded to the step, and net of the fee"
