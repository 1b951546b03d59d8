"""The `exchange-kernel` command. Each subcommand imports its room only when it is called, so that `--help` and `cluster` stay quick."""

from __future__ import annotations

import typer

from exchange_kernel.cli import cluster, doctor, run, simulate

app = typer.Typer(
    name="exchange-kernel", help="Trading orders as Kubernetes resources.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
app.command("run")(run.run)
app.command("simulate")(simulate.simulate)
app.command("doctor", context_settings=doctor.FORWARDED)(doctor.doctor)
app.add_typer(cluster.app, name="cluster")

if __name__ == "__main__":
    app()
