"""Where the operator runs: its pods, by the labels that the chart and the manifests give them."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange_kernel.cli.plugin.cluster import Body, Cluster, Forbidden
from exchange_kernel.kube.client import Resource

PODS = Resource("", "v1", "pods")
SELECTOR = "app.kubernetes.io/name=exchange-kernel,app.kubernetes.io/component=operator"
PORT = 8080
SERVICE_ACCOUNT = "exchange-kernel"

OperatorNamespace = Annotated[str, typer.Option("--operator-namespace", help="Namespace in which the operator runs.")]
DEFAULT_NAMESPACE = "exchange-kernel-system"


def operator_pods(cluster: Cluster, namespace: str) -> list[Body]:
    return cluster.items(PODS, {"labelSelector": SELECTOR}, everywhere=False, namespace=namespace)


def operator_user(cluster: Cluster, namespace: str) -> str:
    """Its name to the API server: by its pods' ServiceAccount; where there are none to be seen, by that of the manifests."""
    try:
        pods = operator_pods(cluster, namespace)
    except Forbidden:
        pods = []
    return f"system:serviceaccount:{namespace}:{pods[0]['spec'].get('serviceAccountName', SERVICE_ACCOUNT) if pods else SERVICE_ACCOUNT}"


def metrics_of(cluster: Cluster, pod: Body) -> str:
    """/metrics of one pod, through the API server. Needs `get` on pods/proxy."""
    metadata = pod["metadata"]
    return cluster.text(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}:{PORT}/proxy/metrics")
