"""The `kubectl-exchange` executable: kubectl runs it as `kubectl exchange …`."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # typer calls it only where it installs completion itself

from exchange_kernel.cli.plugin import cancel, cancel_all, capabilities, check, describe, doctor, orders, report, resolve, top, trading_mode, tree

COMPLETE = "_KUBECTL_EXCHANGE_COMPLETE"
OR_FILES, NO_FILES = 0, 4  # cobra's ShellCompDirectives

app = typer.Typer(
    name="kubectl exchange", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Trading orders in a Kubernetes cluster: look at them, cancel them, stop an account. Uses kubeconfig, context and namespace as kubectl does.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("orders")(orders.orders)
app.command("tree")(tree.tree)
app.command("describe")(describe.describe)
app.command("cancel")(cancel.cancel)
app.command("cancel-all")(cancel_all.cancel_all)
app.command("pause")(trading_mode.pause)
app.command("resume")(trading_mode.resume)
app.command("resolve")(resolve.resolve)
app.command("check")(check.check)
app.command("capabilities")(capabilities.capabilities)
app.command("top")(top.top)
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)


def main() -> None:
    app(prog_name="kubectl exchange")


def complete() -> None:
    """`kubectl_complete-exchange`: what kubectl asks for the completion of its plugin's words, in cobra's form: a word a line, then a directive.

    typer has the words in fish's form, which is the same but for the directive.
    """
    completion_init()
    os.environ |= {COMPLETE: "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args",
                   "_TYPER_COMPLETE_ARGS": shlex.join(["kubectl-exchange", *sys.argv[1:-1]]) + " " + "".join(sys.argv[-1:])}
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        app(prog_name="kubectl exchange", args=[], complete_var=COMPLETE)
    words = said.getvalue().split("\n")
    for word in filter(None, words):
        typer.echo(word)
    typer.echo(f":{NO_FILES if any(words) else OR_FILES}")


if __name__ == "__main__":
    main()
