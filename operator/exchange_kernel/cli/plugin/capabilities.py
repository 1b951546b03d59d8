"""`kubectl exchange capabilities`: what an account's exchange can do, as the operator counts on it."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic.alias_generators import to_camel

from exchange_kernel.api import AccountCapabilities
from exchange_kernel.cli.plugin.cluster import Cluster, Failure
from exchange_kernel.cli.plugin.command import command, complete_accounts
from exchange_kernel.cli.plugin.output import Output, OutputFlag, cells, console, print_document, table
from exchange_kernel.cli.plugin.reading import account as read_account


@command
def capabilities(
    cluster: Cluster,
    account: Annotated[str, typer.Argument(help="The ExchangeAccount.", autocompletion=complete_accounts)],
    output: OutputFlag = Output.TABLE,
) -> None:
    """Show what the account's exchange can do and promises (status.capabilities); -o wide says what each line means."""
    found = read_account(cluster, account).status.capabilities
    if found is None:
        raise Failure(f"{account} has no capabilities yet: no operator has opened it. See `kubectl exchange doctor -n {cluster.namespace}`.")
    if output is Output.NAME:
        typer.echo(f"exchangeaccount.exchange-kernel.io/{account}")
    elif output in (Output.JSON, Output.YAML):
        print_document(found.model_dump(mode="json", by_alias=True, exclude_none=True), as_yaml=output is Output.YAML)
    else:
        wide = output is Output.WIDE
        made = table("Capability", "Value", *(("Meaning",) if wide else ()))
        for name, about in AccountCapabilities.model_fields.items():
            made.add_row(*cells(to_camel(name), _shown(getattr(found, name)), *((about.description,) if wide else ())))
        console().print(made)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not documented" if value is None else str(value)
