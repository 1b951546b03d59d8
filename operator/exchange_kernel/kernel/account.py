"""What a kernel answers of markets and holdings, wherever it has them from."""

from __future__ import annotations

from abc import abstractmethod

from exchange_kernel.kernel.errors import NotFoundError
from exchange_kernel.kernel.holdings import KnownMarket, asset_metadata, symbol_metadata
from exchange_kernel.kernel.models import AssetMetadata, Position
from exchange_kernel.kernel.orders import ObjectsKernel
from exchange_kernel.schema import SymbolMetadata


class AccountKernel(ObjectsKernel):
    """The orders of one strategy on one account, and the account."""

    @abstractmethod
    async def _market(self, symbol_id: str) -> KnownMarket | None:
        """None: there is no such market. Raises ExchangeError if that can't be told."""

    @abstractmethod
    async def _markets(self) -> list[KnownMarket]:
        """All of the account's, those that are closed among them."""

    async def get_symbol_metadata(self, symbol_id: str) -> SymbolMetadata:
        if (market := await self._market(symbol_id)) is None:
            raise NotFoundError(f"There is no market {symbol_id!r} on this account: list_symbols names them.")
        return symbol_metadata(market)

    async def get_asset_metadata(self, asset_id: str) -> AssetMetadata:
        if (found := asset_metadata(asset_id, await self._markets())) is None:
            raise NotFoundError(f"There is no asset {asset_id!r} in the markets of this account.")
        return found

    async def list_symbols(self) -> list[str]:
        return sorted(market.rules.symbol for market in await self._markets() if market.rules.active)

    async def get_positions(self, symbol_id: str | None = None) -> list[Position]:
        if symbol_id is not None:
            await self.get_symbol_metadata(symbol_id)
        return [position for position in (await self.get_account_state()).positions if symbol_id in (None, position.symbol_id)]
