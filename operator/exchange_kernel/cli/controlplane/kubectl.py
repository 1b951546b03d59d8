"""kubectl, bound to one kubeconfig."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exchange_kernel.cli.controlplane.errors import ControlPlaneError


@dataclass(frozen=True, slots=True)
class Kubectl(os.PathLike[str]):
    """Both the path of the program (it may stand wherever a path may) and a way to call it: `kubectl("get", "pods", "--output=name")`.

    A call always names its kubeconfig, and neither KUBECONFIG nor the user's kuberc reaches it.
    """

    path: Path
    kubeconfig: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def as_user(self, kubeconfig: Path) -> Kubectl:
        """The same program with another identity: see `ControlPlane.kubeconfig_for`."""
        return Kubectl(self.path, kubeconfig, self.environ)

    def __call__(self, *args: str, stdin: str | None = None, check: bool = False, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs it to its end; `timeout` in seconds. With `check`, a non-zero exit raises ControlPlaneError with what kubectl said."""
        environ = {name: value for name, value in self.environ.items() if name != "KUBECONFIG"} | {"KUBERC": "off"}
        done = subprocess.run([self.path, f"--kubeconfig={self.kubeconfig}", *args], input=stdin, text=True, capture_output=True,
                              env=environ, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise ControlPlaneError(f"kubectl {' '.join(args)} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done
