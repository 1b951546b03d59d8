"""AccountState: what an ExchangeAccount holds, as one reading of its exchange, and how well its orders are known. Written by the operator only."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import StrictBool, StrictInt

from exchange_kernel.api.base import INT32_MAX, Asset, Column, Kind, Resource, Spec, Status, Time, field, immutable
from exchange_kernel.api.money import NonNegativeDecimal, SignedDecimal
from exchange_kernel.api.order_intent import AccountRef
from exchange_kernel.api.order_terms import Symbol
from exchange_kernel.api.reconcile_token import ReconcileToken

MAX_BALANCES, MAX_POSITIONS = 512, 256


class HeldSide(StrEnum):
    LONG = "Long"
    SHORT = "Short"
    NET = "Net"


class AssetBalance(Status):
    """What is held of one asset."""

    asset: Asset = field("The asset, as markets name it.")
    free: SignedDecimal = field("What can be used.")
    locked: SignedDecimal = field("What is held back for open orders, or as margin.")


class HeldPosition(Status):
    """What is held of one market."""

    symbol: Symbol = field("The market, as ccxt writes it.")
    side: HeldSide = field("Long or Short; Net on derivatives without hedge mode, where a short position's quantity is negative. Always Long on spot.")
    quantity: SignedDecimal = field("How much: base units on spot, contracts on derivatives.")
    contract_size: NonNegativeDecimal | None = field("What one contract is of; absent on spot.", default=None)
    entry_price: NonNegativeDecimal | None = field("Average price at which it was opened; absent: not told.", default=None)
    unrealized_pnl: SignedDecimal | None = field("What closing it now would bring, in the settlement asset; absent: not told.", default=None)
    margin: NonNegativeDecimal | None = field("Margin held for it, in the settlement asset; absent: not told.", default=None)


class ReconciliationMetrics(Status):
    """How well the account's orders are known. Written with the rest, and never for a count alone: an idle account costs no write."""

    time: Time | None = field("When these figures were made, by the exchange's clock.", default=None)
    last_sweep_time: Time | None = field("When all orders were last read whole, as of then.", default=None)
    sweep_milliseconds: StrictInt | None = field("How long the last reading of all orders took.", default=None, minimum=0, maximum=INT32_MAX)
    sweeps: StrictInt = field("Readings of all orders by this holder.", default=0, minimum=0, maximum=INT32_MAX)
    failed_sweeps: StrictInt = field("Those of them that could not read everything.", default=0, minimum=0, maximum=INT32_MAX)
    sends: StrictInt = field("Requests by which this holder placed or changed orders, unanswered ones among them.", default=0, minimum=0, maximum=INT32_MAX)
    failed_sends: StrictInt = field("Orders handed over by this holder of which no answer came.", default=0, minimum=0, maximum=INT32_MAX)
    unsent: StrictInt = field("Orders that could not be handed over, and were tried again.", default=0, minimum=0, maximum=INT32_MAX)
    checked_orders: StrictInt = field("OrderIntents that the last whole reading was compared with.", default=0, minimum=0, maximum=INT32_MAX)
    unresolved_operations: StrictInt = field("Changes and cancels that are under way now.", default=0, minimum=0, maximum=INT32_MAX)
    unknown_orders: StrictInt = field("OrderIntents whose outcome is not known now.", default=0, minimum=0, maximum=INT32_MAX)
    oldest_unknown_time: Time | None = field("Since when the oldest of them is unknown.", default=None)
    orphan_orders: StrictInt = field("Open orders of ours that no OrderIntent explains.", default=0, minimum=0, maximum=INT32_MAX)
    external_orders: StrictInt = field("Open orders of others.", default=0, minimum=0, maximum=INT32_MAX)
    drifted_orders: StrictInt = field("Orders that somebody else changed at the exchange.", default=0, minimum=0, maximum=INT32_MAX)
    missing_orders: StrictInt = field("Orders believed open that a whole reading did not have, until it is known why.", default=0, minimum=0, maximum=INT32_MAX)
    overfilled_orders: StrictInt = field("OrderIntents that were filled by more than they ask for.", default=0, minimum=0, maximum=INT32_MAX)
    overfilled_groups: StrictInt = field("OrderGroups of which two orders were filled that exclude each other.", default=0, minimum=0, maximum=INT32_MAX)
    inferred_fills: StrictInt = field("Fills of unfinished OrderIntents that no execution explains yet.", default=0, minimum=0, maximum=INT32_MAX)
    unattributed_fills: StrictInt = field("Executions that no OrderIntent explains.", default=0, minimum=0, maximum=INT32_MAX)


class AccountStateSpec(Spec):
    """Whose it is."""

    account_ref: AccountRef = field("The ExchangeAccount. Can't be changed.")

    rules = immutable("accountRef", instead="an AccountState is the operator's to write")


class AccountStateStatus(Status):
    """One reading of the account, whole or not at all."""

    observed_generation: StrictInt = field("metadata.generation this status answers; -1: not read yet.", default=-1, minimum=-1)
    sequence: StrictInt = field("Counts the readings that were written: a higher number is a newer one.", default=0, minimum=0)
    time: Time | None = field("When the reading began, by the exchange's clock. What was filled before, by the lookup delay at least, is in it.", default=None)
    answer_time: Time | None = field("When it ended. What was filled later is not in it.", default=None)
    settled: StrictBool = field(
        "True: nothing was filled between the two, as far as was known by then, so that every fill is either in it or later than answerTime.", default=False)
    truncated: StrictBool = field("True: the account holds more than is shown here.", default=False)
    balances: list[AssetBalance] = field("What is held, by asset; nothing of an asset is not shown.", max_items=MAX_BALANCES, key="asset")
    positions: list[HeldPosition] = field(
        "On derivatives the open positions. On spot what is held of the base asset of each market that is open for trading, from its smallest order on: "
        "the same balance is shown for each market that sells it.", max_items=MAX_POSITIONS, key=("symbol", "side"))
    reconciliation: ReconciliationMetrics | None = field("How well the account's orders are known.", default=None)
    reconciled_token: ReconcileToken | None = field(
        "The last value of the annotation exchange-kernel.io/reconcile for which all orders were read from the exchange.", default=None)


class AccountState(Kind):
    """What an ExchangeAccount holds. It has the account's name, and goes with it."""

    written_by_people = False

    kind: Literal["AccountState"] = "AccountState"
    spec: AccountStateSpec = field("Whose it is.")
    status: AccountStateStatus = field("One reading of the account.", default=AccountStateStatus())

    resource = Resource(
        plural="accountstates", singular="accountstate", short_names=("acct",),
        columns=(
            Column("Sequence", ".status.sequence", "Number of the reading.", type="integer"),
            Column("Assets", ".status.balances[*].asset", "What is held."),
            Column("Free", ".status.balances[*].free", "What of it can be used."),
            Column("Positions", ".status.positions[*].symbol", "Markets of which something is held."),
            Column("Unknown", ".status.reconciliation.unknownOrders", "Orders whose outcome is not known.", type="integer"),
            Column("Read", ".status.time", "When it was read.", type="date"),
            Column("Orphans", ".status.reconciliation.orphanOrders", "Open orders that no OrderIntent explains.", type="integer", wide=True),
            Column("Sweeps", ".status.reconciliation.sweeps", "Readings of all orders.", type="integer", wide=True),
            Column("Failed", ".status.reconciliation.failedSweeps", "Those that could not read everything.", type="integer", wide=True),
        ),
        selectable=(".spec.accountRef.name",),
    )
