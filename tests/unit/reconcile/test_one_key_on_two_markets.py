"""One idempotencyKey on two accounts of one fingerprint, as for spot and for swap at Bybit or OKX: two markets, one id (rule 2). Told in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import DeletionPolicy, ExchangeAccountStatus, OrderState
from exchange_kernel.core.answers import Found, NotFound, OrderStatus, Unknown
from exchange_kernel.core.sending import SendStage
from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.port import OrderRef
from exchange_kernel.reconcile import session
from tests.builders import a_market, a_spec
from tests.scripted import ScriptedExchange, World, an_account_record, until
from tests.unit.reconcile.test_order_intent import Anyone, not_sent
from tests.virtual_time import run

SPOT, SWAP = "BTC/USDT", "BTC/USDT:USDT"
NAMES = {"spot": ("main", SPOT), "swap": ("perpetual", SWAP)}


class OneSide(ScriptedExchange):
    """One market type of an account. Its lists and its stream may tell of the other's orders too; a look-up by id is of one market."""

    def __init__(self, symbol: str, other: ScriptedExchange | None = None, *, tells_all: bool) -> None:
        super().__init__()
        self.market, self.tells_all = replace(a_market(), symbol=symbol, contract_size=Decimal(1) if ":" in symbol else None), tells_all
        if other is not None:
            self.orders_by_id, self.trades_of = other.orders_by_id, other.trades_of
            self._streams = other._streams if tells_all else self._streams

    def named(self, client_order_id: str):
        return [order for order in super().named(client_order_id) if order.symbol == self.market.symbol]

    def _shown(self):
        return [order for order in super()._shown() if self.tells_all or order.symbol == self.market.symbol]

    async def lookup(self, ref: OrderRef):
        answer = await super().lookup(ref)
        if isinstance(answer, Found) and answer.order.symbol != ref.symbol:
            own = [order for order in self._shown() if order.client_order_id == ref.client_order_id and order.symbol == ref.symbol]
            return Found(own[-1]) if own else NotFound()
        return answer


class TwoMarkets(World):
    """An account for spot and one for swap, of one fingerprint."""

    def __init__(self, *, tells_all: bool = True, **spec) -> None:
        super().__init__(marketType="Spot", **spec)
        self.exchange = OneSide(SPOT, tells_all=tells_all)
        self.swap = OneSide(SWAP, self.exchange, tells_all=tells_all)
        self.exchanges["bbbb-perpetual"] = self.swap
        self.accounts.put(replace(an_account_record(marketType="Swap", **spec), uid="bbbb-perpetual", name="perpetual"))

    def orders(self, symbol: str):
        return [order for order in self.exchange.orders_by_id.values() if order.symbol == symbol]

    def place(self, side: str, **changes) -> None:
        account, symbol = NAMES[side]
        self.store.create(side, a_spec(**{"accountRef": {"name": account}, "symbol": symbol, "idempotencyKey": "entry-7",
                                          "submitDeadlineTime": "2027-06-01T00:00:00Z", **changes}))

    def ready_because(self, uid: str) -> str:
        return next((one.reason for one in self.status(uid).conditions if one.type == "Stalled"), "")


def story(tell, **options):
    async def whole():
        world = TwoMarkets(**options)
        await world.start()
        try:
            await tell(world)
        finally:
            await world.desk.stop()

    run(whole())


async def opened(world: TwoMarkets, uid: str, within: float = 60.0) -> str:
    await until(lambda: world.status(uid).state is OrderState.OPEN, within)
    return world.status(uid).client_order_id


async def refused(world: TwoMarkets, uid: str) -> None:
    await until(lambda: world.ready_because(uid) == "KeyInUse")
    assert world.status(uid).state is OrderState.PENDING
    assert world.status(uid).exchange_order_id is None
    assert world.status(uid).filled_quantity is None or world.status(uid).filled_quantity == 0


EITHER = pytest.mark.parametrize(("first", "second"), [("spot", "swap"), ("swap", "spot")])
TOLD = pytest.mark.parametrize("tells_all", [True, False], ids=["lists tell of both markets", "lists are of one market"])


@pytest.mark.proves("rule 2")
@EITHER
@TOLD
def test_my_second_order_says_that_its_key_is_taken_and_not_open_with_the_first_one_s_id(first, second, tells_all):
    async def tell(world):
        world.place(first)
        await opened(world, first)
        world.place(second)
        await refused(world, second)
        await asyncio.sleep(60)
        await refused(world, second)
        assert len(world.exchange.orders_by_id) == 1
        message = next(one.message for one in world.status(second).conditions if one.type == "Stalled")
        assert first in message
        assert "use another key" in message

    story(tell, tells_all=tells_all)


