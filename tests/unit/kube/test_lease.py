"""The Lease in virtual time, edited by hands other than ours: how long another's is waited for, whatever stands in it."""

from __future__ import annotations

import asyncio
import math
from typing import Any, get_type_hints

import pytest

from exchange_kernel.cli.run import run
from exchange_kernel.kube.client import Answer, Body
from exchange_kernel.kube.lease import LONGEST_TERM_S, LeaseOwnership
from tests.scripted import LoopClock
from tests.virtual_time import scenario

TERM = 6.0
PATH = "/apis/coordination.k8s.io/v1/namespaces/here/leases"


class Leases:
    """One Lease as the API server keeps it: by version, and with what its validation refuses."""

    def __init__(self) -> None:
        self.lease: Body | None = None
        self._version = 0

    def put(self, spec: object, **more: object) -> None:
        self._version += 1
        self.lease = {"metadata": {"name": "account", "resourceVersion": str(self._version)}, **({"spec": spec} if spec is not ... else {}), **more}

    def edit(self, **spec: object) -> None:
        assert self.lease is not None
        self.put({name: value for name, value in {**self.lease["spec"], **spec}.items() if value is not ...})

    async def get(self, path: str) -> Answer:
        return Answer(200, self.lease) if self.lease is not None else Answer(404, {})

    async def create(self, path: str, body: Body) -> Answer:
        return Answer(409, {}) if self.lease is not None else self._write(body["spec"])

    async def replace(self, path: str, body: Body) -> Answer:
        return self._at(body) or self._write(body["spec"])

    async def patch(self, path: str, body: Body) -> Answer:
        return self._at(body) or self._write({**(self.lease or {}).get("spec", {}), **body["spec"]})

    def _at(self, body: Body) -> Answer | None:
        if self.lease is None:
            return Answer(404, {})
        return Answer(409, {}) if self.lease["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] else None

    def _write(self, spec: Body) -> Answer:
        seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
        if not isinstance(seconds, int) or seconds <= 0 or not isinstance(transitions, int) or not 0 <= transitions < 2**31:
            return Answer(422, {"message": "invalid"})
        self.put(spec)
        return Answer(200, self.lease or {})


def a_lease(api: Leases, identity: str, duration: float = TERM) -> LeaseOwnership:
    client: Any = api
    return LeaseOwnership(client, namespace="here", name="account", identity=identity, duration=duration, renew_every=duration / 4, monotonic=LoopClock().monotonic)


async def seconds_until_acquired(lease: LeaseOwnership) -> float:
    began = LoopClock().monotonic()
    await asyncio.wait_for(lease.acquire(), 3600)
    return LoopClock().monotonic() - began


def held_by_another(**spec: object) -> Body:
    whole = {"holderIdentity": "another", "leaseDurationSeconds": 6, "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z",
             "leaseTransitions": 3, **spec}
    return {name: value for name, value in whole.items() if value is not ...}


@pytest.mark.proves("rule 7")
@pytest.mark.parametrize(("found", "waited"), [
    (1, TERM), (0, TERM), (-5, TERM), (..., TERM), (None, TERM), ("soon", TERM), (True, TERM), (math.nan, TERM), ([6], TERM),
    (15, 15), (10.2, 11), (31_536_000, LONGEST_TERM_S), (2**31 - 1, LONGEST_TERM_S), (math.inf, TERM),
])
@scenario
async def test_an_edited_duration_neither_gives_the_account_away_early_nor_keeps_it_for_a_year(found, waited):
    api = Leases()
    api.put(held_by_another(leaseDurationSeconds=found))
    assert waited <= await seconds_until_acquired(a_lease(api, "us")) <= waited + 2


@pytest.mark.proves("rule 7")
@scenario
async def test_a_lease_edited_to_one_second_is_not_stolen_from_a_holder_that_lives():
    api = Leases()
    holder, other = a_lease(api, "holder"), a_lease(api, "other")
    await holder.acquire()
    holding = asyncio.create_task(holder.hold(lambda _: None, lambda _: None))
    seeking = asyncio.create_task(other.acquire())
    for _ in range(20):
        api.edit(leaseDurationSeconds=1)
        await asyncio.sleep(2.9)
        assert not seeking.done()
        assert holder.held_until > LoopClock().monotonic()
    holding.cancel()
    seeking.cancel()


@pytest.mark.proves("rule 7")
@scenario
async def test_the_holder_writes_its_term_again_over_whatever_was_edited():
    api = Leases()
    holder = a_lease(api, "holder", 20.0)
    await holder.acquire()
    api.edit(leaseDurationSeconds=1)
    holding = asyncio.create_task(holder.hold(lambda _: None, lambda _: None))
    await asyncio.sleep(8)
    assert api.lease["spec"]["leaseDurationSeconds"] == 20
    holding.cancel()


@pytest.mark.proves("rule 7")
@scenario
async def test_a_longer_term_that_was_seen_counts_though_it_was_edited_away():
    """A holder with a longer --lease-seconds than ours stops; then its Lease is edited. It may believe in it for as long as it wrote."""
    api = Leases()
    api.put(held_by_another(leaseDurationSeconds=30))
    other = a_lease(api, "other")
    seeking = asyncio.create_task(other.acquire())
    began = LoopClock().monotonic()
    await asyncio.sleep(2)
    api.edit(leaseDurationSeconds=1)
    await seeking
    assert LoopClock().monotonic() - began >= 30


@pytest.mark.proves("rule 7")
@scenario
async def test_a_longer_term_is_waited_out_too_where_its_holder_released_or_deleted_it():
    for left in ({"holderIdentity": ""}, None):
        api = Leases()
        api.put(held_by_another(leaseDurationSeconds=30))
        other = a_lease(api, "other")
        seeking = asyncio.create_task(other.acquire())
        await asyncio.sleep(2)
        if left is not None:
            api.edit(**left)
        else:
            api.lease = None
        began = LoopClock().monotonic()
        await asyncio.sleep(29)
        assert not seeking.done() or LoopClock().monotonic() - began >= 30
        await asyncio.wait_for(seeking, 60)


@pytest.mark.proves("rule 7")
@pytest.mark.parametrize("duration", [4.4, 6.0, 6.5])
@scenario
async def test_what_is_written_is_never_shorter_than_what_is_believed(duration):
    api = Leases()
    await a_lease(api, "us", duration).acquire()
    assert api.lease["spec"]["leaseDurationSeconds"] >= duration


@pytest.mark.proves("rule 7")
@pytest.mark.parametrize("spec", [
    {}, ..., None, "gone", held_by_another(holderIdentity=""), held_by_another(holderIdentity=None), held_by_another(holderIdentity=...), held_by_another(holderIdentity=7),
    held_by_another(renewTime=...), held_by_another(renewTime="2099-01-01T00:00:00.000000Z"), held_by_another(renewTime="yesterday"), held_by_another(acquireTime=...),
    held_by_another(leaseTransitions="many"), held_by_another(leaseTransitions=-4), held_by_another(leaseTransitions=2**31 - 1), held_by_another(leaseTransitions=None),
    held_by_another(leaseTransitions=[]),
])
@scenario
async def test_a_lease_in_which_anything_may_stand_is_waited_for_and_taken(spec):
    api = Leases()
    api.put(spec)
    lease = a_lease(api, "us")
    assert TERM <= await seconds_until_acquired(lease) <= TERM + 2
    assert api.lease["spec"]["holderIdentity"] == "us"
    assert await lease.renew(lambda _: None, lambda _: None)


@pytest.mark.proves("rule 7")
@scenario
async def test_a_holder_whose_lease_is_emptied_learns_that_it_lost_it():
    api = Leases()
    lease = a_lease(api, "us")
    await lease.acquire()
    api.put(...)
    assert not await lease.renew(lambda _: None, lambda _: None)


def test_no_operator_has_a_longer_term_than_others_wait_for():
    (option,) = get_type_hints(run, include_extras=True)["lease_seconds"].__metadata__
    assert option.max == LONGEST_TERM_S
