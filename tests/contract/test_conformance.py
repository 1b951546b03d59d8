"""The contract's checks on LocalKernel, and on kernels that are broken on purpose: each breakage must be seen. On Kubernetes: tests/cluster/test_conformance.py."""

from __future__ import annotations

import asyncio

import pytest

from exchange_kernel.core.group_checks import Known
from exchange_kernel.kernel import EventFilter, LocalKernel, NotFoundError
from exchange_kernel.kernel.subscriptions import Subscriptions
from tests.conformance import bench, checks
from tests.conformance.bench import an_exchange, local_bench
from tests.conformance.checks import CHECKS
from tests.conformance.suite import run, run_local, tell


async def test_local_kernel_keeps_the_contract(tmp_path):
    results = await run_local(tmp_path)
    tell({"LocalKernel": results})
    assert [(result.check.method, result.check.says, result.wrong) for result in results if result.wrong] == []


class CancelsWhatIsNotAsked(LocalKernel):
    async def cancel_all_orders(self, symbol_id=None):
        return await super().cancel_all_orders()


class KnowsNoWaitingMembers(LocalKernel):
    async def get_order_state(self, intent_id):
        if (known := self._mirror.get(intent_id)) is None:
            raise NotFoundError("unknown", intent_id=intent_id)
        return self._state_of(known.intent)


class ForgetsTheReason(LocalKernel):
    async def place_order(self, order, metadata=None):
        patience, self._acknowledge_timeout = self._acknowledge_timeout, 0
        try:
            return await super().place_order(order, metadata)
        finally:
            self._acknowledge_timeout = patience


class TellsTwice(LocalKernel):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)

        class Twice(Subscriptions):
            def publish(self, event):
                super().publish(event)
                super().publish(event)

        self._subscriptions = Twice()
        self._mirror._publish = self._subscriptions.publish


class ChecksTheFirstLegOnly(LocalKernel):
    async def place_order_group(self, group, metadata=None):
        names = [await self.place_order(group.members[0].order, metadata)]
        return [*names, *[await self.place_order(member.order, metadata) for member in group.members[1:]]]


class StopsByCancelling(LocalKernel):
    async def stop(self):
        if self._running is not None:
            await self.cancel_all_orders()
        await super().stop()


class HearsNoFilter(LocalKernel):
    def subscribe_events(self, callback, event_filter=None):
        return super().subscribe_events(callback, EventFilter())


class ReconcilesForEach(LocalKernel):
    async def force_reconciliation(self, intent_id=None):
        if intent_id is not None:
            await self._find(intent_id)
        await asyncio.sleep(0)
        await self._reconcile_all()


class ReconcilesNothing(LocalKernel):
    async def force_reconciliation(self, intent_id=None):
        _ = self._api
        if intent_id is not None:
            await self._find(intent_id)


class ChecksNoMarket(LocalKernel):
    async def _market_problems(self, order):
        return []

    async def _known(self, symbols, price_of):
        return Known(markets={}, all_markets=False)


class TellsOldHoldings(LocalKernel):
    _first = None

    async def get_account_state(self):
        self._first = self._first or await super().get_account_state()
        return self._first


class CountsInWordsOfItsOwn(LocalKernel):
    async def get_reconciliation_metrics(self):
        return {"cycles": (await super().get_reconciliation_metrics())["sweeps"]}


BREAKAGES = {
    CancelsWhatIsNotAsked: "cancel_all_orders", KnowsNoWaitingMembers: "place_order_group", ForgetsTheReason: "place_order", TellsTwice: "subscribe_events",
    ChecksTheFirstLegOnly: "place_order_group", StopsByCancelling: "stop", HearsNoFilter: "subscribe_events", ReconcilesForEach: "force_reconciliation",
    ReconcilesNothing: "force_reconciliation", ChecksNoMarket: "place_order_group", TellsOldHoldings: "get_account_state",
    CountsInWordsOfItsOwn: "get_reconciliation_metrics",
}


@pytest.mark.parametrize(("kind", "method"), BREAKAGES.items(), ids=lambda value: getattr(value, "__name__", value))
async def test_a_broken_kernel_is_caught(kind, method, tmp_path, monkeypatch):
    for module in (bench, checks):
        monkeypatch.setattr(module, "WITHIN_S", 20.0)         # what is broken never comes
    with an_exchange(tmp_path / "exchange") as exchange:
        results = await run(lambda: local_bench(exchange, tmp_path, kind), [check for check in CHECKS if check.method == method])
    tell({kind.__name__: results})
    assert any(result.wrong for result in results)
