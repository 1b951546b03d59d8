"""The `kubectl-exchange` executable: kubectl runs it as `kubectl exchange …`."""

from __future__ import annotations

import typer

from exchange_kernel.cli.plugin import cancel, cancel_all, describe, orders, resolve, trading_mode, tree

app = typer.Typer(
    name="kubectl exchange", no_args_is_help=True, pretty_exceptions_enable=False,
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


def main() -> None:
    app(prog_name="kubectl exchange")


if __name__ == "__main__":
    main()
