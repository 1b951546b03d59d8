"""Prometheus metrics. Names end in their unit; labels are accounts and outcomes, never order ids or secrets."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

STATUS_WRITES = Counter("exchange_kernel_status_writes", "Writes to OrderIntents that the API server took.")
STATUS_CONFLICTS = Counter("exchange_kernel_status_conflicts", "Writes that were decided on an older version, or met a deleted object.")
WRITES_HELD_BACK = Counter("exchange_kernel_writes_held_back", "Objects of which ten status writes in a minute told nothing new: a bug; more wait.", ["kind"])
SUBMITS = Counter("exchange_kernel_submits", "Orders handed to an exchange, by outcome.", ["account", "outcome"])
MARKET_READINGS = Counter("exchange_kernel_market_readings", "Readings of an exchange's list of markets after the first, by outcome.", ["account", "outcome"])
REFUSED_EXITS = Counter("exchange_kernel_refused_exits", "Exits of open positions that an exchange refused, by what it was about.", ["account", "kind"])
CANCELS = Counter("exchange_kernel_cancels", "Cancels handed to an exchange, by outcome.", ["account", "outcome"])
AMENDS = Counter("exchange_kernel_amends", "Amends handed to an exchange, by outcome.", ["account", "outcome"])
SUBMIT_SECONDS = Histogram(
    "exchange_kernel_submit_seconds",
    "From the call of the adapter to its outcome.",
    ["account"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
ACCOUNT_READY = Gauge("exchange_kernel_account_ready", "1 while the account is held, fenced and swept.", ["account"])
RESTLESS_RECONCILES = Counter("exchange_kernel_restless_reconciles", "Reconcile calls that were given up after too many steps: always a bug.")
ILLEGAL_TRANSITIONS = Counter("exchange_kernel_illegal_transitions", "States overwritten that no step of ours leads from: written by another hand, or a bug.")
UNKNOWN_ORDERS = Gauge("exchange_kernel_unknown_orders", "Intents whose outcome is not known now.")
GROUP_VIOLATIONS = Counter("exchange_kernel_group_violations", "Groups of which several orders filled where one was to cancel the others.")
UNPROTECTED_GROUPS = Gauge("exchange_kernel_unprotected_groups", "Groups with a position and no working stop.")
EVENTS = Counter("exchange_kernel_events", "Kubernetes Events told: Written, Refused by the API server, or Dropped because too many waited.", ["outcome"])
FORBIDDEN = Counter("exchange_kernel_forbidden", "Requests that the API server refused for a right that the operator lacks.", ["verb", "resource"])
JOURNAL_LINES_LOST = Counter("exchange_kernel_journal_lines_lost", "Lines of the audit journal that could not be written whole.")
