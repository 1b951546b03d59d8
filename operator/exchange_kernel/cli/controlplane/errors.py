"""What goes wrong with a control plane, said to a person."""

from __future__ import annotations

#: The way out that is always there, for the end of a message.
USE_ASSETS = "point KUBEBUILDER_ASSETS to a directory with etcd, kube-apiserver and kubectl"


class ControlPlaneError(Exception):
    """The message says what happened and what to do next; commands print it as it is, without a traceback."""