@EITHER
@TOLD
def test_deleting_the_refused_one_cancels_nothing(first, second, tells_all):
    async def tell(world):
        world.place(first)
        await opened(world, first)
        world.place(second)
        await refused(world, second)
        world.store.delete(second)
        await until(lambda: world.store.get(second) is None)
        await asyncio.sleep(30)
        (order,) = world.exchange.orders_by_id.values()
        assert order.status is OrderStatus.OPEN
        assert "cancel" not in (*world.exchange.calls, *world.swap.calls)
        assert world.status(first).state is OrderState.OPEN

    story(tell, tells_all=tells_all)


@EITHER
def test_when_the_first_is_deleted_the_second_is_sent_to_its_own_market(first, second):
    async def tell(world):
        world.place(first)
        await opened(world, first)
        world.place(second)
        await refused(world, second)
        world.store.delete(first)
        await until(lambda: world.store.get(first) is None)
        await opened(world, second, within=120)
        (one,), (other,) = world.orders(NAMES[first][1]), world.orders(NAMES[second][1])
        assert (one.status, other.status) == (OrderStatus.CANCELED, OrderStatus.OPEN)
        assert world.status(second).exchange_order_id == other.exchange_order_id
        world.exchanges.get("bbbb-perpetual" if second == "swap" else "", world.exchange).fill(other.client_order_id, "1")
        await until(lambda: world.status(second).state is OrderState.FILLED)
        assert world.status(second).filled_quantity == 1

    story(tell)


def test_both_at_once_one_is_sent_and_one_is_refused():
    async def tell(world):
        world.place("spot")
        world.place("swap")
        await until(lambda: {"KeyInUse"} & {world.ready_because("spot"), world.ready_because("swap")})
        await asyncio.sleep(60)
        assert len(world.exchange.orders_by_id) == 1
        assert sorted(str(world.status(uid).state) for uid in NAMES) == ["Open", "Pending"]

    story(tell)


@EITHER
@TOLD
def test_a_restart_changes_nothing_of_it(first, second, tells_all):
    async def tell(world):
        world.place(first)
        await opened(world, first)
        world.place(second)
        await refused(world, second)
        await world.crash()
        await world.start()
        await asyncio.sleep(60)
        await refused(world, second)
        assert world.status(first).state is OrderState.OPEN
        assert len(world.exchange.orders_by_id) == 1

    story(tell, tells_all=tells_all)


@TOLD
@pytest.mark.parametrize("policy", ["Report", "Cancel"])
def test_two_that_were_sent_by_two_replicas_at_once_are_two_orders_and_each_is_followed(tells_all, policy, monkeypatch):
    """Each replica saw its own object first. Both orders live under one id; neither is an orphan, and no fill of one counts for the other."""

    async def tell(world):
        with monkeypatch.context() as apart:
            apart.setattr(session, "other_markets", lambda account, others: [])
            world.place("spot", quantity="2")
            world.place("swap")
            for uid in NAMES:
                await opened(world, uid)
        (spot,), (swap,) = world.orders(SPOT), world.orders(SWAP)
        assert spot.client_order_id == swap.client_order_id
        world.swap.fill(swap.client_order_id, "0.4")
        await until(lambda: world.status("swap").filled_quantity == Decimal("0.4"))
        await asyncio.sleep(30)
        await world.crash()
        await world.start()
        await asyncio.sleep(30)
        assert [world.status(uid).state for uid in NAMES] == [OrderState.OPEN, OrderState.PARTIALLY_FILLED]
        assert not world.status("spot").filled_quantity
        assert world.status("spot").exchange_order_id == spot.exchange_order_id
        world.store.delete("swap")
        await until(lambda: world.store.get("swap") is None)
        await asyncio.sleep(30)
        assert [order.status for order in world.orders(SPOT)] == [OrderStatus.OPEN]
        assert [order.status for order in world.orders(SWAP)] == [OrderStatus.CANCELED]
        for account in world.accounts.all():
            assert not account.status.orphan_orders

    story(tell, tells_all=tells_all, orphanPolicy=policy)


def test_a_fill_that_comes_after_the_first_was_let_go_is_not_taken_for_the_second_s():
    async def tell(world):
        world.place("spot")
        await opened(world, "spot")
        world.place("swap")
        await refused(world, "swap")
        world.store.edit("spot", world.store.get("spot").spec.model_copy(update={"deletion_policy": DeletionPolicy.ORPHAN}))
        world.store.delete("spot")
        await until(lambda: world.store.get("spot") is None)
        await opened(world, "swap", within=120)
        world.exchange.fill(world.orders(SPOT)[0].client_order_id, "1")
        await asyncio.sleep(30)
        assert not world.status("swap").filled_quantity
        assert world.accounts.record.status.unattributed_fills == 1, "the account that had the order tells of it"

    story(tell)


