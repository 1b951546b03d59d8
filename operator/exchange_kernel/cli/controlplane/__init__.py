"""A real Kubernetes control plane on this machine: etcd, kube-apiserver and kube-controller-manager, without nodes.

`ControlPlane.start` gives one of your own; `find_target` gives the cluster a command was pointed at, or one of its own. Nothing here reads
KUBECONFIG or ~/.kube/config, and nothing here knows of orders: what is installed into the cluster is the caller's affair.
"""

from exchange_kernel.cli.controlplane.binaries import Binaries, find_binaries
from exchange_kernel.cli.controlplane.errors import ControlPlaneError
from exchange_kernel.cli.controlplane.kubectl import Kubectl
from exchange_kernel.cli.controlplane.paths import cache_dir
from exchange_kernel.cli.controlplane.progress import Progress
from exchange_kernel.cli.controlplane.servers import ControlPlane, stop_leftovers, valid_name
from exchange_kernel.cli.controlplane.target import Target, find_target

__all__ = [
    "Binaries",
    "ControlPlane",
    "ControlPlaneError",
    "Kubectl",
    "Progress",
    "Target",
    "cache_dir",
    "find_binaries",
    "find_target",
    "stop_leftovers",
    "valid_name",
]
