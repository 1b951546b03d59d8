"""KubernetesKernel on a real API server, as a strategy that may do no more than its Role lets it. The operator's part is played here, by writing status."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from exchange_kernel.api import OrderIntentStatus, OrderState
from exchange_kernel.cli.controlplane import ControlPlane
from exchange_kernel.core.actions import Waiting
from exchange_kernel.kernel import (
    BaseEvent,
    EventFilter,
    EventType,
    ExchangeError,
    KubernetesKernel,
    NotFoundError,
    OrderResynced,
    State,
    ValidationError,
)
from exchange_kernel.kube.client import ORDER_INTENTS, ApiClient
from exchange_kernel.kube.config import access
from exchange_kernel.schema import OrderType, Side, StandardOrder
from tests.support import aeventually
from tests.unit.kernel.builders import a_fill, a_refusal, a_status

ROOT = Path(__file__).parents[2]
LIMIT = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="10", price="100")
ONE, TWO = a_fill("1", "4"), a_fill("2", "6", at=1)
OPEN, PARTLY = a_status(State.OPEN), a_status(State.PARTIALLY_FILLED, ONE)
FILLED = a_status(State.FILLED, ONE, TWO, end="Filled", message="Filled.")
CANCELED = a_status(State.CANCELED, end="CanceledAsAsked", message="Canceled as asked.", generation=2)
REJECTED = a_status(State.REJECTED, end="RejectedByExchange", message="The exchange refused the order: insufficient balance.", attempts=a_refusal("insufficient balance"))


class Operator:
    """Its part, played in its name."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self._api, self._path, self._namespace = api, ORDER_INTENTS.path(namespace), namespace

    async def intents(self) -> list[dict[str, Any]]:
        answer = await self._api.get(self._path)
        assert answer.ok, answer.message
        return list(answer.body["items"])

    async def get(self, name: str) -> dict[str, Any]:
        answer = await self._api.get(f"{self._path}/{name}")
        assert answer.ok, answer.message
        return answer.body

    async def write(self, name: str, status: OrderIntentStatus) -> None:
        answer = await self._api.patch(f"{self._path}/{name}/status", {"status": status.document()})
        assert answer.ok, answer.message

    async def placed(self, *, but: set[str] | None = None) -> str:
        """The name of the intent that appears."""
        def new() -> Callable[[], Any]:
            async def look() -> str | None:
                return next((raw["metadata"]["name"] for raw in await self.intents() if raw["metadata"]["name"] not in (but or set())), None)
            return look
        return str(await aeventually(new(), within=60, what="an intent is there"))

    async def create(self, name: str, strategy: str, status: OrderIntentStatus) -> None:
        """By somebody else who uses the strategy's label."""
        body = {
            "apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderIntent", "metadata": {"name": name, "labels": {"exchange-kernel.io/strategy": strategy}},
            "spec": {"accountRef": {"name": "main"}, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "10", "price": "100"},
        }
        answer = await self._api.create(self._path, body)
        assert answer.ok, answer.message
        await self.write(name, status)

    async def remove(self, name: str) -> None:
        assert (await self._api.patch(f"{self._path}/{name}", {"metadata": {"finalizers": None}})).ok
        await self._api.delete(f"{self._path}/{name}")
        assert (await self._api.patch(f"{self._path}/{name}", {"metadata": {"finalizers": None}})).status in (200, 404)


@pytest.fixture
async def operator(operator_kubeconfig: Path, namespace: str) -> AsyncIterator[Operator]:
    async with ApiClient(access(operator_kubeconfig)) as api:
        yield Operator(api, namespace)


def permit(kubectl: Callable[..., Any], namespace: str, user: str) -> None:
    kubectl("--namespace", namespace, "create", "role", user, "--verb=create,get,list,watch,patch",
            "--resource=orderintents.exchange-kernel.io,ordergroups.exchange-kernel.io")
    kubectl("--namespace", namespace, "create", "rolebinding", user, f"--role={user}", f"--user={user}")


