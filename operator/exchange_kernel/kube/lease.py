"""Ownership of an account by a coordination.k8s.io Lease (rule 7).

Belief starts before the renewal request is sent and ends `duration` later by our monotonic clock, whatever the server answers after that. Others'
Leases are timed from our own first sight of their last change, never by the times written in them: clocks differ. A Lease that we created, found
in our own name or saw free for the first time may have had a holder a moment ago: it is waited out for its full duration.

What stands in a Lease may have been edited. The term waited for is the longest that was seen in it, and never less than our own, for its holder may
believe for as long as it wrote; nor more than LONGEST_TERM_S, which no operator's term exceeds, so that one edit keeps nobody out for longer. The holder
writes its duration again with each renewal. Who may write Leases for good can keep everybody out; that only stops trading, and never has two trade.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import structlog

from exchange_kernel.kube.client import LEASES, Answer, ApiClient, Body

log = structlog.get_logger(__name__)

SILENT_S = 1.0  # how long a no to whether this process speaks is believed
LONGEST_TERM_S = 60  # the most that --lease-seconds allows
_MOST_TRANSITIONS = 2**31 - 1  # of an int32, which the API server refuses to exceed


class LeaseOwnership:
    """One Lease, sought and held by one process. `identity` is unique to the process, not to the pod or its name."""

    def __init__(
        self,
        api: ApiClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        duration: float = 6.0,
        renew_every: float = 1.5,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._namespace, self._name, self._identity = api, namespace, name, identity
        self._duration, self._renew_every, self._monotonic = duration, renew_every, monotonic
        self._path = LEASES.path(namespace, name)
        self._version, self._elsewhere = "", True  # until we have looked, it may be
        self._longest = duration  # term seen in it since we seek it, and never less than our own
        self._observed: tuple[str, float] | None = None  # the version we watch, and when we first saw it
        self._renewed_at: float | None = None

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def elsewhere(self) -> bool:
        return self._elsewhere

    @property
    def duration(self) -> float:
        return self._duration

    @property
    def held_until(self) -> float:
        return 0.0 if self._renewed_at is None else self._renewed_at + self._duration

    async def acquire(self) -> None:
        self._renewed_at, self._observed, self._longest = None, None, self._duration
        while True:
            lease, now = await self._look()
            if lease.status == 404:
                taken = await self._api.create(LEASES.path(self._namespace), self._body(None))
                if taken.ok:
                    return await self._wait_out(taken, now, "created")
            elif lease.ok:
                if not self._elsewhere:
                    free = self._is_free(lease.body)
                    taken = await self._api.replace(self._path, self._body(lease.body))
                    if taken.ok:
                        # A foreign holder was timed out by our own clock: its requests are dead. All else is waited out now.
                        return await self._wait_out(taken, now, "free" if free else "expired", wait=free)
                    self._observed = None
            else:
                log.warning("lease not readable", lease=self._name, reason=lease.message)
            await asyncio.sleep(min(1.0, self._duration / 6))

    async def take(self) -> bool:
        """Take it, or go on with it, unless another process has it. No predecessor is waited out: for what does no harm if two do it for a moment."""
        if self._monotonic() < self.held_until - self._duration / 2:
            return True
        if self._renewed_at is not None and await self.renew(lambda _: None, lambda _: None):
            return True
        self._renewed_at = None
        lease, now = await self._look()
        if lease.status == 404:
            taken = await self._api.create(LEASES.path(self._namespace), self._body(None))
        elif lease.ok and not self._elsewhere:
            taken = await self._api.replace(self._path, self._body(lease.body))
        else:
            return False
        if taken.ok:
            self._taken(taken, now)
        return taken.ok

    async def look(self) -> None:
        """Find out whether another process holds it, without seeking it."""
        await self._look()

    async def _look(self) -> tuple[Answer, float]:
        lease = await self._api.get(self._path)
        now = self._monotonic()
        if lease.ok:
            version = lease.body["metadata"]["resourceVersion"]
            if self._observed is None or self._observed[0] != version:
                self._observed = (version, now)
                self._note_term(_spec(lease.body).get("leaseDurationSeconds"))
            self._elsewhere = not self._is_free(lease.body) and now - self._observed[1] < self._longest
        elif lease.status == 404:
            self._elsewhere = False
        return lease, now

    def _note_term(self, written: object) -> None:
        seconds = 0
        if isinstance(written, int | float) and not isinstance(written, bool) and math.isfinite(written):
            seconds = math.ceil(written)
        self._longest = max(self._longest, min(seconds, LONGEST_TERM_S))
        if not 0 < seconds <= LONGEST_TERM_S:
            log.warning("a Lease has a duration that no operator writes", lease=self._name, written=str(written), waiting_s=self._longest)

    def _is_free(self, lease: Body) -> bool:
        return (_spec(lease).get("holderIdentity") or "") in ("", self._identity)

    async def _wait_out(self, taken: Answer, asked_at: float, how: str, wait: bool = True) -> None:
        self._taken(taken, asked_at)
        log.info("lease taken", lease=self._name, how=how)
        if not wait:
            return None
        until = asked_at + self._longest
        while (left := until - self._monotonic()) > 0:
            await asyncio.sleep(min(left, self._renew_every))
            if not await self.renew(lambda _: None, lambda _: None):
                return await self.acquire()
        return None

    async def hold(self, before_renewal: Callable[[float], None], renewed: Callable[[float], None]) -> None:
        while self._monotonic() < self.held_until:
            if not await self.renew(before_renewal, renewed):
                break
            await asyncio.sleep(self._renew_every)
        self._renewed_at = None

    async def renew(self, before: Callable[[float], None], after: Callable[[float], None]) -> bool:
        """One renewal. False when the Lease is provably another's or gone; an unreadable answer just lets our term run on towards its end."""
        asked_at = self._monotonic()
        before(asked_at)
        spec = {"renewTime": _micro_time(), "holderIdentity": self._identity, "leaseDurationSeconds": self._written_duration}
        patch = {"metadata": {"resourceVersion": self._version}, "spec": spec}
        answer = await self._api.patch(self._path, patch)
        if answer.ok:
            self._taken(answer, asked_at)
            after(asked_at)
            return True
        if answer.status in (404, 409, 422):
            # 409: our own earlier renewal may have been carried out though its answer was lost; read who holds it before believing the worst.
            current = await self._api.get(self._path)
            if current.ok and _spec(current.body).get("holderIdentity") == self._identity:
                self._version = current.body["metadata"]["resourceVersion"]
                return self._monotonic() < self.held_until
            if current.ok or current.status == 404:
                return False
        return self._monotonic() < self.held_until

    async def release(self) -> None:
        """Let others see it free at once. It proves nothing to them: they wait it out (H7)."""
        if self._renewed_at is not None:
            self._renewed_at = None
            await self._api.patch(self._path, {"metadata": {"resourceVersion": self._version}, "spec": {"holderIdentity": ""}})

    def _taken(self, answer: Answer, asked_at: float) -> None:
        self._version = answer.body["metadata"]["resourceVersion"]
        self._renewed_at = asked_at

    @property
    def _written_duration(self) -> int:
        return math.ceil(self._duration)  # whole seconds, and never less than we believe

    def _body(self, old: Body | None) -> Body:
        now = _micro_time()
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._written_duration,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": _transitions(old) + 1 if old else 0,
        }
        metadata: Body = {"name": self._name, "namespace": self._namespace}
        if old is not None:
            metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


