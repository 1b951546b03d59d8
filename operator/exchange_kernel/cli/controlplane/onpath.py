"""Programs that the PATH has already: used if all are there and of the version that would be built."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from exchange_kernel.cli.controlplane.processes import PASSED_ON
from exchange_kernel.cli.controlplane.progress import Progress

Version = tuple[int, ...]

#: How each program is asked for its version.
ASK = {
    "etcd": ("--version",),
    "kube-apiserver": ("--version",),
    "kube-controller-manager": ("--version",),
    "kubectl": ("version", "--client"),
}


def programs_on_path(source: Path, cache: Path, progress: Progress, environ: Mapping[str, str]) -> Path | None:
    """A folder with the PATH's programs under their own names, or None: one is missing, or of another version than is needed."""
    found = {name: Path(path) for name in ASK if (path := shutil.which(name, path=environ.get("PATH", "")))}
    if len(found) < len(ASK):
        return None
    needed = needed_versions(source)
    versions = {name: _version(path, ASK[name], environ) for name, path in found.items()}
    for name, version in versions.items():
        if version is None or not fits(version, needed[name]):
            progress.note(f"{found[name]} is {_spelled(version)} and {_spelled(needed[name][:2])} is needed: what the PATH has is not used")
            return None
    told = ", ".join(f"{found[name]} {_spelled(version)}" for name, version in versions.items())
    progress.note(f"nothing has to be built: using {told}, as the PATH has them")
    return _together(found, cache)


def needed_versions(source: Path) -> dict[str, Version]:
    """The versions that would be built, as go.mod has them."""
    required = (source / "go.mod").read_text()

    def of(module: str) -> Version:
        found = re.search(rf"^\s*{re.escape(module)} v(\d+)\.(\d+)", required, re.MULTILINE)
        return tuple(int(part) for part in found.groups()) if found is not None else ()

    kubernetes = of("k8s.io/kubernetes")
    return {name: of("go.etcd.io/etcd/server/v3") if name == "etcd" else kubernetes for name in ASK}


def fits(version: Version, needed: Version) -> bool:
    """The same minor version: another one has other flags, and may lack what the policies in manifests/admission need."""
    return version[:2] == needed[:2]


def _version(program: Path, ask: tuple[str, ...], environ: Mapping[str, str]) -> Version | None:
    # Nothing of the caller's reaches it: no KUBECONFIG, and no kuberc.
    plain = {name: value for name in PASSED_ON if (value := environ.get(name)) is not None} | {"KUBERC": "off"}
    try:
        said = subprocess.run([program, *ask], env=plain, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.search(r"\bv?(\d+\.\d+\.\d+)", said)
    return tuple(int(part) for part in number[1].split(".")) if number else None


def _together(found: Mapping[str, Path], cache: Path) -> Path:
    """One folder of links, since a cluster keeps one: the programs may lie in several."""
    key = hashlib.sha256("\n".join(f"{name} {path}" for name, path in sorted(found.items())).encode()).hexdigest()[:16]
    home = cache / "controlplane" / f"path-{key}"
    if home.is_dir():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
    for name, path in found.items():
        (staging / name).symlink_to(path)
    try:
        os.rename(staging, home)
    except OSError:
        shutil.rmtree(staging)      # another process was quicker
    return home


def _spelled(version: Version | None) -> str:
    return ".".join(str(part) for part in version) if version else "of no version that could be read"
