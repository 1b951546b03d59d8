"""KubernetesKernel: orders as objects on an API server, which the operator reconciles.

Needs create, get, list, watch and patch on orderintents and ordergroups in its namespace.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

from exchange_kernel.kernel.errors import ExchangeError, NotAvailableError
from exchange_kernel.kernel.following import ObjectApi
from exchange_kernel.kernel.models import AccountState, AssetMetadata, Position
from exchange_kernel.kernel.orders import ACKNOWLEDGE_TIMEOUT_S, ObjectsKernel
from exchange_kernel.kube.client import ApiClient
from exchange_kernel.kube.config import NoCluster, access, pod_namespace
from exchange_kernel.schema import SymbolMetadata


class KubernetesKernel(ObjectsKernel):
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

    async def _connect(self) -> ObjectApi:
        try:
            return ApiClient(access(self._kubeconfig))
        except NoCluster as error:
            raise ExchangeError(str(error)) from None

    # ── Not in this release ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def get_positions(self, symbol_id: str | None = None) -> list[Position]:
        _not_available("get_positions", "add up the fill events, or ask the exchange")

    async def get_account_state(self) -> AccountState:
        _not_available("get_account_state", "ask the exchange; the ExchangeAccount's status says whether it can be reached")

    async def get_symbol_metadata(self, symbol_id: str) -> SymbolMetadata:
        _not_available("get_symbol_metadata", "ask the exchange; an order that its market does not allow ends as Denied, with the rule it breaks")

    async def get_asset_metadata(self, asset_id: str) -> AssetMetadata:
        _not_available("get_asset_metadata", "ask the exchange")

    async def list_symbols(self) -> list[str]:
        _not_available("list_symbols", "read spec.symbols of the ExchangeAccount, or ask the exchange")

    async def force_reconciliation(self, intent_id: str | None = None) -> None:
        _not_available("force_reconciliation", "wait: every order is compared with the exchange each spec.resyncSeconds of its ExchangeAccount")

    async def get_reconciliation_metrics(self) -> dict[str, Any]:
        _not_available("get_reconciliation_metrics", "call health_check, or read the operator's /metrics")


def _not_available(method: str, instead: str) -> NoReturn:
    raise NotAvailableError(f"KubernetesKernel.{method} is not in this release. Instead: {instead}.")
