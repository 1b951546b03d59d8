"""What the operator tells of an account: its Markets and its AccountState, each followed by one list and one watch from the first question on.

A watch, and no get with a short cache: these objects change seldom and are asked for often. An idle watch costs the API server next to nothing, a strategy
that asks before each order costs it no request, and what it is told is as new as the operator's last write. A kernel that never asks follows nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog

from exchange_kernel.api import AccountStateStatus, MarketSpec, reconcile_asked
from exchange_kernel.kernel.errors import ExchangeError, KernelError
from exchange_kernel.kernel.following import Following, ObjectApi, monotonic
from exchange_kernel.kernel.holdings import KnownMarket, market_of
from exchange_kernel.kernel.latest import Latest
from exchange_kernel.kernel.objects import Body
from exchange_kernel.kernel.refusals import refusal
from exchange_kernel.kube.client import ACCOUNT_STATES, MARKETS

log = structlog.get_logger(__name__)

FIRST_WITHIN_S = 2.0  # how long the first order waits for its market's rules
NOT_ASKED_AGAIN_S = 30.0  # for how long orders are placed unchecked after the markets could not be read


@dataclass(frozen=True)
class MarketObject:
    """A Market. An exchange has hundreds of which a strategy asks for few, so it is read when it is asked for."""

    uid: str
    version: int
    symbol: str
    raw: Body

    @cached_property
    def market(self) -> KnownMarket | None:
        """None: it does not fit this version's schema, as one of another version's operator may not."""
        try:
            return market_of(MarketSpec.model_validate(self.raw))
        except ValueError as error:
            log.error("a market does not fit the schema", symbol=self.symbol, error=str(error))
            return None


class MarketMirror(Latest[MarketObject]):
    """The Markets of one account: those that it owns."""

    def __init__(self, namespace: str, account: str) -> None:
        super().__init__(MARKETS, namespace, {}, monotonic)
        self._account = account
        self._names: dict[str, str] = {}  # by symbol

    def of(self, symbol_id: str) -> KnownMarket | None:
        found = self._known.get(self._names.get(symbol_id, ""))
        return found.market if found is not None else None

    def every(self) -> list[KnownMarket]:
        return [market for found in self.all() if (market := found.market) is not None]

    def _take_in(self, raw: Body) -> MarketObject | None:
        owners = raw["metadata"].get("ownerReferences", ())
        if not any(owner["kind"] == "ExchangeAccount" and owner["name"] == self._account for owner in owners):
            if (known := self._known.get(raw["metadata"]["name"])) is not None and known.version < int(raw["metadata"]["resourceVersion"]):
                self._forget(raw["metadata"]["name"])  # it was
            return None
        return super()._take_in(raw)

    def _read(self, raw: Body) -> MarketObject:
        metadata, symbol = raw["metadata"], raw["spec"]["symbol"]
        self._names[symbol] = metadata["name"]
        return MarketObject(metadata["uid"], int(metadata["resourceVersion"]), symbol, raw["spec"])


@dataclass(frozen=True, slots=True)
class AccountStateObject:
    uid: str
    version: int
    asked: str | None  # the token with which somebody asks for a reading
    status: AccountStateStatus


class AccountStateMirror(Latest[AccountStateObject]):
    """The one AccountState of an account."""

    def __init__(self, namespace: str, account: str) -> None:
        super().__init__(ACCOUNT_STATES, namespace, {"fieldSelector": f"metadata.name={account}"}, monotonic)

    def _read(self, raw: Body) -> AccountStateObject:
        metadata = raw["metadata"]
        status = AccountStateStatus.model_validate(raw.get("status") or {})
        return AccountStateObject(metadata["uid"], int(metadata["resourceVersion"]), reconcile_asked(metadata), status)


class Snapshots:
    """Of one account. `api`: what the kernel uses now; raises ExchangeError while it is stopped."""

    def __init__(self, namespace: str, account: str, api: Callable[[], ObjectApi], uses: Callable[[ObjectApi], bool]) -> None:
        self._namespace, self._account, self._api, self._uses = namespace, account, api, uses
        self.state_mirror, self._market_mirror = AccountStateMirror(namespace, account), MarketMirror(namespace, account)
        self._following: dict[Following[Any], asyncio.Task[None]] = {}
        self._beginning, self._first_asking = asyncio.Lock(), asyncio.Lock()
        self._not_asked_before = 0.0

    async def markets(self) -> MarketMirror:
        await self._follow(self._market_mirror)
        if not self._market_mirror.all():
            raise ExchangeError(f"The operator has told no market of account {self._account!r} yet: {self._advice}")
        return self._market_mirror

    async def market_if_known(self, symbol_id: str) -> KnownMarket | None:
        """For a check before an order is placed, which the operator makes in any case: no request but the first, and no error."""
        if self._market_mirror not in self._following:
            async with self._first_asking:
                if monotonic() < self._not_asked_before:
                    return None
                try:
                    async with asyncio.timeout(FIRST_WITHIN_S):
                        await self._follow(self._market_mirror)
                except (KernelError, TimeoutError):
                    self._not_asked_before = monotonic() + NOT_ASKED_AGAIN_S
        return self._market_mirror.of(symbol_id)

    async def state(self) -> AccountStateStatus:
        await self.follow_state()
        if (known := self.state_mirror.get(self._account)) is None or known.status.time is None or known.status.answer_time is None:
            raise ExchangeError(f"The operator has told nothing of what account {self._account!r} holds yet: {self._advice}")
        return known.status

    async def follow_state(self) -> None:
        await self._follow(self.state_mirror)

    @property
    def _advice(self) -> str:
        return f"check that the ExchangeAccount {self._account} is in namespace {self._namespace}, and Ready (kubectl -n {self._namespace} get xa)."

    async def _follow(self, mirror: Latest[Any]) -> None:
        if mirror in self._following:
            return
        async with self._beginning:
            if mirror in self._following:
                return
            api = self._api()
            refused = await mirror.begin(api)
            if refused is not None:
                raise refusal(refused, self._namespace, kind=mirror.plural)
            if not self._uses(api):
                raise ExchangeError("The kernel was stopped meanwhile.")
            self._following[mirror] = asyncio.get_running_loop().create_task(mirror.follow(api))

    async def close(self) -> None:
        for mirror, task in self._following.items():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            mirror.close()
        self._following.clear()
        self._not_asked_before = 0.0
