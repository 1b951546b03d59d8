"""Rule 7 on the real API server: who may act for an account, and since when."""

from __future__ import annotations

import asyncio
import time

import pytest

from exchange_kernel.kube.client import LEASES, ApiClient
from exchange_kernel.kube.config import access
from exchange_kernel.kube.lease import LeaseOwnership, Spokesman

TERM = 4.0          # longer than a busy machine keeps one renewal waiting


@pytest.fixture
async def api(kube):
    async with ApiClient(access(kube.kubeconfig)) as client:
        yield client


def a_lease(api, namespace, identity):
    return LeaseOwnership(api, namespace=namespace, name="account", identity=identity, duration=TERM, renew_every=0.3)


async def acquired(lease) -> float:
    began = time.monotonic()
    await lease.acquire()
    return time.monotonic() - began


@pytest.mark.proves("rule 7", "H5")
async def test_rule_7_a_lease_we_created_is_waited_out(api, namespace):
    lease = a_lease(api, namespace, "a")
    assert await acquired(lease) >= TERM
    assert lease.held_until > time.monotonic()


@pytest.mark.proves("rule 7", "H5")
async def test_rule_7_our_own_name_from_before_a_restart_is_waited_out(api, namespace):
    await a_lease(api, namespace, "a").acquire()
    assert await acquired(a_lease(api, namespace, "a")) >= TERM


@pytest.mark.proves("rule 7", "H7")
async def test_rule_7_h7_a_released_lease_is_waited_out_too(api, namespace):
    first = a_lease(api, namespace, "a")
    await first.acquire()
    await first.release()
    assert await acquired(a_lease(api, namespace, "b")) >= TERM


@pytest.mark.proves("rule 7")
async def test_rule_7_anothers_lease_is_timed_from_our_own_first_sight(api, namespace):
    first = a_lease(api, namespace, "a")
    await first.acquire()
    # Its renewTime lies in the past by now; what counts is that it does not change while we look.
    assert await acquired(a_lease(api, namespace, "b")) >= TERM
    assert not await first.renew(lambda _: None, lambda _: None), "the deposed holder learns of it"


@pytest.mark.proves("rule 7")
async def test_rule_7_a_renewed_lease_is_not_taken(api, namespace):
    first, second = a_lease(api, namespace, "a"), a_lease(api, namespace, "b")
    await first.acquire()
    holding = asyncio.create_task(first.hold(lambda _: None, lambda _: None))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(second.acquire(), TERM * 2)
    assert not holding.done()
    holding.cancel()


@pytest.mark.proves("rule 7", "H5")
async def test_rule_7_h5_a_deleted_lease_is_a_lost_one(api, namespace):
    lease = a_lease(api, namespace, "a")
    await lease.acquire()
    assert (await api.delete(LEASES.path(namespace, "account"))).ok
    await asyncio.wait_for(lease.hold(lambda _: None, lambda _: None), TERM)
    assert lease.held_until == 0.0


@pytest.mark.proves("rule 7")
async def test_rule_7_belief_starts_before_the_request_is_sent(api, namespace):
    lease = a_lease(api, namespace, "a")
    await lease.acquire()
    sent: list[float] = []
    await lease.renew(sent.append, lambda _: None)
    assert lease.held_until == pytest.approx(sent[0] + TERM)


@pytest.mark.proves("rule 7")
async def test_of_several_that_could_speak_one_does_and_another_takes_over_when_it_is_gone(api, namespace):
    first, second = (Spokesman(a_lease(api, namespace, identity)) for identity in "ab")
    assert [await first.speaks(), await second.speaks(), await first.speaks()] == [True, False, True]
    await first.release()
    await spoken(second, within=TERM)  # its last no is believed for a while
    assert not await first.speaks()
    asked = time.monotonic()
    await spoken(Spokesman(a_lease(api, namespace, "c")), within=4 * TERM + 60)  # the second is gone without a word
    assert time.monotonic() - asked >= TERM


async def spoken(spokesman, within):
    deadline = time.monotonic() + within
    while not await spokesman.speaks():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.proves("rule 7")
async def test_rule_7_a_lease_that_somebody_edits_to_one_second_is_neither_stolen_nor_left_so(api, namespace):
    first, second = a_lease(api, namespace, "a"), a_lease(api, namespace, "b")
    await first.acquire()
    holding = asyncio.create_task(first.hold(lambda _: None, lambda _: None))
    seeking = asyncio.create_task(second.acquire())
    over = time.monotonic() + TERM * 2
    while time.monotonic() < over:
        assert (await api.patch(LEASES.path(namespace, "account"), {"spec": {"leaseDurationSeconds": 1, "leaseTransitions": 2**31 - 1}})).ok
        edited = time.monotonic()
        while (await api.get(LEASES.path(namespace, "account"))).body["spec"]["leaseDurationSeconds"] != TERM:
            assert time.monotonic() < edited + TERM / 2
            await asyncio.sleep(0.05)
    assert not seeking.done()
    assert not holding.done()
    holding.cancel()
    await asyncio.wait_for(seeking, 60)