def test_the_same_key_in_another_namespace_is_another_key():
    async def tell(world):
        world.accounts.put(replace(world.accounts.get("bbbb-perpetual"), uid="cccc-theirs", namespace="theirs", status=ExchangeAccountStatus()))
        world.exchanges["cccc-theirs"] = world.swap
        world.place("spot")
        await opened(world, "spot")
        world.accounts.delete("bbbb-perpetual")
        await until(lambda: world.accounts.get("bbbb-perpetual") is None)
        world.store.create("theirs", a_spec(accountRef={"name": "perpetual"}, symbol=SWAP, idempotencyKey="entry-7",
                                            submitDeadlineTime="2027-06-01T00:00:00Z"), namespace="theirs")
        await opened(world, "theirs", within=120)
        assert len({order.client_order_id for order in world.exchange.orders_by_id.values()}) == 2

    story(tell)


@pytest.mark.parametrize("changes", [{"quantity": "2"}, {"side": "Sell"}, {"type": "Market", "price": None, "quantity": "1"}], ids=["quantity", "side", "type"])
def test_on_one_account_the_same_key_with_other_terms_is_in_use(changes):
    async def tell(world):
        world.place("spot")
        await opened(world, "spot")
        world.store.create("again", world.store.get("spot").spec)
        await until(lambda: world.ready_because("again") == "HeldByAnotherIntent")
        world.store.create("b", a_spec(**{"idempotencyKey": "entry-7", "submitDeadlineTime": "2027-06-01T00:00:00Z", **changes}))
        await refused(world, "b")
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


def recreate(world, **spec) -> None:
    """The account's object goes by force, and the same manifest is applied again."""
    world.accounts.records.pop(world.accounts.first)
    world.desk.account_keys.wake(world.accounts.first)
    world.accounts.first = "dddd-again"
    world.accounts.put(replace(an_account_record(marketType="Spot", **spec), uid="dddd-again"))


@pytest.mark.proves("rule 2", "rule 3")
def test_an_account_that_is_created_again_finds_the_orders_of_its_keys():
    async def tell(world):
        world.place("spot")
        first = await opened(world, "spot")
        recreate(world)
        await until(lambda: world.accounts.record.status.fingerprint is not None and world.desk.account_reconciler.all_ready())
        world.exchange.fill(first, "1")
        await until(lambda: world.status("spot").state is OrderState.FILLED)
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


@pytest.mark.proves("rule 3")
@pytest.mark.parametrize("answer", ["comes late", "is none"])
def test_a_send_on_its_way_under_the_old_account_object_is_not_repeated_under_the_new_one(answer):
    """Object and intent go by force while the request flies, and both are applied again: the id and the account at the exchange are the same."""

    async def tell(world):
        world.exchange.flight_s = 20.0
        if answer == "is none":
            world.exchange.reply = lambda order: Unknown("no answer")
        world.place("spot")
        await until(lambda: "submit" in world.exchange.calls)
        memory = world.desk.session.memory
        recreate(world)
        world.store._remove("spot")
        world.place("spot")
        await asyncio.sleep(5)
        assert [known.send.stage for known in memory._orders.values() if known.send is not None] == [SendStage.IN_FLIGHT]
        await opened(world, "spot", within=180)
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


@pytest.mark.proves("rule 7")
def test_what_was_not_sent_under_the_old_account_object_may_have_been_sent_under_the_new_one_since():
    """Another replica has the new object first, sends the order, sees it fill, and dies before it could write a word of it."""

    async def tell(world):
        submit, world.exchange.submit = world.exchange.submit, not_sent
        world.place("spot")
        await until(lambda: world.status("spot").attempts and world.desk.memory.sent_for("spot"))
        recreate(world)
        client_order_id, world.exchange.submit = world.status("spot").attempts[0].client_order_id, submit
        await submit(OrderRequest(client_order_id=client_order_id, symbol=SPOT, side="Buy", type="Limit", quantity=Decimal(1), price=Decimal(50000)), Anyone())
        world.exchange.fill(client_order_id, "1", tell=False)
        await until(lambda: world.status("spot").completion_time is not None, within=180)
        assert world.status("spot").state is OrderState.FILLED
        assert len(world.exchange.orders_by_id) == 1

    story(tell)
