"""`exchange-kernel doctor`: the plugin's `kubectl exchange doctor`, for whom has no kubectl. Its flags are read there, so that `--help` stays quick here."""

from __future__ import annotations

import typer

#: All that is said goes on to the plugin, --help too.
FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def doctor(ctx: typer.Context) -> None:
    """Check the cluster, the kinds, admission, rights, clocks and accounts, and say how to mend what is wrong."""
    from exchange_kernel.cli.plugin.main import app

    app(["doctor", *ctx.args], prog_name="exchange-kernel")
