"""The contract's checks on both kernels side by side: a real API server with the operator, and in process; the exchange is the same, and reached through ccxt."""

from __future__ import annotations

from tests.conformance.bench import kubernetes_bench
from tests.conformance.suite import run, run_local, tell

#: They read kinds that are not there yet.
NOT_YET = {"get_positions", "get_account_state", "get_symbol_metadata", "get_asset_metadata", "list_symbols", "force_reconciliation", "get_reconciliation_metrics"}


async def test_both_kernels_keep_the_contract(trading, kube, tmp_path):
    results = {
        "KubernetesKernel": await run(lambda: kubernetes_bench(trading.exchange, kube.kubeconfig, trading.namespace)),
        "LocalKernel": await run_local(tmp_path),
    }
    tell(results)
    wrong = [(kernel, result.check.method, result.check.says, result.wrong) for kernel, told in results.items() for result in told if result.wrong and result.available]
    assert wrong == []
    assert {result.check.method for result in results["KubernetesKernel"] if not result.available} == NOT_YET
    assert all(result.available for result in results["LocalKernel"])
