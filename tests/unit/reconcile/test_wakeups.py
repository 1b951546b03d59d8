import asyncio

import pytest

from exchange_kernel.reconcile.wakeups import Wakeups


async def test_calls_of_one_key_are_serial_and_a_wake_meanwhile_means_one_more():
    running, calls, release = 0, 0, asyncio.Event()

    async def reconcile(key: str) -> None:
        nonlocal running, calls
        running, calls = running + 1, calls + 1
        assert running == 1
        await release.wait()
        running -= 1

    wakeups = Wakeups(reconcile)
    for _ in range(5):
        wakeups.wake("a")
        await asyncio.sleep(0)
    release.set()
    await wakeups.idle()
    assert calls == 2


@pytest.mark.proves("rule 14")
async def test_rule_14_a_key_that_fails_does_not_stop_another():
    done = []

    async def reconcile(key: str) -> None:
        if key == "bad":
            raise ValueError("a bug")
        done.append(key)

    wakeups = Wakeups(reconcile)
    for key in ("bad", "good"):
        wakeups.wake(key)
    await wakeups.idle()
    assert done == ["good"]
    await wakeups.close(within=1)


async def test_the_latest_time_to_wake_counts_and_a_wake_takes_its_place():
    calls = []
    wakeups = Wakeups(lambda key: _note(calls, key))
    wakeups.wake_after("a", 3600)
    wakeups.wake_after("a", 0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await wakeups.idle()
    assert calls == ["a"]
    wakeups.wake_after("a", 3600)
    wakeups.wake("a")
    await wakeups.idle()
    await wakeups.close(within=1)
    assert calls == ["a", "a"]


async def _note(calls: list[str], key: str) -> None:
    calls.append(key)


async def test_the_rest_of_some_keys_is_waited_for_and_not_that_of_others():
    gates = {"a": asyncio.Event(), "b": asyncio.Event()}
    wakeups = Wakeups(lambda key: gates[key].wait())
    for key in gates:
        wakeups.wake(key)
    rested = asyncio.create_task(wakeups.rested(["a", "never woken"]))
    await asyncio.sleep(0)
    assert not rested.done()
    gates["a"].set()
    await asyncio.wait_for(rested, 60)
    gates["b"].set()
    await wakeups.idle()
