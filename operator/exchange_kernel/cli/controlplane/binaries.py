"""Where etcd, kube-apiserver, kube-controller-manager and kubectl come from.

In this order: KUBEBUILDER_ASSETS, an earlier build, the PATH, and a build of hack/controlplane.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exchange_kernel.cli.controlplane.compiling import Modules, Packages, fetching
from exchange_kernel.cli.controlplane.errors import USE_ASSETS, ControlPlaneError
from exchange_kernel.cli.controlplane.onpath import programs_on_path
from exchange_kernel.cli.controlplane.paths import SOURCE, cache_dir
from exchange_kernel.cli.controlplane.progress import Progress
from exchange_kernel.cli.controlplane.toolchain import Toolchain, find_toolchain
from exchange_kernel.cli.controlplane.waiting import locked, tail, wait_for_exit

REQUIRED = ("etcd", "kube-apiserver", "kubectl")
CONTROLLER_MANAGER = "kube-controller-manager"


@dataclass(frozen=True, slots=True)
class Binaries:
    home: Path
    #: envtest's assets have no controller-manager: then nothing is garbage-collected and no namespace ends.
    has_controller_manager: bool

    def path(self, program: str) -> Path:
        return self.home / program

    @property
    def kubectl(self) -> Path:
        return self.home / "kubectl"


def find_binaries(progress: Progress | None = None, environ: Mapping[str, str] = os.environ, source: Path = SOURCE) -> Binaries:
    """Builds them if need be. Raises ControlPlaneError if they cannot be had."""
    progress = progress or Progress.silent()
    if assets := environ.get("KUBEBUILDER_ASSETS"):
        return _assets(Path(assets).absolute(), progress)
    if (built := built_before(environ, source)) is not None:
        return built
    if not (source / "go.mod").exists():
        raise ControlPlaneError(
            f"the control plane is built from {source}, which is not there: run this from a source checkout, or {USE_ASSETS}")
    if (ready_made := programs_on_path(source, cache_dir(environ), progress, environ)) is not None:
        return Binaries(ready_made, has_controller_manager=True)
    return Binaries(_build(source, progress, environ), has_controller_manager=True)


def built_before(environ: Mapping[str, str] = os.environ, source: Path = SOURCE) -> Binaries | None:
    if not (source / "go.mod").exists() or not _complete(home := _home(source, environ)):
        return None
    return Binaries(home, has_controller_manager=True)


def _assets(home: Path, progress: Progress) -> Binaries:
    if missing := [name for name in REQUIRED if not os.access(home / name, os.X_OK)]:
        raise ControlPlaneError(
            f"KUBEBUILDER_ASSETS is {home}, which has no {' and no '.join(missing)}: "
            "point it to a directory that has, or unset it to build them")
    has_controller_manager = os.access(home / CONTROLLER_MANAGER, os.X_OK)
    progress.note(f"nothing has to be built: using the programs in {home}, which KUBEBUILDER_ASSETS names")
    if not has_controller_manager:
        progress.note(f"{home} has no {CONTROLLER_MANAGER}: running without, so owned objects are not collected and namespaces do not end")
    return Binaries(home, has_controller_manager)


def link_flags(source: Path) -> str:
    """What `kubectl version` and the API server's /version say; the number is the one in go.mod."""
    if (required := re.search(r"^\s*k8s\.io/kubernetes v((\d+)\.(\d+)\.\S+)", (source / "go.mod").read_text(), re.MULTILINE)) is None:
        raise ControlPlaneError(f"{source / 'go.mod'} does not require k8s.io/kubernetes: restore the file")
    version, major, minor = required.groups()
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitCommit": "exchange-kernel", "gitTreeState": "archive",
              "buildDate": "2026-01-01T00:00:00Z"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())])


