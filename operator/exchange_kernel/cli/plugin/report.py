"""`kubectl exchange report`: what somebody needs who is to find out what went wrong, in one archive, without secrets.

Secrets are never asked for. What else could hold one is left out (spec.metadata's values, applied configurations, containers' environments), and what
looks like one in free text is blotted out.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tarfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
import yaml
from rich.progress import track

from exchange_kernel.api import GROUP, KINDS, VERSION
from exchange_kernel.cli.plugin.checkup.installation import CRDS
from exchange_kernel.cli.plugin.cluster import Body, Cluster, Failure
from exchange_kernel.cli.plugin.command import command
from exchange_kernel.cli.plugin.doctor import as_text, examine
from exchange_kernel.cli.plugin.operator_pods import DEFAULT_NAMESPACE, PODS, OperatorNamespace, metrics_of, operator_pods
from exchange_kernel.cli.plugin.output import progress_console
from exchange_kernel.kube.client import EVENTS, LEASES, Resource

LOG_LINES = "20000"
BLOT = "«left out»"

#: What looks like a secret in text: a word for one, and what follows it; and bearer tokens.
_SECRET = re.compile(
    r"""(?ix) ( (?:api[-_]?key | secret(?:[-_]?key)? | private[-_]?key | passphrase | password | signature | authorization | token | listen[-_]?key )
        ["']? \s* [=:] \s* ["']? (?:bearer\s+)? ) ( [^\s"'&,;}\])]+ )""")
_BEARER = re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/-]{8,}=*")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


@command(everywhere=True)
def report(
    cluster: Cluster,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Where to write it; default: exchange-kernel-report-TIME.tar.gz here.")] = None,
    operator_namespace: OperatorNamespace = DEFAULT_NAMESPACE,
) -> None:
    """Write a support bundle: the kinds' objects, Events, the operator's logs and metrics, versions, and the doctor's findings. No secrets are in it."""
    path = file or Path(f"exchange-kernel-report-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    left_out: list[str] = []
    try:
        with _private(path) as file_, tarfile.open(fileobj=file_, mode="w:gz") as archive:
            parts = list(_parts(cluster, operator_namespace))
            for name, read in track(parts, description="Collecting", console=progress_console(), transient=True, disable=not progress_console().is_terminal):
                try:
                    _add(archive, name, read())
                except Failure as failure:
                    left_out.append(f"{name}: {failure}")
            _add(archive, "left-out.txt", "\n".join(left_out) or "Nothing: all could be read.")
    except OSError as error:
        raise Failure(f"{path} can't be written ({error.strerror}): name another place with --file.") from None
    for line in left_out:
        typer.echo(f"left out: {line}", err=True)
    typer.echo(f"{path} is written: {len(parts) - len(left_out)} parts. Look through it before you give it away.")


def _private(path: Path) -> BinaryIO:
    """The file, empty, for its owner only: also one that was there already."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)           # before its first byte
        os.ftruncate(descriptor, 0)
    return os.fdopen(descriptor, "wb")


def _parts(cluster: Cluster, operator_namespace: str) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "versions.yaml", lambda: _yaml({"plugin": version("exchange-kernel"), "cluster": cluster.get("/version")})
    yield "doctor.txt", lambda: as_text(examine(cluster, operator_namespace))
    for kind in KINDS:
        resource = Resource(GROUP, VERSION, kind.resource.plural)
        yield f"{resource.plural}.yaml", lambda resource=resource: _objects(cluster.items(resource))  # type: ignore[misc]
    yield "events.yaml", lambda: _objects([event for event in cluster.items(EVENTS) if _ours(event)])
    yield "crds.yaml", lambda: _objects([cluster.one_everywhere(CRDS, kind.resource.crd_name) for kind in KINDS])
    yield "leases.yaml", lambda: _objects(cluster.items(LEASES, everywhere=False, namespace=operator_namespace))
    try:
        pods = operator_pods(cluster, operator_namespace)
    except Failure as failure:
        told = failure
        yield "operator/pods.yaml", lambda: _raise(told)
        return
    yield "operator/pods.yaml", lambda: _objects([without_settings(pod) for pod in pods])
    for pod in pods:
        name = pod["metadata"]["name"]
        yield f"operator/{name}.log", lambda name=name: _log(cluster, operator_namespace, name, previous=False)  # type: ignore[misc]
        if any(status.get("restartCount") for status in pod.get("status", {}).get("containerStatuses", ())):
            yield f"operator/{name}.previous.log", lambda name=name: _log(cluster, operator_namespace, name, previous=True)  # type: ignore[misc]
        yield f"operator/{name}.metrics.txt", lambda pod=pod: metrics_of(cluster, pod)  # type: ignore[misc]


def _raise(failure: Failure) -> str:
    raise failure


def _log(cluster: Cluster, namespace: str, pod: str, *, previous: bool) -> str:
    query = {"tailLines": LOG_LINES, "timestamps": "true", "container": "operator", **({"previous": "true"} if previous else {})}
    return cluster.text(PODS.path(namespace, pod, "log"), **query)


def _ours(event: Body) -> bool:
    return str((event.get("regarding") or {}).get("apiVersion", "")).startswith(f"{GROUP}/")


def _objects(found: list[Body]) -> str:
    return _yaml({"apiVersion": "v1", "kind": "List", "items": [presentable(raw) for raw in found]})


def presentable(raw: Body) -> Body:
    """An object without what may hold a secret or is of no use: applied configurations, managed fields, and the values of the strategy's own metadata."""
    metadata = {name: value for name, value in raw["metadata"].items() if name != "managedFields"}
    if "annotations" in metadata:
        metadata["annotations"] = {name: value for name, value in metadata["annotations"].items() if not name.endswith("last-applied-configuration")}
    shown = {**raw, "metadata": metadata}
    spec = raw.get("spec")
    if isinstance(spec, dict) and isinstance(spec.get("metadata"), dict):
        shown["spec"] = {**spec, "metadata": dict.fromkeys(spec["metadata"], BLOT)}
    return shown


def without_settings(pod: Body) -> Body:
    """A pod without its containers' environment and without volumes: they name secrets, or hold them."""
    def plain(container: Body) -> Body:
        return {name: container[name] for name in ("name", "image", "args", "resources") if name in container}

    spec = pod.get("spec", {})
    return {**pod, "spec": {"nodeName": spec.get("nodeName"), "serviceAccountName": spec.get("serviceAccountName"),
                            "containers": [plain(container) for container in spec.get("containers", [])]}}


def blotted(text: str) -> str:
    return _SECRET.sub(rf"\g<1>{BLOT}", _BEARER.sub(rf"\g<1>{BLOT}", _PEM.sub(BLOT, text)))


def _yaml(document: Any) -> str:
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=150))


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    raw = blotted(text).encode()
    entry = tarfile.TarInfo(f"exchange-kernel-report/{name}")
    entry.size, entry.mtime = len(raw), int(time.time())
    archive.addfile(entry, io.BytesIO(raw))
