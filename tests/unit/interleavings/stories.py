"""How these stories are told: one desk in virtual time, and the nouns that most of them need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import ExchangeOrder
from exchange_kernel.core.identity import order_id
from exchange_kernel.exchanges.port import OrderUpdate
from tests.builders import a_spec, a_venue
from tests.scripted import OWNER, World, until
from tests.virtual_time import run

Tell = Callable[[World], Awaitable[None]]


def story(tell: Tell, *, account: dict | None = None, **venue) -> None:
    """Tell it of a desk that is ready."""

    async def whole() -> None:
        world = World(**(account or {}))
        world.exchange.capabilities = a_venue(**venue)
        await world.start()
        try:
            await tell(world)
        finally:
            if world.desk is not None:
                await world.desk.stop()

    run(whole())


async def open_order(world: World, uid: str = "a", **spec) -> str:
    world.store.create(uid, a_spec(**spec))
    await until(lambda: world.status(uid).state is OrderState.OPEN)
    return world.status(uid).client_order_id


async def finished(world: World, uid: str = "a", within: float = 60.0):
    await until(lambda: world.status(uid).completion_time is not None, within)
    return world.status(uid)


def condition(world: World, kind: str, uid: str = "a"):
    return next(condition for condition in world.status(uid).conditions if condition.type == kind)


def the_id(number: int = 1, uid: str = "a") -> str:
    return order_id(OWNER, uid=uid, attempt=number)


def the_order(world: World) -> ExchangeOrder:
    (order,) = world.exchange.orders_by_id.values()
    return order


def live(world: World) -> list[ExchangeOrder]:
    return [order for order in world.exchange.orders_by_id.values() if not order.status.ended]


def orders_per_id(world: World) -> set[int]:
    """{1} where no id has two orders."""
    return set(Counter(order.client_order_id for order in world.exchange.orders_by_id.values()).values())


def report(world: World, order: ExchangeOrder) -> None:
    """The stream tells of an order, whatever else is known of it."""
    for stream in world.exchange._streams:
        stream.put_nowait(OrderUpdate(order))