@pytest.fixture
def identity(kube, namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig for a user with the strategy's Role and nothing else."""
    if kube.control_plane is None:
        return Path(kube.kubeconfig)
    permit(kube.kubectl, namespace, "strategy")
    return Path(kube.control_plane.kubeconfig_for("strategy", [], tmp_path / "strategy.kubeconfig"))


@asynccontextmanager
async def a_kernel(kubeconfig: Path, namespace: str, *, strategy: str | None = "grid", acknowledge_timeout: float = 60, heard: list[BaseEvent] | None = None) -> AsyncIterator[KubernetesKernel]:
    kernel = KubernetesKernel("main", namespace=namespace, strategy=strategy, kubeconfig=kubeconfig, acknowledge_timeout=acknowledge_timeout)
    if heard is not None:
        kernel.subscribe_events(heard.append)
    await kernel.start()
    try:
        yield kernel
    finally:
        await kernel.stop()


def told(heard: list[BaseEvent], intent_id: str) -> list[str]:
    return [str(event.event_type) for event in heard if event.intent_id == intent_id]


def numbered_without_gaps(heard: list[BaseEvent]) -> bool:
    return all([event.sequence for event in heard if event.intent_id == name] == list(range(1, 1 + sum(event.intent_id == name for event in heard))) for name in {event.intent_id for event in heard})


# ── Placing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_is_placed_and_returns_with_the_exchange_s_verdict(operator, identity, namespace):
    async with a_kernel(identity, namespace) as kernel:
        placing = asyncio.create_task(kernel.place_order(LIMIT, {"level": 3, "why": ["a", None]}))
        name = await operator.placed()
        await operator.write(name, a_status(State.SUBMITTING))
        assert not placing.done()
        began = time.monotonic()
        await operator.write(name, OPEN)
        assert await asyncio.wait_for(placing, 60) == name
        state, intent, raw = await kernel.get_order_state(name), await kernel.get_order_intent(name), await operator.get(name)
        took = time.monotonic() - began
    assert (state.state, state.exchange_order_id, state.reachable, state.current) == (State.OPEN, "x1", True, True)
    assert 0 <= state.age_seconds <= took
    assert (intent.order, intent.metadata, intent.strategy, intent.account) == (LIMIT, {"level": 3, "why": ["a", None]}, "grid", "main")
    assert raw["metadata"]["finalizers"] == ["exchange-kernel.io/order"]
    assert raw["metadata"]["labels"] == {"exchange-kernel.io/strategy": "grid"}
    assert re.fullmatch(r"grid-[0-9a-z]{26}", name)


async def test_names_sort_as_orders_were_placed(operator, identity, namespace):
    async with a_kernel(identity, namespace, acknowledge_timeout=0) as kernel:
        names = [await kernel.place_order(LIMIT) for _ in range(5)]
    assert names == sorted(names) == sorted(raw["metadata"]["name"] for raw in await operator.intents())


@pytest.mark.parametrize(("status", "error", "reason"), [
    pytest.param(REJECTED, ExchangeError, "insufficient balance", id="rejected"),
    pytest.param(a_status(State.DENIED, end="MarketRules", message="The quantity is below one step: raise spec.quantity."), ValidationError, None, id="denied"),
])
async def test_a_no_is_an_error_with_the_reason_and_the_intent(operator, identity, namespace, status, error, reason):
    async with a_kernel(identity, namespace) as kernel:
        placing = asyncio.create_task(kernel.place_order(LIMIT))
        name = await operator.placed()
        await operator.write(name, status)
        with pytest.raises(error) as refused:
            await asyncio.wait_for(placing, 60)
    assert refused.value.intent_id == name
    assert str(refused.value) == next(condition.message for condition in status.conditions if condition.type == "Ready")
    assert getattr(refused.value, "reason", None) == reason


async def test_a_rejection_is_believed_once_it_has_settled(operator, identity, namespace):
    async with a_kernel(identity, namespace) as kernel:
        placing = asyncio.create_task(kernel.place_order(LIMIT))
        name = await operator.placed()
        await operator.write(name, a_status(State.REJECTED, exchange_order_id="x1"))

        async def seen() -> bool:
            return (await kernel.get_order_state(name)).state is State.REJECTED

        await aeventually(seen, within=60, what="the kernel has seen it")
        assert not placing.done()
        await operator.write(name, OPEN)        # the venue took it back
        assert await asyncio.wait_for(placing, 60) == name


async def test_what_the_api_server_refuses_says_so_in_its_sentences(operator, identity, namespace):
    async with a_kernel(identity, namespace) as kernel:
        with pytest.raises(ValidationError) as refused:
            await kernel.place_order(StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="1", trigger_price="5"))
    assert refused.value.problems == (
        "price is required for limit types: set spec.price, or use type: Market",
        "triggerPrice is not allowed for Market and Limit: remove spec.triggerPrice, or use a Stop or TakeProfit type",
    )
    assert await operator.intents() == []


