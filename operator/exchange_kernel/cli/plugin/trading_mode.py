"""`kubectl exchange pause` and `resume`: an account's kill switch, and the wait until it is in force."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange_kernel.api import ExchangeAccount, TradingMode
from exchange_kernel.cli.plugin.cluster import Cluster, Failure
from exchange_kernel.cli.plugin.command import DryRun, DryRunFlag, Timeout, command, complete_accounts
from exchange_kernel.cli.plugin.reading import account as read_account
from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS

WAIT_S = 30.0
Name = Annotated[str, typer.Argument(help="The ExchangeAccount.", autocompletion=complete_accounts)]


@command
def pause(cluster: Cluster, account: Name, timeout: Timeout = WAIT_S, dry_run: DryRunFlag = DryRun.NONE) -> None:
    """Stop an account from sending orders (tradingMode CancelOnly), and wait until that is in force. Open orders stay; cancels go on."""
    _set(cluster, account, TradingMode.CANCEL_ONLY, timeout, dry_run)


@command
def resume(cluster: Cluster, account: Name, timeout: Timeout = WAIT_S, dry_run: DryRunFlag = DryRun.NONE) -> None:
    """Let an account send orders again (tradingMode Enabled), and wait until that is in force."""
    _set(cluster, account, TradingMode.ENABLED, timeout, dry_run)


def _set(cluster: Cluster, name: str, mode: TradingMode, timeout: float, dry_run: DryRun) -> None:
    before = read_account(cluster, name)
    if dry_run is not DryRun.CLIENT:
        patch = {"metadata": {"uid": before.metadata.uid}, "spec": {"tradingMode": str(mode)}}
        cluster.patch(EXCHANGE_ACCOUNTS.path(cluster.namespace, name), patch, dry_run=dry_run is DryRun.SERVER)
    if dry_run is not DryRun.NONE:
        typer.echo(f"exchangeaccount/{name}: tradingMode {before.spec.trading_mode} → {mode} ({'server ' if dry_run is DryRun.SERVER else ''}dry run)")
        return

    def in_force() -> ExchangeAccount | None:
        now = read_account(cluster, name)
        return now if now.status.trading_mode is mode else None

    if timeout and cluster.wait(in_force, timeout) is None:
        raise Failure(f"tradingMode {mode} is written, and within {timeout:g} s no operator has put it in force: orders may still be sent. "
                      f"See `kubectl exchange doctor -n {cluster.namespace}`.")
    typer.echo(f"exchangeaccount/{name}: tradingMode {mode} is {'in force' if timeout else 'written'}")
    if mode is TradingMode.CANCEL_ONLY and before.status.open_intents:
        typer.echo(f"Orders that are open stay open: `kubectl exchange cancel-all --account {name} -n {cluster.namespace}` cancels them.")
