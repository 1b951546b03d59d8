"""`make chart`: hack/chart.sh with an API server of its own for the dry runs (TEST_KUBECONFIG names another)."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from exchange_kernel.cli.controlplane import ControlPlaneError, Progress, find_target

with tempfile.TemporaryDirectory(prefix="exchange-kernel-chart-") as work:
    try:
        with find_target(os.environ.get("TEST_KUBECONFIG"), dir=Path(work) / "plane", fsync=False, progress=Progress()) as target:
            environ = {**os.environ, "TEST_KUBECONFIG": str(target.kubeconfig), "KUBECTL": str(target.kubectl)}
            sys.exit(subprocess.run([Path(__file__).with_name("chart.sh")], env=environ, check=False).returncode)
    except ControlPlaneError as error:
        sys.exit(str(error))
