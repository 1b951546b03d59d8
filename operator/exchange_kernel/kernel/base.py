"""ExchangeKernel: what a strategy can ask for, wherever its orders are kept: on Kubernetes (`kubernetes.py`), or in a file (`local.py`).

Throughout: `symbol_id` is a market as ccxt writes it ("BTC/USDT"), `asset_id` an asset's code ("BTC"). Quantities are in the unit of
`StandardOrder.quantity` (base units on spot, contracts on derivatives), prices in the quote currency, both `Decimal`. Errors are those of `errors.py`, all
under KernelError; and any method may raise ExchangeError if what it needs can't be reached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from exchange_kernel.kernel.events import EventCallback, EventFilter
from exchange_kernel.kernel.models import AccountState, AssetMetadata, OrderIntent, OrderState, Position
from exchange_kernel.schema import StandardOrder, StandardOrderGroup, SymbolMetadata


class ExchangeKernel(ABC):
    """The orders of one strategy on one exchange account. Not for use from several threads or event loops."""

    def __init__(self, exchange_id: str) -> None:
        """`exchange_id`: the exchange account that orders go to."""
        self.exchange_id = exchange_id

    # ── Orders ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def place_order(self, order: StandardOrder, metadata: dict[str, Any] | None = None) -> str:
        """Place an order and return its intent id.

        Returns once the intent is durable and the exchange's verdict is in, or after the kernel's acknowledge timeout (0: does not wait); then the verdict
        is to be had from `get_order_state` or an event. An order that filled at once has been accepted: that is no error, nor is an IOC that found nothing.
        `metadata`: the strategy's own notes, kept with the intent; at most 32 JSON values of at most 1024 characters each.

        Raises ValidationError if the order breaks a rule of orders or of its market (nothing was sent), ExchangeError if the exchange refuses it (with the
        intent id and the exchange's reason), or with `outcome_unknown` and the intent id if it can't be found out whether the intent is durable.
        If the call itself is cancelled, the order may be wanted all the same; only an `idempotency_key` makes it safe to place it again.
        """

    @abstractmethod
    async def place_order_group(self, group: StandardOrderGroup, metadata: dict[str, Any] | None = None) -> list[str]:
        """Place orders that depend on each other and return their intent ids, in the order of `group.members`.

        Every member is validated before any is placed. Raises as `place_order` does.
        """

    @abstractmethod
    async def cancel_order(self, intent_id: str) -> None:
        """Cancel an order, whatever state it is in. Idempotent; does nothing to one that has finished. On a member of a group it edits the group.

        Returns once the order has ended, or after the acknowledge timeout; the cancel goes on then. The order may have been filled before it took effect:
        `get_order_state` tells. Raises NotFoundError, and ExchangeError if the exchange refuses the cancel (it is tried again all the same).
        """

    @abstractmethod
    async def modify_order(self, intent_id: str, new_order: StandardOrder) -> None:
        """Make the order what `new_order` says: amended in place, or cancelled and what is not filled sent anew. On a member it edits the group.

        Returns once the exchange has it, or after the acknowledge timeout. Raises NotFoundError, ValidationError, ExchangeError.
        """

    @abstractmethod
    async def cancel_all_orders(self, symbol_id: str | None = None) -> int:
        """Cancel all unfinished orders of this strategy (of one market), also those not sent yet; returns how many are proved cancelled in time."""

    # ── What is wanted, and what is ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def get_order_intent(self, intent_id: str) -> OrderIntent:
        """The order that is wanted. Raises NotFoundError."""

    @abstractmethod
    async def get_order_state(self, intent_id: str) -> OrderState:
        """The order as the exchange has it, how old that knowledge is, and whether the exchange can be reached. Raises NotFoundError."""

    @abstractmethod
    async def get_all_intents(self, symbol_id: str | None = None) -> list[OrderIntent]:
        """All of this strategy's (of one market), oldest first."""

    @abstractmethod
    async def get_all_orders(self, symbol_id: str | None = None) -> list[OrderState]:
        """All of this strategy's (of one market), oldest first."""

    @abstractmethod
    async def get_positions(self, symbol_id: str | None = None) -> list[Position]:
        """What the account holds, from the last snapshot. Raises NotFoundError for a market that does not exist."""

    @abstractmethod
    async def get_account_state(self) -> AccountState:
        """The account's last snapshot, whole: balances, positions, and between which times they were read."""

    @abstractmethod
    async def get_symbol_metadata(self, symbol_id: str) -> SymbolMetadata:
        """A market and its rules. Raises NotFoundError."""

    @abstractmethod
    async def get_asset_metadata(self, asset_id: str) -> AssetMetadata:
        """An asset. Raises NotFoundError."""

    @abstractmethod
    async def list_symbols(self) -> list[str]:
        """The symbol ids of all markets that this account may trade, sorted."""

    # ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def subscribe_events(self, callback: EventCallback, event_filter: EventFilter | None = None) -> str:
        """Have `callback` called with every event from now on that fits the filter; returns the subscription's id. May be called before `start`.

        At least once, and in order for each intent, with a sequence number that has no gaps; after a gap of the connection, what changed is told and a
        Resynced event follows. A callback may be sync or async, and gets one event at a time; one that raises is logged and goes on with the next.
        """

    @abstractmethod
    def unsubscribe_events(self, subscription_id: str) -> None:
        """No event is given to that subscription any more. Does nothing for one that is not there."""

    # ── Life ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def start(self) -> None:
        """Begin to follow orders. Does nothing if it is started. Raises ExchangeError, which says what to do, if that is not possible."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop following. Open orders stay open and go on being looked after. May be followed by `start`."""

    @abstractmethod
    async def health_check(self) -> dict[str, Any]:
        """Whether what is wanted and what is are reconciled, not merely whether something runs: `healthy` (bool), `problems` (sentences), and figures."""

    @abstractmethod
    async def force_reconciliation(self, intent_id: str | None = None) -> None:
        """Compare one order, or all, with the exchange now, and return when that is done. Calls at the same time share one run.

        Nothing is sent because of it that would not have been sent without. Raises NotFoundError, and ExchangeError if the exchange could not be read.
        """

    @abstractmethod
    async def get_reconciliation_metrics(self) -> dict[str, Any]:
        """Lag, error rates, retries, discrepancies by kind, unknown orders and their age. The keys are `reconciliation.METRICS`; times in seconds."""
