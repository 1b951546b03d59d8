"""The accounts, as the operator sees them, and their credentials."""

from __future__ import annotations

from collections.abc import Iterator

from exchange_kernel.api import Condition, ConditionStatus, Environment, ExchangeAccount, TradingMode
from exchange_kernel.cli.plugin.checkup.findings import Finding, Level
from exchange_kernel.cli.plugin.cluster import Cluster
from exchange_kernel.cli.plugin.reading import models
from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS

#: What to do about a condition that is not True. Its own message comes first, since it knows more.
MENDS = {
    "Connected": "Check spec.endpoint, the operator's way to the exchange (proxy, NetworkPolicy, DNS), and whether the exchange is down.",
    "CredentialsValid": "Check that the Secret of spec.credentialsSecretRef is in the same namespace and has the keys that the exchange asks for, that they "
                        "are of this environment, and that the exchange allows the operator's address.",
    "ClockSynced": "Check the operator's way to the exchange, and the node's clock (NTP).",
    "Synced": "Wait for the next sweep; if it stays, its message names what is not whole, and the operator's log why.",
    "Ready": "See the other conditions: kubectl describe xa NAME.",
}

MENDS_OF_REASONS = {"MarketGone": "See what is found about Markets; everything else on the account goes on."}


def accounts(cluster: Cluster, _: str) -> Iterator[Finding]:
    found = models(ExchangeAccount, cluster.items(EXCHANGE_ACCOUNTS))
    if not found:
        where = "" if cluster.everywhere else f" in {cluster.namespace}"
        yield Finding(Level.WARNING, "Accounts", f"There is no ExchangeAccount{where}.", "Apply one (docs/accounts.md), or name its namespace with -n or -A.")
    for account in found:
        yield from _account(account)


def _account(account: ExchangeAccount) -> Iterator[Finding]:
    name, status = f"{account.metadata.namespace}/{account.metadata.name}", account.status
    conditions = {condition.type: condition for condition in status.conditions}
    if not conditions:
        yield Finding(Level.WRONG, "Accounts", f"{name}: no operator has looked at it.",
                      "See the findings about the operator, and which namespaces it watches.")
        return
    bad = [condition for kind in MENDS if (condition := conditions.get(kind)) is not None and condition.status is not ConditionStatus.TRUE]
    # The first that is not so explains those after it: what can't be reached can't be read.
    causes = [condition for condition in bad if condition.type != "Ready"][:1] or bad
    for condition in causes:
        level = Level.WRONG if condition.status is ConditionStatus.FALSE else Level.WARNING
        yield Finding(level, "Accounts", f"{name}: {_said(condition)}", MENDS_OF_REASONS.get(condition.reason, MENDS[condition.type]))
    if not bad:
        yield Finding(Level.OK, "Accounts", f"{name} is ready: {account.spec.exchange} {account.spec.environment}, held by {status.holder or 'nobody'}.")
    if status.trading_mode is not None and status.trading_mode is not TradingMode.ENABLED:
        yield Finding(Level.WARNING, "Accounts", f"{name}: tradingMode {status.trading_mode} is in force.",
                      f"If it is no longer meant: kubectl exchange resume {account.metadata.name} -n {account.metadata.namespace}")
    if status.orphan_orders:
        yield Finding(Level.WARNING, "Accounts", f"{name}: {status.orphan_orders} open orders of ours that no OrderIntent explains.",
                      "Cancel them at the exchange, or set spec.orphanPolicy: Cancel.")
    if status.unattributed_fills:
        yield Finding(Level.WARNING, "Accounts", f"{name}: {status.unattributed_fills} executions that no OrderIntent explains.",
                      "See the audit journal (lateFill), and compare the position.")


def _said(condition: Condition) -> str:
    return f"{condition.type} is {condition.status} ({condition.reason}){f': {condition.message}' if condition.message else ''}"


def credentials(cluster: Cluster, _: str) -> Iterator[Finding]:
    """What a key may do besides trading is not asked of any exchange: no reading for it exists."""
    for account in models(ExchangeAccount, cluster.items(EXCHANGE_ACCOUNTS)):
        if account.spec.environment is Environment.LIVE:
            yield Finding(Level.NOT_CHECKED, "Credentials", f"{account.metadata.namespace}/{account.metadata.name}: whether its key may withdraw. Look at "
                          f"{account.spec.exchange}'s page of API keys: it needs reading and trading only, never withdrawals, and an allow-list of addresses.")
