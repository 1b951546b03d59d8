"""Where the API server is and who we are to it: from a kubeconfig named explicitly, or from the pod's service account.

Loading is the `kubernetes` package's; what comes out is what an aiohttp session needs.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kubernetes import client as generated
from kubernetes import config as loading

IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class NoCluster(Exception):
    """No API server to talk to; the message says how to name one."""


@dataclass(frozen=True, slots=True)
class Access:
    """An API server and our identity there."""

    server: str
    ssl_context: ssl.SSLContext | None
    token: Callable[[], str | None] = field(repr=False)
    ca_path: str | None = None
    certificate_path: str | None = None
    private_key_path: str | None = None


def access(kubeconfig: Path | None) -> Access:
    """Access by `kubeconfig`, or by the pod's service account when None. An ambient KUBECONFIG is never read: it may be somebody's production."""
    configuration = generated.Configuration()
    try:
        if kubeconfig is not None:
            loading.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
        else:
            loading.load_incluster_config(client_configuration=configuration)
    except loading.ConfigException as error:
        how = f"check the file {kubeconfig}" if kubeconfig is not None else "name a kubeconfig with --kubeconfig, or run in a pod"
        raise NoCluster(f"There is no cluster to work with: {how}. ({error})") from None
    context = None
    if configuration.host.startswith("https"):
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return Access(
        server=configuration.host.rstrip("/"),
        ssl_context=context,
        token=_token(configuration, in_cluster=kubeconfig is None),
        ca_path=configuration.ssl_ca_cert,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )


def _token(configuration: generated.Configuration, *, in_cluster: bool) -> Callable[[], str | None]:
    def current() -> str | None:
        if in_cluster:
            # The kubelet rotates it; the file is small and the API server's answer takes longer than reading it.
            return IN_CLUSTER_TOKEN.read_text().strip()
        header: str | None = configuration.get_api_key_with_prefix("BearerToken", "authorization")  # the package's name for it, and that of 35
        return header.removeprefix("Bearer ") if header else None

    return current


def pod_namespace(default: str) -> str:
    """The namespace this process lives in, for its Leases."""
    path = IN_CLUSTER_TOKEN.with_name("namespace")
    return os.environ.get("POD_NAMESPACE") or (path.read_text().strip() if path.exists() else default)
