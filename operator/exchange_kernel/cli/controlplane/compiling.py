"""What a build of the control plane still has to do: the modules to fetch, the packages to compile, and how long that will take at the rate so far."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exchange_kernel.cli.controlplane.toolchain import Toolchain

#: Modules fetched at a time: Go fetches one per core by itself, and what takes long is the answer, not the core.
AT_ONCE = 16

#: Linking, as a part of the whole: the binary is large, and Go names no package meanwhile.
LINKING = 0.05

#: An estimate from less than this is a guess.
ENOUGH_SECONDS, ENOUGH_DONE = 10.0, 0.02


@dataclass(slots=True)
class Modules:
    """The modules that go.sum holds the content of, and where Go keeps what it has fetched."""

    cache: Path
    wanted: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, source: Path, go: Toolchain, environ: Mapping[str, str]) -> Modules | None:
        """None if Go does not say where it keeps them."""
        said = _said(go, environ, source, "env", "GOMODCACHE").strip()
        lines = (line.split() for line in (source / "go.sum").read_text().splitlines())
        wanted = tuple((line[0], line[1]) for line in lines if len(line) == 3 and not line[1].endswith("/go.mod"))
        return cls(Path(said), wanted) if said else None

    def missing(self) -> list[str]:
        """As `go mod download` takes them."""
        return [f"{name}@{version}" for name, version in self.wanted if not self._archive(name, version).exists()]

    def _archive(self, name: str, version: str) -> Path:
        return self.cache / "cache" / "download" / _escaped(name) / "@v" / f"{_escaped(version)}.zip"


def _escaped(text: str) -> str:
    """As in the cache: a capital letter becomes `!` and the small one, for file systems that know no difference."""
    return re.sub("[A-Z]", lambda letter: f"!{letter[0].lower()}", text)


@dataclass(slots=True)
class Packages:
    """What has to be compiled, by import path; a package takes about as long as its source is large (bytes). Empty: not known."""

    sizes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Path, go: Toolchain, environ: Mapping[str, str], flags: Iterable[str]) -> Packages:
        form = "{{if .Stale}}{{.ImportPath}}\t{{.Dir}}\t{{range .GoFiles}}{{.}} {{end}}{{end}}"
        listed = _said(go, environ, source, "list", "-deps", *flags, "-f", form, ".")
        return cls(dict(_sizes(listed.splitlines())))

    def told(self, names: Iterable[str], elapsed: float) -> str:
        """How far it is after so many seconds, by the packages that Go has named; and for how long it goes on, once that can be told."""
        named = set(names)
        if not self.sizes:
            return f"{len(named)} packages" if named else ""
        known = named & self.sizes.keys()
        if len(known) == len(self.sizes):
            return f"all {len(self.sizes)} packages, linking"
        total = sum(self.sizes.values())
        done = sum(self.sizes[name] for name in known) / total
        so_far = f"{len(known)} of {len(self.sizes)} packages"
        if elapsed < ENOUGH_SECONDS or done < ENOUGH_DONE:
            return so_far
        return f"{so_far}, {_left(elapsed * ((1 - done) / (1 - LINKING) + LINKING) / done)}"


def _sizes(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        name, _, rest = line.partition("\t")
        folder, _, files = rest.partition("\t")
        if name:
            # No package is free: the least is one that starts the compiler.
            yield name, 4096 + sum(path.stat().st_size for file in files.split() if (path := Path(folder) / file).exists())


def _left(seconds: float) -> str:
    if seconds < 50:
        return "less than a minute left"
    minutes = round(seconds / 60)
    return f"about {minutes} minute{'s' if minutes != 1 else ''} left"


def _said(go: Toolchain, environ: Mapping[str, str], source: Path, *arguments: str) -> str:
    """What Go answers; empty if it does not, since a build says better why."""
    try:
        done = subprocess.run([str(go.program), *arguments], cwd=source, env=go.environ(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def fetching(go: Toolchain, environ: Mapping[str, str]) -> dict[str, str]:
    """What `go mod download` runs with."""
    return go.environ(environ) | {"GOMAXPROCS": str(max(AT_ONCE, os.cpu_count() or 1))}
