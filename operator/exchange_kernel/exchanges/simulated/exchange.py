"""The simulated exchange, put together: an engine, the market around the user, the user's account and keys, and what a test may do to it all.

No I/O here: `server.py` gives it its REST, websocket and control faces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.clock import VenueClock
from exchange_kernel.exchanges.simulated.engine import Engine
from exchange_kernel.exchanges.simulated.faults import Faults
from exchange_kernel.exchanges.simulated.limits import DAY_MS, TEN_SECONDS_MS, OrderLimit, Requests, WeightLimit
from exchange_kernel.exchanges.simulated.maker import MarketMaker
from exchange_kernel.exchanges.simulated.perpetual.contracts import SETTLE
from exchange_kernel.exchanges.simulated.perpetual.venue import PerpetualVenue
from exchange_kernel.exchanges.simulated.security import Keys
from exchange_kernel.exchanges.simulated.symbols import SelfTradePrevention, symbol
from exchange_kernel.exchanges.simulated.timeline import Timeline
from exchange_kernel.exchanges.simulated.visibility import Visibility

#: Not secrets: they open a simulation only.
DEFAULT_API_KEY = "simulated-api-key"
DEFAULT_API_SECRET = "simulated-api-secret"

#: Of each asset, unless said otherwise.
AMPLE = Decimal(10_000_000)
HOUSE = Decimal(10) ** 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    symbols: Sequence[str] = ("BTC/USDT", "ETH/USDT")
    contracts: Sequence[str] = ("BTC/USDT:USDT", "ETH/USDT:USDT")       # of the perpetual venue beside it
    seed: int = 0
    api_key: str = DEFAULT_API_KEY
    api_secret: str = field(default=DEFAULT_API_SECRET, repr=False)
    balances: Mapping[str, Decimal] = field(default_factory=dict)      # the user's, by asset; what isn't named is ample
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    contract_maker_fee: Decimal = Decimal("-0.0001")       # negative: who rests is paid
    contract_taker_fee: Decimal = Decimal("0.0005")
    market_maker: bool = True
    visibility_delay_ms: int = 0
    weight_limit: int = 6000        # a minute; Binance's
    order_limit: int = 10_000       # unfilled, in ten seconds, of an account; Binance's is 100
    daily_order_limit: int = 2_000_000
    self_trade_prevention: Mapping[str, SelfTradePrevention] = field(default_factory=dict)      # of orders that don't say, by market
    order_types: Mapping[str, Sequence[str]] = field(default_factory=dict)      # by market, in the venue's words; a market that isn't named has all


class SimulatedExchange:
    def __init__(self, settings: Settings | None = None, *, clock: VenueClock | None = None) -> None:
        self.settings = settings or Settings()
        prevention = self.settings.self_trade_prevention
        symbols = [
            replace(symbol(unified), self_trade_prevention=prevention.get(unified, SelfTradePrevention.NONE), order_types=self._types_of(unified))
            for unified in dict.fromkeys(self.settings.symbols)
        ]
        self.assets = sorted({asset for one in symbols for asset in (one.base, one.quote)})
        self.clock = clock or VenueClock()
        self.engine = Engine(symbols, self.clock.now_ms, maker_fee=self.settings.maker_fee, taker_fee=self.settings.taker_fee)
        self.keys = Keys(self.clock.now_ms)
        self.requests, self.timeline = Requests(), Timeline()
        self.weight_limit = WeightLimit(self.clock.now_ms, self.settings.weight_limit)
        self.faults = Faults(self.settings.seed)
        self.visibility = Visibility(self.clock.steady_ms, self.clock.now_ms, self.settings.visibility_delay_ms, self.settings.seed)
        self.perpetual = PerpetualVenue(
            self.settings.contracts, self.clock, lambda: self.visibility.delay_ms, maker_fee=self.settings.contract_maker_fee,
            taker_fee=self.settings.contract_taker_fee, seed=self.settings.seed)
        self.accounts: list[Account] = []       # those with keys, the user's first
        self.order_limits: dict[int, OrderLimit] = {}       # by the account's uid
        self._reuses_ids = False
        self.taker = self._house(2)
        self.maker = MarketMaker(self.engine, self._house(1), self.taker, self.settings.seed)
        self.user = self.open_account(self.settings.api_key, self.settings.api_secret, self.settings.balances)
        if self.settings.market_maker:
            self.maker.start()
            self.perpetual.maker.start()

    def _types_of(self, unified: str) -> frozenset[str] | None:
        types = self.settings.order_types.get(unified)
        return frozenset(types) if types is not None else None

    def open_account(self, api_key: str, api_secret: str, balances: Mapping[str, Decimal] | None = None) -> Account:
        """An account of its own for a key. The uid follows from the key, and so survives a restart."""
        uid = int.from_bytes(hashlib.sha256(api_key.encode()).digest()[:4], "big") + 1000
        account = Account(uid, {asset: AMPLE for asset in self.assets} | dict(balances or {}))
        account.order_limit = self.order_limits[uid] = OrderLimit(
            self.clock.now_ms, {TEN_SECONDS_MS: self.settings.order_limit, DAY_MS: self.settings.daily_order_limit})
        account.listeners.append(self.visibility)
        account.reuses_ids = self._reuses_ids
        self.share_account(api_key, api_secret, account)
        self.accounts.append(account)
        return account

    def share_account(self, api_key: str, api_secret: str, account: Account) -> None:
        """One more key for an account, as after a rotation. It opens the perpetual account of that number too, whose money is its own."""
        self.keys.add(api_key, api_secret, account)
        self.perpetual.admit(account.uid, api_key, api_secret, self.settings.balances.get(SETTLE, AMPLE))

    def reuse_ids(self, *, allowed: bool) -> None:
        """Whether a second order may have the id of one that is still open."""
        self._reuses_ids = allowed
        for account in self.accounts:
            account.reuses_ids = allowed

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Of a spot market, as ccxt writes it: the maker quotes around it from now on, and trades with what its quotes meet. Raises VenueError."""
        self.maker.set_price(self.engine.market(symbol.replace("/", "")).symbol, price)

    def change_market(self, symbol: str, **changes: Any) -> None:
        """Of a spot market, as ccxt writes it: its filters, its status, or whether it is listed, by the names of `Symbol`. Raises VenueError, ValueError."""
        market = self.engine.market(symbol.replace("/", ""))
        price = self.maker.price(market.symbol)
        market.symbol = replace(market.symbol, **changes)
        self.maker.regrid(market, price)

    def tick(self) -> None:
        self.maker.tick()
        self.perpetual.maker.tick()

    def _house(self, uid: int) -> Account:
        return Account(uid, {asset: HOUSE for asset in self.assets}, keeps_history=False)
