"""The contract's checks on both kernels side by side: a real API server with the operator, and in process; the exchange is the same, and reached through ccxt."""

from __future__ import annotations

from exchange_kernel.kernel import kubernetes
from tests.conformance.bench import kubernetes_bench
from tests.conformance.checks import METHODS
from tests.conformance.suite import run, run_local, tell


async def test_both_kernels_keep_the_contract(trading, kube, tmp_path, monkeypatch):
    monkeypatch.setattr(kubernetes, "RECONCILED_WITHIN_S", 120.0)
    trading.await_markets()
    results = {
        "KubernetesKernel": await run(lambda: kubernetes_bench(trading.exchange, kube.kubeconfig, trading.namespace)),
        "LocalKernel": await run_local(tmp_path),
    }
    tell(results)
    wrong = [(kernel, result.check.method, result.check.says, result.wrong) for kernel, told in results.items() for result in told if result.wrong]
    assert wrong == []
    assert {kernel: {result.check.method for result in told} for kernel, told in results.items()} == {kernel: set(METHODS) for kernel in results}
