"""What every command has in common: kubectl's flags for a cluster, and errors told as one sentence with exit code 1."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange_kernel.cli.plugin.cluster import Failure, connect
from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS, ORDER_GROUPS, ORDER_INTENTS, Resource

INTERRUPTED = 130


class DryRun(StrEnum):
    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


DryRunFlag = Annotated[DryRun, typer.Option("--dry-run", help="client: only say what would be done; server: have the API server check it, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Timeout = Annotated[float, typer.Option("--timeout", help="How long to wait, in seconds; 0: do not wait.", min=0)]


def _flags(
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; default: the context's.")] = None,
    context: Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig; default: the current one.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option("--kubeconfig", help="Kubeconfig; default: KUBECONFIG, then ~/.kube/config.")] = None,
) -> None: ...


def _wide_flags(all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")] = False) -> None: ...


def command(function: Callable[..., None] | None = None, *, everywhere: bool = False) -> Callable[..., Any]:
    """A function of (cluster, its own flags) as a command; `everywhere`: it can be asked about all namespaces."""
    if function is None:
        return functools.partial(command, everywhere=everywhere)
    wanted = inspect.signature(function, eval_str=True)
    shared = [*_parameters(_flags), *(_parameters(_wide_flags) if everywhere else ())]

    @functools.wraps(function)
    def run(**given: Any) -> None:
        where = {parameter.name: given.pop(parameter.name) for parameter in shared}
        with_told_errors(lambda: function(connect(**{"all_namespaces": False, **where}), **given))

    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, parameter in wanted.parameters.items() if name != "cluster"]
    run.__signature__ = wanted.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
    return run


def _parameters(function: Callable[..., None]) -> list[inspect.Parameter]:
    return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in inspect.signature(function, eval_str=True).parameters.values()]


def with_told_errors(act: Callable[[], None]) -> None:
    try:
        act()
    except Failure as failure:
        typer.echo(f"error: {failure}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has enough of it
        raise typer.Exit(0) from None


def confirm(question: str, yes: bool, answer: str = "yes") -> None:
    """Go on only if a person types `answer`, or said --yes. Where nobody can be asked, that is a usage error."""
    if yes:
        return
    if not can_ask():
        raise typer.BadParameter("nobody can be asked here: add --yes if it is meant")
    if typer.prompt(f"{question}\nType {answer} to go on", default="", show_default=False, err=True).strip() != answer:
        raise Failure("Nothing was done.")


def can_ask() -> bool:
    return sys.stdin.isatty()


# ── Names ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_KINDS = {
    **dict.fromkeys(("oi", "orderintent", "orderintents"), ORDER_INTENTS),
    **dict.fromkeys(("og", "ordergroup", "ordergroups"), ORDER_GROUPS),
}


def named(text: str) -> tuple[Resource, str]:
    """`NAME`, `oi/NAME` or `og/NAME`: the kind and the name; an order's if none is said."""
    prefix, slash, name = text.rpartition("/")
    resource = _KINDS.get(prefix.lower().removesuffix(".exchange-kernel.io")) if slash else ORDER_INTENTS
    if resource is None or not name:
        raise typer.BadParameter(f"{text} names no order or group: write NAME, oi/NAME or og/NAME")
    return resource, name


def completed_from(resource: Resource) -> Callable[[typer.Context, str], list[str]]:
    """Shell completion by the names that there are; none where the cluster can't be asked."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        chosen = {name: ctx.params.get(name) for name in ("kubeconfig", "context", "namespace")}
        try:
            kubeconfig = Path(chosen["kubeconfig"]) if chosen["kubeconfig"] else None
            found = connect(kubeconfig, chosen["context"], chosen["namespace"], False).items(resource)
        except Failure:
            return []
        return [name for raw in found if (name := str(raw["metadata"]["name"])).startswith(incomplete)]

    return complete


complete_orders = completed_from(ORDER_INTENTS)
complete_groups = completed_from(ORDER_GROUPS)
complete_accounts = completed_from(EXCHANGE_ACCOUNTS)