def content_hash(source: Path) -> str:
    """Names one build: what goes in, but not the Go that builds it (a newer Go is no reason to wait six minutes)."""
    digest = hashlib.sha256()
    for part in (*((source / name).read_bytes() for name in ("go.mod", "go.sum", "main.go")),
                 link_flags(source).encode(), f"{platform.system()} {platform.machine()}".encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def _home(source: Path, environ: Mapping[str, str]) -> Path:
    return cache_dir(environ) / "controlplane" / content_hash(source)


def _complete(home: Path) -> bool:
    return all(os.access(home / name, os.X_OK) for name in (*REQUIRED, CONTROLLER_MANAGER))


def _build(source: Path, progress: Progress, environ: Mapping[str, str]) -> Path:
    home = _home(source, environ)
    with locked(home.with_name(f"{home.name}.lock"), progress, "another process is building the control plane"):
        if _complete(home):
            return home
        for abandoned in home.parent.glob(f".{home.name}-*"):       # its builder was killed: we hold the lock, so it is not at work
            shutil.rmtree(abandoned, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{home.name}-", dir=home.parent) as temporary:
            staging = Path(temporary) / "controlplane"
            staging.mkdir()
            _compile(source, staging / "controlplane", progress, environ)
            for name in (*REQUIRED, CONTROLLER_MANAGER):
                (staging / name).symlink_to("controlplane")
            shutil.rmtree(home, ignore_errors=True)
            os.rename(staging, home)
    return home


def _compile(source: Path, output: Path, progress: Progress, environ: Mapping[str, str]) -> None:
    go = find_toolchain(source, progress, environ)
    log = output.with_name("build.log")
    _fetch(source, go, log, progress, environ)
    flags = ("-trimpath", "-ldflags", link_flags(source))
    with progress.step("building the control plane", expect="about six minutes on two idle cores, once") as tick, log.open("wb") as sink:
        packages, began = Packages.of(source, go, environ, flags), time.monotonic()

        def compiled() -> str:
            lines = log.read_text(errors="replace").splitlines()
            return packages.told((line for line in lines if not line.startswith("go: ")), time.monotonic() - began)

        process = subprocess.Popen([str(go.program), "build", "-v", *flags, "-o", str(output), "."], cwd=source, stdin=subprocess.DEVNULL,
                                   stdout=sink, stderr=subprocess.STDOUT, env=go.environ(environ), start_new_session=True)
        if wait_for_exit(process, tick, compiled) != 0:
            said = tail(log)
            raise ControlPlaneError(f"{said}\nGo could not build the control plane: {_advice(said, source)}")
    log.unlink()


def _fetch(source: Path, go: Toolchain, log: Path, progress: Progress, environ: Mapping[str, str]) -> None:
    """All modules at once and before anything is compiled: a build finds out one after the other what it needs.

    What can't be fetched the build may not miss, or it says why: it has the last word.
    """
    modules = Modules.of(source, go, environ)
    if modules is None or not (missing := modules.missing()):
        return
    with progress.step("fetching the control plane's modules", expect="about 200 MB") as tick, log.open("wb") as sink:
        process = subprocess.Popen([str(go.program), "mod", "download", *missing], cwd=source, stdin=subprocess.DEVNULL,
                                   stdout=sink, stderr=subprocess.STDOUT, env=fetching(go, environ), start_new_session=True)
        wait_for_exit(process, tick, lambda: f"{len(missing) - len(modules.missing())} of {len(missing)}")


#: What Go says → what to do about it. The first that fits is given.
ADVICE = (
    (r"no space left on device", "free about 6 GB (Go's module and build caches, see `go env GOMODCACHE GOCACHE`) and try again"),
    (r"signal: killed|cannot allocate memory", "it ran out of memory: free 3 GB and try again; what is compiled already is kept"),
    (r"dial tcp|i/o timeout|proxyconnect|no such host|x509:|module lookup disabled",
     "its modules could not be fetched: check that the Go module proxy (`go env GOPROXY`) can be reached and try again"),
    (r"checksum mismatch|SECURITY ERROR",
     "a module differs from go.sum: restore hack/controlplane/go.sum, run `go clean -modcache` and try again"),
)


def _advice(said: str, source: Path) -> str:
    for pattern, advice in ADVICE:
        if re.search(pattern, said):
            return advice
    return f"run `go build .` in {source} to see all it says, or {USE_ASSETS}"