async def test_without_a_verdict_the_id_is_returned_at_the_timeout(operator, identity, namespace):
    async with a_kernel(identity, namespace, acknowledge_timeout=0.3) as kernel:
        name = await kernel.place_order(LIMIT)
        assert (await kernel.get_order_state(name)).state is State.PENDING


async def test_an_intent_that_is_deleted_before_the_verdict_is_an_error(operator, identity, namespace):
    async with a_kernel(identity, namespace) as kernel:
        placing = asyncio.create_task(kernel.place_order(LIMIT))
        await operator.remove(await operator.placed())
        with pytest.raises(ExchangeError, match="was deleted before the exchange had answered"):
            await asyncio.wait_for(placing, 60)


KEYED = LIMIT.model_copy(update={"idempotency_key": "2026:open", "submit_deadline_time": datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)})


async def test_an_order_with_a_key_is_one_order_however_often_it_is_placed(operator, identity, namespace):
    async with a_kernel(identity, namespace, acknowledge_timeout=0) as kernel:
        name = await kernel.place_order(KEYED)
    async with a_kernel(identity, namespace) as kernel:        # the strategy was started anew, and does not know
        await operator.write(name, PARTLY)
        assert await kernel.place_order(KEYED) == name
        with pytest.raises(ValidationError, match="names another order already, Buy Limit BTC/USDT"):
            await kernel.place_order(KEYED.model_copy(update={"side": Side.SELL}))
    async with a_kernel(identity, namespace, strategy="other") as kernel:
        with pytest.raises(ValidationError, match="in use by strategy 'grid'"):
            await kernel.place_order(KEYED)
    (raw,) = await operator.intents()
    assert raw["spec"]["idempotencyKey"] == "2026:open"


# ── Cancelling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cancel_returns_when_the_order_has_ended_and_may_be_repeated(operator, identity, namespace):
    async with a_kernel(identity, namespace, acknowledge_timeout=0) as kernel:
        name = await kernel.place_order(LIMIT)
    async with a_kernel(identity, namespace) as kernel:
        await operator.write(name, OPEN)
        canceling = [asyncio.create_task(kernel.cancel_order(name)) for _ in range(2)]

        async def asked() -> bool:
            return (await operator.get(name))["spec"]["desiredState"] == "Canceled"

        await aeventually(asked, within=60, what="the cancel is asked for")
        assert not any(task.done() for task in canceling)
        await operator.write(name, CANCELED)
        await asyncio.wait_for(asyncio.gather(*canceling), 60)
        await kernel.cancel_order(name)
        assert (await kernel.get_order_state(name)).state is State.CANCELED
        assert (await kernel.get_order_intent(name)).desired_state == "Canceled"


