"""Which cluster is meant: the one named explicitly, else one of our own.

An ambient KUBECONFIG, ~/.kube/config or in-cluster account is never it: it may be somebody's production.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from exchange_kernel.cli.controlplane.binaries import REQUIRED, built_before
from exchange_kernel.cli.controlplane.errors import ControlPlaneError
from exchange_kernel.cli.controlplane.kubectl import Kubectl
from exchange_kernel.cli.controlplane.progress import Progress
from exchange_kernel.cli.controlplane.servers import ControlPlane


@dataclass(frozen=True, slots=True)
class Target:
    kubeconfig: Path
    kubectl: Kubectl
    #: None for a cluster that is not ours: there is no stopping its API server, and no reading its audit log.
    control_plane: ControlPlane | None


@contextmanager
def find_target(kubeconfig: str | Path | None, *, dir: Path, fsync: bool = True, progress: Progress | None = None,
           environ: Mapping[str, str] = os.environ) -> Iterator[Target]:
    """The cluster of `kubeconfig` if one is named (by --kubeconfig, for tests by TEST_KUBECONFIG), else our own, in `dir`, for the block.

    Raises ControlPlaneError.
    """
    if kubeconfig:
        named = Path(kubeconfig).expanduser().absolute()
        if not named.is_file():
            raise ControlPlaneError(f"the kubeconfig {named} does not exist: name one that does, or none to use a control plane of our own")
        yield Target(named, Kubectl(_any_kubectl(environ), named), None)
        return
    with ControlPlane.start(dir, fsync=fsync, progress=progress) as plane:
        yield Target(plane.kubeconfig, plane.kubectl, plane)


def _any_kubectl(environ: Mapping[str, str]) -> Path:
    """For somebody else's cluster nothing is built."""
    if (assets := environ.get("KUBEBUILDER_ASSETS")) and os.access(found := Path(assets) / REQUIRED[-1], os.X_OK):
        return found
    if (built := built_before(environ)) is not None:
        return built.kubectl
    if on_path := shutil.which("kubectl", path=environ.get("PATH", "")):
        return Path(on_path)
    raise ControlPlaneError("kubectl was not found: install it, or build ours with `exchange-kernel cluster up`")
