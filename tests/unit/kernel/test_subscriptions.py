"""Who hears what, in which order, whatever another callback does."""

from __future__ import annotations

import asyncio

from exchange_kernel.kernel import EventFilter, OrderAccepted, OrderCanceled
from exchange_kernel.kernel.subscriptions import Subscriptions
from tests.support import aeventually
from tests.unit.kernel.builders import T0


def accepted(sequence: int, intent_id: str = "a") -> OrderAccepted:
    return OrderAccepted(intent_id=intent_id, symbol_id="BTC/USDT", sequence=sequence, seen_time=T0, exchange_order_id="x")


async def told(subscriptions: Subscriptions) -> None:
    await subscriptions.drain(within=5)


async def test_each_hears_all_in_order_sync_or_async():
    subscriptions, plain, awaited = Subscriptions(), [], []

    async def slow(event):
        await asyncio.sleep(0)
        awaited.append(event.sequence)

    subscriptions.add(lambda event: plain.append(event.sequence), None)
    subscriptions.add(slow, None)
    for number in range(1, 6):
        subscriptions.publish(accepted(number))
    await told(subscriptions)
    assert plain == awaited == [1, 2, 3, 4, 5]


async def test_one_that_raises_stops_neither_the_others_nor_itself():
    subscriptions, failing, other = Subscriptions(), [], []

    def fail(event):
        failing.append(event.sequence)
        raise RuntimeError("a bug in a strategy")

    async def fail_later(event):
        await asyncio.sleep(0)
        raise RuntimeError("another")

    subscriptions.add(fail, None)
    subscriptions.add(fail_later, None)
    subscriptions.add(lambda event: other.append(event.sequence), None)
    for number in (1, 2):
        subscriptions.publish(accepted(number))
    await told(subscriptions)
    assert failing == other == [1, 2]


async def test_one_that_hangs_holds_up_nobody_else():
    subscriptions, other, released = Subscriptions(), [], asyncio.Event()
    hung = []

    async def hang(event):
        await released.wait()
        hung.append(event.sequence)

    subscriptions.add(hang, None)
    subscriptions.add(lambda event: other.append(event.sequence), None)
    subscriptions.publish(accepted(1))
    subscriptions.publish(accepted(2))
    await aeventually(lambda: other == [1, 2], within=60, every=0, what="the other has heard both")
    assert (hung, subscriptions.waiting) == ([], 1)
    released.set()
    await told(subscriptions)
    assert hung == [1, 2]


async def test_a_filter_lets_only_its_own_through():
    subscriptions, heard = Subscriptions(), []
    subscriptions.add(heard.append, EventFilter(intent_id="b"))
    subscriptions.publish(accepted(1, "a"))
    subscriptions.publish(accepted(1, "b"))
    subscriptions.publish(OrderCanceled(intent_id="b", symbol_id="BTC/USDT", sequence=2, seen_time=T0, settled=True))
    await told(subscriptions)
    assert [event.sequence for event in heard] == [1, 2]


async def test_one_that_leaves_hears_nothing_more_not_even_what_waits():
    subscriptions, heard = Subscriptions(), []

    def leave(event):
        heard.append(event.sequence)
        subscriptions.remove(subscription)
        subscriptions.remove(subscription)

    subscription = subscriptions.add(leave, None)
    subscriptions.publish(accepted(1))
    subscriptions.publish(accepted(2))
    await told(subscriptions)
    subscriptions.publish(accepted(3))
    await told(subscriptions)
    assert heard == [1]


async def test_a_callback_may_itself_wait_for_the_others_to_be_told():
    subscriptions, other = Subscriptions(), []

    async def stop(event):
        await subscriptions.drain(within=5)

    subscriptions.add(stop, None)
    subscriptions.add(lambda event: other.append(event.sequence), None)
    subscriptions.publish(accepted(1))
    await aeventually(lambda: other, within=60, every=0, what="the other has heard it")


async def test_what_is_not_told_in_time_is_dropped():
    subscriptions, released = Subscriptions(), asyncio.Event()

    async def hang(event):
        await released.wait()

    subscriptions.add(hang, None)
    subscriptions.publish(accepted(1))
    subscriptions.publish(accepted(2))
    await subscriptions.drain(within=0.01)
    assert subscriptions.waiting == 0