async def test_a_finished_order_is_left_as_it_is(operator, identity, namespace):
    async with a_kernel(identity, namespace, acknowledge_timeout=0) as kernel:
        name = await kernel.place_order(LIMIT)
        await operator.write(name, FILLED)
        await kernel.cancel_order(name)        # perhaps before the kernel has seen the end: its spec is frozen, and that is no error
        assert (await operator.get(name))["spec"]["desiredState"] == "Working"


async def test_a_cancel_that_the_exchange_refuses_is_an_error(operator, identity, namespace):
    async with a_kernel(identity, namespace, acknowledge_timeout=0) as kernel:
        name = await kernel.place_order(LIMIT)
    async with a_kernel(identity, namespace) as kernel:
        canceling = asyncio.create_task(kernel.cancel_order(name))

        async def asked() -> bool:
            return (await operator.get(name))["metadata"]["generation"] == 2

        await aeventually(asked, within=60, what="the cancel is asked for")
        await operator.write(name, a_status(State.OPEN, waiting=Waiting("CancelRefused", "The exchange refused the cancel: market is closed."), operation="Canceling", generation=2))
        with pytest.raises(ExchangeError, match=r"The exchange refused the cancel: market is closed\.") as refused:
            await asyncio.wait_for(canceling, 60)
    assert refused.value.intent_id == name


async def test_what_is_not_there_is_not_found(operator, identity, namespace):
    await operator.create("theirs", "other", OPEN)
    async with a_kernel(identity, namespace) as kernel:
        for method in (kernel.get_order_state, kernel.get_order_intent, kernel.cancel_order):
            for name in ("no-such", "", "../orderintents", "No"):
                with pytest.raises(NotFoundError, match="There is no intent"):
                    await method(name)
            with pytest.raises(NotFoundError, match="strategy 'other'"):
                await method("theirs")


# ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_kernel_hears_its_own_orders_in_order(operator, identity, namespace):
    mine, theirs, all_, fills = [], [], [], []
    async with (
        a_kernel(identity, namespace, acknowledge_timeout=0, heard=mine) as kernel,
        a_kernel(identity, namespace, strategy="other", acknowledge_timeout=0, heard=theirs) as other,
        a_kernel(identity, namespace, strategy=None, heard=all_),
    ):
        kernel.subscribe_events(fills.append, EventFilter(event_type=frozenset({EventType.FILLED, EventType.PARTIALLY_FILLED})))
        first, second = await kernel.place_order(LIMIT), await other.place_order(LIMIT)
        for status in (OPEN, PARTLY, a_status(State.FILLED, ONE, TWO), FILLED):
            await operator.write(first, status)
            await operator.write(second, status)
        want = ["Accepted", "PartiallyFilled", "Filled", "Finished"]
        await aeventually(lambda: told(mine, first) == told(theirs, second) == told(all_, first) == told(all_, second) == want, within=60, what="all is told")
        assert [event.filled_quantity for event in fills] == [4, 10]
        assert told(mine, second) == told(theirs, first) == []
        assert all(map(numbered_without_gaps, (mine, theirs, all_)))
        assert not any(event.after_gap for event in [*mine, *theirs, *all_])


async def test_orders_from_before_are_told_as_checkpoints_and_what_happens_while_it_is_stopped_is_told_later(operator, identity, namespace):
    await operator.create("old", "grid", PARTLY)
    heard: list[BaseEvent] = []
    async with a_kernel(identity, namespace, heard=heard) as kernel:
        await aeventually(lambda: told(heard, "old") == ["Resynced"], within=60, what="the checkpoint")
        assert isinstance(heard[0], OrderResynced)
        assert heard[0].order.filled_quantity == 4
        await kernel.stop()
        await operator.write("old", FILLED)
        with pytest.raises(ExchangeError, match="not started"):
            await kernel.get_order_state("old")
        await kernel.start()
        await aeventually(lambda: told(heard, "old") == ["Resynced", "Filled", "Finished", "Resynced"], within=60, what="what was missed")
        assert numbered_without_gaps(heard)


