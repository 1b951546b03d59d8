"""`exchange-kernel run`: its flags. What they put together is `composition.py`'s."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer


def run(
    namespace: Annotated[list[str] | None, typer.Option(help="Namespace to watch; may be given several times.")] = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", help="Watch all namespaces.")] = False,
    kubeconfig: Annotated[Path | None, typer.Option(help="Kubeconfig of the cluster; without it, the pod's service account. KUBECONFIG is not read.")] = None,
    lease_namespace: Annotated[str | None, typer.Option(help="Namespace of the accounts' Leases; default: the operator's own.")] = None,
    owner: Annotated[
        str | None, typer.Option(help="Installation id in client order ids; default: the kube-system namespace's UID. Never change it while orders are open.")
    ] = None,
    allow_endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="Host that spec.endpoint of an account may name, beside the exchanges' own hosts: HOST, HOST:PORT or *.SUFFIX; may be given several times. "
            "For simulated exchanges loopback and the cluster's own names are allowed without.",
        ),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar="EXCHANGE_KERNEL_PROXY", show_envvar=True,
            help="Forward proxy to the exchanges, such as http://proxy.example.com:3128; not used for what is on this machine or in this cluster, nor to the "
            "API server. An account may name its own in spec.endpoint.proxy.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address of /healthz, /readyz and /metrics.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="Port of /healthz, /readyz and /metrics; 0 picks a free one.")] = 8080,
    ready_file: Annotated[Path | None, typer.Option(help="Write {pid, port} here once the port is bound.")] = None,
    lease_seconds: Annotated[float, typer.Option(help="Term of an account's Lease; at least twice the exchange's request window.", min=4, max=60)] = 6.0,
    journal: Annotated[str, typer.Option(help="File to append the audit journal to; - is standard output.")] = "-",
    require_resolve_stamp: Annotated[
        bool, typer.Option("--require-resolve-stamp", help="Take the annotation resolve only with the user's name that the resolve policy stamps it with.")
    ] = False,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    log_format: Annotated[str, typer.Option(help="json, or text for people.")] = "json",
) -> None:
    """Run the operator: reconcile OrderIntents with their exchanges until SIGTERM."""
    if all_namespaces == bool(namespace):
        raise typer.BadParameter("say what to watch: --all-namespaces, or --namespace NAME (several times if need be)")
    import uvloop

    from exchange_kernel.cli.composition import Operator
    from exchange_kernel.core.endpoints import allowed
    from exchange_kernel.kube.config import NoCluster, access, pod_namespace
    from exchange_kernel.telemetry import logs
    from exchange_kernel.telemetry.journal import open_journal

    try:
        endpoints = tuple(allowed(entry) for entry in allow_endpoint or ())
    except ValueError as error:
        raise typer.BadParameter(f"--allow-endpoint {error}") from None
    if proxy is not None and not (proxy.startswith("http://") and urlsplit(proxy).hostname):
        raise typer.BadParameter("--proxy is an address such as http://proxy.example.com:3128")
    logs.configure(level=log_level, json=log_format == "json")
    try:
        cluster, lines = access(kubeconfig), open_journal(journal)
    except (NoCluster, OSError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    operator = Operator(
        cluster,
        namespaces=tuple(namespace or ()),
        lease_namespace=lease_namespace or pod_namespace("default"),
        owner=owner,
        host=host,
        port=port,
        ready_file=ready_file,
        lease_seconds=lease_seconds,
        journal=lines,
        require_resolve_stamp=require_resolve_stamp,
        proxy=proxy,
        allowed_endpoints=endpoints,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(operator.run()))