class Spokesman:
    """Which of several processes speaks of what none of them holds: the one that has this Lease, taken when there is something to say."""

    def __init__(self, lease: LeaseOwnership, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lease, self._monotonic = lease, monotonic
        self._asking, self._silent_until = asyncio.Lock(), 0.0

    async def speaks(self) -> bool:
        """Whether this process does. One question serves all who ask within a moment."""
        async with self._asking:
            if self._monotonic() < self._silent_until:
                return False
            if await self._lease.take():
                return True
            self._silent_until = self._monotonic() + SILENT_S
            return False

    async def release(self) -> None:
        await self._lease.release()


def spokesman_name(namespaces: Iterable[str]) -> str:
    """Return the name of the Lease that replicas which watch these namespaces share; none: all.

    Operators of other namespaces have one of their own: the holder tells only of what it watches.
    """
    watched = ",".join(sorted(namespaces))
    return f"exchange-accounts-spokesman-{hashlib.sha256(watched.encode()).hexdigest()[:10]}" if watched else "exchange-accounts-spokesman"


def _spec(lease: Body) -> dict[str, Any]:
    """Its spec, of which nothing need be there."""
    spec = lease.get("spec")
    return spec if isinstance(spec, dict) else {}


def _transitions(lease: Body) -> int:
    """How often it has changed hands, for people; something that leaves room for one more."""
    written = _spec(lease).get("leaseTransitions")
    return min(max(0, written), _MOST_TRANSITIONS - 1) if isinstance(written, int) else 0


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