# ── What a strategy may do, and how well it sees ────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_permission_it_says_which_to_give(kube, namespace, tmp_path):
    if kube.control_plane is None:
        pytest.fail("identities can be made on a control plane of our own only: run without TEST_KUBECONFIG")
    nobody = Path(kube.control_plane.kubeconfig_for("nobody", [], tmp_path / "nobody.kubeconfig"))
    with pytest.raises(ExchangeError, match=rf"create, get, list, watch and patch on orderintents and ordergroups\.exchange-kernel\.io in namespace {namespace}"):
        await KubernetesKernel("main", namespace=namespace, kubeconfig=nobody).start()


async def test_the_role_is_enough_and_no_more_than_it(kube, operator, identity, namespace):
    if kube.control_plane is None:
        pytest.fail("identities can be made on a control plane of our own only: run without TEST_KUBECONFIG")
    await operator.create("mine", "grid", OPEN)
    async with ApiClient(access(identity)) as api:
        path = ORDER_INTENTS.path(namespace, "mine")
        assert (await api.patch(f"{path}/status", {"status": {"state": "Filled"}})).status == 403
        assert (await api.delete(path)).status == 403
        assert (await api.get(ORDER_INTENTS.path("default"))).status == 403
        assert (await api.get(f"/api/v1/namespaces/{namespace}/secrets")).status == 403
        assert (await api.get(path)).ok


async def test_a_cluster_that_cannot_be_reached_is_an_error_that_says_so(identity, namespace, tmp_path, monkeypatch):
    monkeypatch.setattr("exchange_kernel.kernel.orders.START_WITHIN_S", 0.2)
    config = yaml.safe_load(identity.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "nowhere").write_text(yaml.safe_dump(config))
    with pytest.raises(ExchangeError, match="Check that the API server can be reached"):
        await KubernetesKernel("main", namespace=namespace, kubeconfig=tmp_path / "nowhere").start()
    with pytest.raises(ExchangeError, match="There is no cluster to work with"):
        await KubernetesKernel("main", namespace=namespace, kubeconfig=tmp_path / "missing").start()


async def test_healthy_means_reconciled(operator, identity, namespace, monkeypatch):
    monkeypatch.setattr("exchange_kernel.kernel.health.ANSWERED_WITHIN_S", 0.0)
    async with a_kernel(identity, namespace, acknowledge_timeout=0) as kernel:
        assert (await kernel.health_check())["healthy"] is True
        name = await kernel.place_order(LIMIT)

        async def problems() -> list[str]:
            health = await kernel.health_check()
            assert health["healthy"] is not bool(health["problems"])
            return [problem for problem in health["problems"] if name in problem]

        assert await problems() == [f"The operator has not looked at {name}: check that it runs, and is ready."]
        for status, problem in (
            (OPEN, []),
            (a_status(State.UNKNOWN), [f"What became of {name} at the exchange is not known yet."]),
            (a_status(State.PENDING, waiting=Waiting("AccountNotFound", "Create it.", person=True)), [f"A person is needed for {name}: see the message of its state."]),
            (FILLED, []),
        ):
            await operator.write(name, status)

            async def seen(problem: list[str] = problem) -> bool:
                return await problems() == problem

            await aeventually(seen, within=60, what=f"{status.state}: {problem}")
    assert (await kernel.health_check())["problems"] == ["The kernel is not started: call start()."]


# ── Faults between the strategy and the API server ──────────────────────────────────────────────────────────────────────────────────────────


