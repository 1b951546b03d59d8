"""KubernetesKernel: orders as objects on an API server, which the operator reconciles.

Needs create, get, list, watch and patch on orderintents and ordergroups in its namespace; get, list and watch on markets and accountstates for what it
answers of the account, and to check orders by their market's rules before they are placed; and patch on accountstates for force_reconciliation.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange_kernel.api import RECONCILE_ANNOTATION, ReconciliationMetrics
from exchange_kernel.core.group_checks import Known
from exchange_kernel.kernel import holdings
from exchange_kernel.kernel.account import AccountKernel
from exchange_kernel.kernel.errors import ExchangeError
from exchange_kernel.kernel.following import ObjectApi
from exchange_kernel.kernel.models import AccountState
from exchange_kernel.kernel.objects import Body, IntentObject, reconciled
from exchange_kernel.kernel.orders import ACKNOWLEDGE_TIMEOUT_S
from exchange_kernel.kernel.reconciliation import SingleFlight, metrics
from exchange_kernel.kernel.snapshots import AccountStateObject, Snapshots
from exchange_kernel.kernel.writing import Writer
from exchange_kernel.kube.client import ACCOUNT_STATES, ApiClient
from exchange_kernel.kube.config import NoCluster, access, pod_namespace
from exchange_kernel.schema import StandardOrder

RECONCILED_WITHIN_S = 30.0  # how long force_reconciliation waits; the operator reads an account for whoever asks every five seconds, if they never stop


class KubernetesKernel(AccountKernel):
    """The orders of one strategy on one ExchangeAccount, in one namespace.

    exchange_id: names the ExchangeAccount, unless `account` does.
    namespace: where it and the intents are; by default the pod's own.
    strategy: whose the orders are, an RFC 1123 label. Intents are named after it, and it sees no others. None: all intents of the account.
    kubeconfig: of the cluster; by default the pod's service account. KUBECONFIG is not read.
    acknowledge_timeout: seconds that methods which place, change and cancel wait for the exchange; 0: not at all.
    """

    def __init__(
        self,
        exchange_id: str,
        account: str | None = None,
        namespace: str | None = None,
        strategy: str | None = None,
        kubeconfig: str | os.PathLike[str] | None = None,
        acknowledge_timeout: float = ACKNOWLEDGE_TIMEOUT_S,
    ) -> None:
        super().__init__(
            exchange_id,
            account=account or exchange_id,
            namespace=namespace or pod_namespace("default"),
            strategy=strategy,
            acknowledge_timeout=acknowledge_timeout,
        )
        self._kubeconfig = Path(kubeconfig) if kubeconfig is not None else None
        self._snapshots = Snapshots(self._namespace, self._account, lambda: self._api, self._uses)
        self._account_states = Writer(ACCOUNT_STATES, self._namespace, self._snapshots.state_mirror, lambda: self._api, self._uses)
        self._forcing = SingleFlight()

    async def _connect(self) -> ObjectApi:
        try:
            return ApiClient(access(self._kubeconfig))
        except NoCluster as error:
            raise ExchangeError(str(error)) from None

    async def _leave(self) -> None:
        await self._snapshots.close()

    # ── What the operator tells of the account ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _market(self, symbol_id: str) -> holdings.KnownMarket | None:
        _ = self._api
        return (await self._snapshots.markets()).of(symbol_id)

    async def _markets(self) -> list[holdings.KnownMarket]:
        _ = self._api
        return (await self._snapshots.markets()).every()

    async def _market_problems(self, order: StandardOrder) -> list[str]:
        """What is not known against it here is for the operator to say: a market may be one that it has not told of yet."""
        market = await self._snapshots.market_if_known(order.symbol_id)
        problem = holdings.market_problem(order, market) if market is not None else None
        return [problem] if problem is not None else []

    async def _known(self, symbols: Collection[str], price_of: str | None) -> Known:
        """The markets that the operator told of. What its exchange can do, its limits and prices are for the operator to judge by."""
        told = {symbol: await self._snapshots.market_if_known(symbol) for symbol in symbols}
        return Known(markets={symbol: market.rules for symbol, market in told.items() if market is not None}, all_markets=False)

    async def get_account_state(self) -> AccountState:
        """The operator's last reading that differed from the one before it: of an account that does not change it gets old, and stays right.

        `force_reconciliation` has it read anew.
        """
        _ = self._api
        told = await self._snapshots.state()
        assert told.time is not None
        assert told.answer_time is not None
        return holdings.account_state(
            self.exchange_id, self._account, told.balances, told.positions,
            time=told.time, answer_time=told.answer_time, settled=told.settled, truncated=told.truncated, now=datetime.now(UTC),
        )

    # ── Reconciling ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def force_reconciliation(self, intent_id: str | None = None) -> None:
        """Asks the operator by a token in an annotation, and waits for its answer in the status. Raises ExchangeError if that does not come in time."""
        _ = self._api
        if intent_id is None:
            await self._forcing.run("", self._reconcile_all)
            return
        found = await self._find(intent_id)
        # Of a member that is not made there is nothing at the exchange, and of an order that has finished nothing can change.
        if isinstance(found, IntentObject) and not found.finished:
            await self._forcing.run(intent_id, lambda: self._reconcile_one(intent_id))

    async def _reconcile_one(self, intent_id: str) -> None:
        token, patch = _a_token()
        if not await self._intents.edit(intent_id, lambda _: patch, intent_id=intent_id, at_once=patch):
            raise self._not_found(intent_id)

        def done(intent: IntentObject) -> bool:
            return intent.finished or reconciled(token, intent.asked, intent.status.reconciled_token)

        intent = await self._wait(intent_id, done, RECONCILED_WITHIN_S)
        if intent is not None and not done(intent):
            raise self._not_reconciled(f"read the order {intent_id}", intent_id)

    async def _reconcile_all(self) -> None:
        await self._snapshots.follow_state()
        token, patch = _a_token()
        if not await self._account_states.edit(self._account, lambda _: patch, intent_id=self._account, at_once=patch):
            await self._snapshots.state()  # says what is wrong
        mirror = self._snapshots.state_mirror

        def done(known: AccountStateObject | None) -> bool:
            return known is not None and reconciled(token, known.asked, known.status.reconciled_token)

        if not done(await mirror.until(self._account, done, RECONCILED_WITHIN_S)):
            raise self._not_reconciled("read the account's orders")

    def _not_reconciled(self, what: str, intent_id: str | None = None) -> ExchangeError:
        return ExchangeError(
            f"The operator has not {what} within {RECONCILED_WITHIN_S:.0f} seconds: check that it runs, and that the ExchangeAccount {self._account} is "
            f"Ready and Synced (kubectl -n {self._namespace} get xa {self._account} -o wide). It goes on trying by itself.",
            intent_id=intent_id,
        )

    async def get_reconciliation_metrics(self) -> dict[str, Any]:
        """From the account's AccountState, as of `time`: an account whose figures only count up is not written for that alone."""
        _ = self._api
        return metrics((await self._snapshots.state()).reconciliation or ReconciliationMetrics(), datetime.now(UTC))


def _a_token() -> tuple[str, Body]:
    """A token, and the patch that puts it where the operator looks."""
    token = uuid.uuid4().hex
    return token, {"metadata": {"annotations": {RECONCILE_ANNOTATION: token}}}
