"""Where the operator runs: its pods, by the labels that the chart and the manifests give them."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange_kernel.cli.plugin.cluster import Body, Cluster
from exchange_kernel.kube.client import Resource

PODS = Resource("", "v1", "pods")
SELECTOR = "app.kubernetes.io/name=exchange-kernel,app.kubernetes.io/component=operator"
PORT = 8080

OperatorNamespace = Annotated[str, typer.Option("--operator-namespace", help="Namespace in which the operator runs.")]
DEFAULT_NAMESPACE = "exchange-kernel-system"


def operator_pods(cluster: Cluster, namespace: str) -> list[Body]:
    return cluster.items(PODS, {"labelSelector": SELECTOR}, everywhere=False, namespace=namespace)


def metrics_of(cluster: Cluster, pod: Body) -> str:
    """/metrics of one pod, through the API server. Needs `get` on pods/proxy."""
    metadata = pod["metadata"]
    return cluster.text(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}:{PORT}/proxy/metrics")