class Proxy:
    """Passes bytes, and takes them away where a test wants that. TLS goes through it unread."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._frozen: set[asyncio.StreamWriter] = set()
        self.refusing = self.swallowing = False
        self.refused = self.swallowed = 0
        self.port = 0

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.close()

    def refuse(self) -> None:
        """Nobody gets through, and who was through is thrown out."""
        self.refusing = True
        self.cut()

    def freeze(self) -> None:
        """Connections that are there stay open and silent, as when a cable was pulled. New ones get through."""
        self._frozen |= self._writers

    def heal(self) -> None:
        self.refusing = self.swallowing = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            self.refused += 1
            writer.close()
            return
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        self._writers |= {writer, upstream_writer}
        await asyncio.gather(self._pass(reader, upstream_writer), self._pass(upstream_reader, writer, answers=True))
        self._writers -= {writer, upstream_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with suppress(ConnectionError, OSError):
            while data := await reader.read(65536):
                if answers and self.swallowing:
                    self.swallowed += 1     # the request was carried out, and nobody hears of it
                    break
                if writer not in self._frozen:
                    writer.write(data)
                    await writer.drain()
        writer.close()


read, write = Path.read_text, Path.write_text


@asynccontextmanager
async def a_proxy(kubeconfig: Path, dir: Path) -> AsyncIterator[tuple[Proxy, Path]]:
    """A proxy, and the same identity through it."""
    config = yaml.safe_load(read(kubeconfig))
    cluster = config["clusters"][0]["cluster"]
    async with Proxy(int(cluster["server"].rpartition(":")[2])) as proxy:
        cluster["server"] = f"https://127.0.0.1:{proxy.port}"
        path = dir / "through-the-proxy.kubeconfig"
        write(path, yaml.safe_dump(config))
        yield proxy, path


@pytest.fixture
async def proxied(kube, identity: Path, tmp_path: Path) -> AsyncIterator[tuple[Proxy, Path]]:
    if kube.control_plane is None:
        pytest.fail("a proxy can be put before a control plane of our own only: run without TEST_KUBECONFIG")
    async with a_proxy(identity, tmp_path) as pair:
        yield pair


async def test_a_create_whose_answer_is_lost_is_found_by_its_name(operator, proxied, namespace):
    proxy, kubeconfig = proxied
    async with a_kernel(kubeconfig, namespace) as kernel:
        await kernel._market_problems(LIMIT)     # leaves a connection beside the watch's, on which the create will go
        proxy.swallowing = True
        placing = asyncio.create_task(kernel.place_order(LIMIT))
        name = await operator.placed()
        await aeventually(lambda: proxy.swallowed >= 3, within=60, what="the answer is lost, and those to the next questions too")
        assert not placing.done()
        proxy.heal()
        await operator.write(name, OPEN)
        assert await asyncio.wait_for(placing, 60) == name
    assert [raw["metadata"]["name"] for raw in await operator.intents()] == [name]


async def test_a_create_that_never_arrived_is_repeated_under_the_same_name(operator, proxied, namespace):
    proxy, kubeconfig = proxied
    async with a_kernel(kubeconfig, namespace, acknowledge_timeout=0) as kernel:
        proxy.refuse()
        placing = asyncio.create_task(kernel.place_order(LIMIT))
        await aeventually(lambda: proxy.refused >= 4, within=60, what="some tries")
        assert await operator.intents() == []
        proxy.heal()
        name = await asyncio.wait_for(placing, 60)
    assert [raw["metadata"]["name"] for raw in await operator.intents()] == [name]


async def test_an_outcome_that_can_t_be_found_out_is_said_to_be_unknown(operator, proxied, namespace, monkeypatch):
    monkeypatch.setattr("exchange_kernel.kernel.writing.DURABLE_WITHIN_S", 0.5)
    proxy, kubeconfig = proxied
    async with a_kernel(kubeconfig, namespace) as kernel:
        proxy.refuse()
        with pytest.raises(ExchangeError, match="Do not place the order again") as unknown:
            await kernel.place_order(LIMIT)
        assert unknown.value.outcome_unknown
        proxy.heal()

        async def answered() -> bool:
            with pytest.raises((NotFoundError, ExchangeError)) as said:
                await kernel.get_order_state(str(unknown.value.intent_id))
            return isinstance(said.value, NotFoundError)

        await aeventually(answered, within=60, what="it is known not to exist")


async def test_a_stop_in_the_middle_leaves_the_outcome_unknown_and_says_so(proxied, namespace):
    proxy, kubeconfig = proxied
    async with a_kernel(kubeconfig, namespace) as kernel:
        proxy.refuse()
        placing = asyncio.create_task(kernel.place_order(LIMIT))
        await aeventually(lambda: proxy.refused >= 3, within=60, what="some tries")
        await kernel.stop()
        with pytest.raises(ExchangeError, match="Do not place the order again") as unknown:
            await asyncio.wait_for(placing, 60)
    assert unknown.value.outcome_unknown


async def test_a_watch_that_breaks_is_resumed_without_a_list_and_nothing_is_lost(operator, proxied, namespace):
    proxy, kubeconfig = proxied
    heard: list[BaseEvent] = []
    async with a_kernel(kubeconfig, namespace, acknowledge_timeout=0, heard=heard) as kernel:
        name = await kernel.place_order(LIMIT)
        await operator.write(name, OPEN)
        await aeventually(lambda: told(heard, name) == ["Accepted"], within=60, what="accepted")
        proxy.refuse()

        async def unhealthy() -> bool:
            return not (await kernel.health_check())["watching"]

        await aeventually(unhealthy, within=60, what="the kernel notices")
        for status in (PARTLY, a_status(State.CANCELED, ONE), a_status(State.FILLED, ONE, TWO), FILLED):
            await operator.write(name, status)
        proxy.heal()
        await aeventually(lambda: told(heard, name)[-1] == "Finished", within=60, what="the end is told")
        assert told(heard, name) == ["Accepted", "PartiallyFilled", "Canceled", "Filled", "Finished"], "each change by itself: the watch has them all"

        async def healthy() -> bool:
            return bool((await kernel.health_check())["healthy"])

        await aeventually(healthy, within=60, what="each of its watches is open again")
        assert (await kernel.health_check())["lists"] == 1
    assert numbered_without_gaps(heard)
    assert not any(event.after_gap for event in heard)


async def test_a_verdict_is_not_missed_because_the_watch_has_gone_silent(operator, proxied, namespace):
    proxy, kubeconfig = proxied
    heard: list[BaseEvent] = []
    async with a_kernel(kubeconfig, namespace, acknowledge_timeout=5, heard=heard) as kernel:
        await operator.create("seen", "grid", OPEN)
        await aeventually(lambda: told(heard, "seen") == ["Accepted"], within=60, what="the watch is open")
        proxy.freeze()
        placing = asyncio.create_task(kernel.place_order(LIMIT))
        name = await operator.placed(but={"seen"})
        await operator.write(name, REJECTED)
        with pytest.raises(ExchangeError, match="insufficient balance"):
            await asyncio.wait_for(placing, 60)
        assert told(heard, name) == ["Rejected", "Finished"]


async def test_after_410_all_is_listed_and_no_event_is_lost(tmp_path):
    with ControlPlane.start(tmp_path / "plane", fsync=False) as plane:
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"), check=True)
        plane.kubectl("wait", "--for=condition=Established", "crd/orderintents.exchange-kernel.io", "--timeout=60s", check=True)
        heard: list[BaseEvent] = []
        async with a_proxy(plane.kubeconfig, tmp_path) as (proxy, kubeconfig), ApiClient(access(plane.kubeconfig)) as api:
            operator = Operator(api, "default")
            async with a_kernel(kubeconfig, "default", acknowledge_timeout=0, heard=heard) as kernel:
                fills, goes, stays = [await kernel.place_order(LIMIT) for _ in range(3)]
                for name in (fills, goes, stays):
                    await operator.write(name, OPEN)
                await aeventually(lambda: all(told(heard, name) == ["Accepted"] for name in (fills, goes, stays)), within=60, what="all are accepted")
                proxy.refuse()
                for status in (PARTLY, FILLED):
                    await operator.write(fills, status)
                await operator.remove(goes)
                await operator.create("comes", "grid", PARTLY)
                # A new API server remembers nothing from before it: whoever resumes there is told 410.
                await asyncio.to_thread(plane.stop_apiserver)
                await asyncio.to_thread(plane.start_apiserver)
                proxy.heal()
                await aeventually(lambda: told(heard, "comes"), within=60, what="what came meanwhile is told")
                await aeventually(lambda: told(heard, goes)[-1] == "Deleted", within=60, what="what went is told")
                assert (await kernel.health_check())["lists"] == 2
                await operator.write(stays, PARTLY)
                await aeventually(lambda: told(heard, stays) == ["Accepted", "PartiallyFilled"], within=60, what="the watch goes on")
    assert told(heard, fills) == ["Accepted", "PartiallyFilled", "Filled", "Finished", "Resynced"]
    assert told(heard, goes) == ["Accepted", "Deleted"]
    assert told(heard, "comes") == ["Accepted", "PartiallyFilled", "Resynced"]
    assert numbered_without_gaps(heard)
    assert all(event.after_gap == (event.event_type is not EventType.ACCEPTED or event.intent_id == "comes") for event in heard if event.intent_id != stays)


# ── With the operator, and an exchange ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_with_the_operator_an_order_fills_another_is_refused_and_a_third_is_cancelled(trading, kube):
    heard: list[BaseEvent] = []
    market = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.MARKET, quantity="0.02")
    rest = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="0.01", price="20000")
    async with a_kernel(kube.kubeconfig, trading.namespace, strategy="python", heard=heard) as kernel:
        filled = await kernel.place_order(market)
        await aeventually(lambda: told(heard, filled)[-1:] == ["Finished"], within=60, what="the market order is finished")
        with pytest.raises(ExchangeError) as refused:
            await kernel.place_order(rest.model_copy(update={"quantity": Decimal(300)}))
        with pytest.raises(ValidationError) as denied:
            await kernel.place_order(market.model_copy(update={"quantity": Decimal("0.0000001")}))
        resting = await kernel.place_order(rest)
        await kernel.cancel_order(resting)
        states = [await kernel.get_order_state(name) for name in (filled, resting)]
    assert told(heard, filled)[0] == "Accepted"
    assert "Filled" in told(heard, filled)
    assert sum(event.quantity for event in heard if event.intent_id == filled and hasattr(event, "quantity")) == Decimal("0.02")
    assert "insufficient balance" in str(refused.value.reason)
    assert "raise spec.quantity" in str(denied.value)
    assert [state.state for state in states] == [State.FILLED, State.CANCELED]
    assert [order["status"] for state in states for order in trading.exchange.orders(state.client_order_id)] == ["FILLED", "CANCELED"]


# ── The documentation ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_example_of_the_documentation_runs(operator, identity, namespace, capsys):
    example = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)[0]
    room: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "docs/python.md", "exec"), room)
    async with a_kernel(identity, namespace, strategy="dip") as kernel:
        trading = asyncio.create_task(room["trade"](kernel))
        name = await operator.placed()
        await operator.write(name, a_status(State.PARTIALLY_FILLED, a_fill("1", "0.004")))

        async def asked() -> bool:
            return (await operator.get(name))["spec"]["desiredState"] == "Canceled"

        await aeventually(asked, within=60, what="the example cancels")
        await operator.write(name, a_status(State.CANCELED, a_fill("1", "0.004"), end="CanceledAsAsked", generation=2))
        await asyncio.wait_for(trading, 60)
    assert capsys.readouterr().out.splitlines() == [f"{name}: 0.004 more, 0.004 in all", f"{name}: Canceled, 0.004 filled"]


def test_the_states_of_the_contract_are_those_of_the_kind():
    assert State is OrderState
    assert json.loads(json.dumps(str(State.OPEN))) == "Open"
