"""`exchange-kernel cluster`: a control plane to try things on, started and taken down by hand. It installs nothing into it.

Known clusters stand in the cache by name: a directory each, or a link to the directory that --dir named.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from exchange_kernel.cli.controlplane import ControlPlane

app = typer.Typer(help="A Kubernetes control plane on this machine, without nodes.", no_args_is_help=True)

DEFAULT = "default"

Name = Annotated[str | None, typer.Option("--name", help=f"The cluster's name. (default: {DEFAULT}, or --dir's)", show_default=False)]
Dir = Annotated[Path | None, typer.Option("--dir", help="Where its data is. (default: in the cache, by name)", show_default=False)]


@app.command()
def up(name: Name = None, dir: Dir = None,
       kubeconfig: Annotated[Path | None, typer.Option("--kubeconfig", help="Where to write its kubeconfig. (default: DIR/kubeconfig)",
                                                       show_default=False)] = None) -> None:
    """Start a cluster and leave it running; a stopped one goes on with its data. The first time, its programs are built."""
    from exchange_kernel.cli.controlplane import ControlPlane, Progress

    with _told_plainly():
        began = time.monotonic()
        name = _named(name, dir)
        home = _home(name, dir)
        _refuse_taken(name, home)
        if home.is_dir() and (home / "cluster.json").exists() and (plane := ControlPlane.open(home)).running:
            typer.echo(f"The cluster {name} is up already: {plane.url}")
        else:
            plane = ControlPlane.start(home, name=f"exchange-kernel-{name}", kubeconfig=kubeconfig, progress=Progress())
            plane.detach()
            _remember(name, plane.dir)
            typer.echo(f"The cluster {name} is up: Kubernetes {plane.version()} at {plane.url}, ready in {time.monotonic() - began:.1f} s.")
        _say_how_to_use(plane, name)


@app.command()
def status() -> None:
    """List the clusters that are running, and those that were stopped with their data kept."""
    from exchange_kernel.cli.controlplane import ControlPlane, ControlPlaneError

    with _told_plainly():
        rows = []
        for name, home in _all_known():
            try:
                plane = ControlPlane.open(home)
            except ControlPlaneError:
                continue                # its directory was removed by hand, or it is being started just now
            state = "up" if plane.running else "partly up" if plane.pids else "stopped"
            rows.append((name, state, plane.url, str(plane.kubeconfig)))
        if not rows:
            typer.echo("There is no cluster: start one with `exchange-kernel cluster up`.")
            return
        table = [("NAME", "STATE", "API SERVER", "KUBECONFIG"), *rows]
        widths = [max(len(row[column]) for row in table) for column in range(3)]
        for row in table:
            typer.echo("   ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]))


@app.command()
def down(name: Name = None, dir: Dir = None,
         keep_data: Annotated[bool, typer.Option("--keep-data", help="Stop it, but let `up` go on from here.")] = False) -> None:
    """Stop a cluster and remove its data."""
    from exchange_kernel.cli.controlplane import ControlPlane

    with _told_plainly():
        plane = ControlPlane.open(_home(name or DEFAULT, dir))
        if keep_data:
            plane.stop()
            typer.echo(f"The cluster in {plane.dir} is stopped and its data kept: `up` goes on with it.")
            return
        plane.remove()
        for known, home in _all_known():
            if home == plane.dir and (link := _known() / known).is_symlink():
                link.unlink()
        typer.echo(f"The cluster in {plane.dir} is down and its data removed.")


def _say_how_to_use(plane: ControlPlane, name: str) -> None:
    typer.echo(f"""
Use it with
  {plane.kubectl} --kubeconfig {plane.kubeconfig} get namespaces
or, in this shell,
  export PATH={plane.kubectl.path.parent}:$PATH KUBECONFIG={plane.kubeconfig}
Take it down with
  exchange-kernel cluster down --name {name}""")


@contextmanager
def _told_plainly() -> Iterator[None]:
    from exchange_kernel.cli.controlplane import ControlPlaneError

    try:
        yield
    except (ControlPlaneError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was left running", err=True)
        raise typer.Exit(130) from None


def _named(name: str | None, dir: Path | None) -> str:
    from exchange_kernel.cli.controlplane import ControlPlaneError, valid_name

    chosen = name or (dir.resolve().name if dir else DEFAULT)
    if not valid_name(chosen):
        raise ControlPlaneError(f"{chosen!r} cannot name a cluster: give --name with small letters, digits and dashes")
    return chosen


def _known() -> Path:
    from exchange_kernel.cli.controlplane import cache_dir

    return cache_dir(os.environ) / "clusters"


def _home(name: str, dir: Path | None) -> Path:
    return (dir or _known() / name).expanduser().resolve()


def _all_known() -> list[tuple[str, Path]]:
    return [(entry.name, entry.resolve()) for entry in sorted(_known().glob("*"))]


def _refuse_taken(name: str, home: Path) -> None:
    from exchange_kernel.cli.controlplane import ControlPlaneError

    if (taken := dict(_all_known()).get(name)) is not None and taken != home and (taken / "cluster.json").exists():
        raise ControlPlaneError(f"the name {name} belongs to the cluster in {taken}: give another --name, or take that one down first")


def _remember(name: str, home: Path) -> None:
    link = _known() / name
    if link.resolve() != home:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(home)
