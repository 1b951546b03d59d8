"""Markets of the venue: their assets, their filters, and sensible ones for any BASE/QUOTE. Source of the rules: binance-spot-api-docs, filters.md."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from exchange_kernel.exchanges.simulated.errors import bad_symbol, filter_failure, invalid, market_closed, type_not_supported

#: Digits after the point of every amount, and so of price steps × quantity steps: all sums and products are exact.
DECIMALS = 8

#: Where a price starts from, in US dollars a unit. Anything else starts at 100.
DOLLARS = {
    "BTC": Decimal(60000), "ETH": Decimal(3000), "BNB": Decimal(600), "SOL": Decimal(150), "LTC": Decimal(80), "XRP": Decimal("0.5"),
    "ADA": Decimal("0.5"), "DOGE": Decimal("0.1"), "USDT": Decimal(1), "USDC": Decimal(1), "FDUSD": Decimal(1), "USD": Decimal(1), "EUR": Decimal("1.1"),
}

#: A tick and a step for prices from so much on.
GRIDS = (
    (Decimal(10000), Decimal("0.01"), Decimal("0.00001")),
    (Decimal(1000), Decimal("0.01"), Decimal("0.0001")),
    (Decimal(10), Decimal("0.01"), Decimal("0.001")),
    (Decimal(1), Decimal("0.0001"), Decimal("0.1")),
    (Decimal("0.01"), Decimal("0.00001"), Decimal("0.001")),
    (Decimal("0.0001"), Decimal("0.0000001"), Decimal("0.1")),
    (Decimal(0), Decimal("0.00000001"), Decimal(1)),
)


#: How far from the last price a limit may be, as factors of it, on both sides. At the venue it is 5 and 0.2 for the great markets.
MOST_ABOVE, MOST_BELOW = Decimal(10), Decimal("0.1")

#: Basis points that a trailing stop may follow by, either way.
LEAST_TRAILING, MOST_TRAILING = 10, 2000


class SelfTradePrevention(StrEnum):
    """What expires where an account would trade with itself. The taker's word counts. [faqs/stp_faq.md]"""

    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"


class SymbolStatus(StrEnum):
    """Whether a market takes orders. [enums.md, Symbol status; PRE_TRADING of former versions]"""

    PRE_TRADING = "PRE_TRADING"
    TRADING = "TRADING"
    END_OF_DAY = "END_OF_DAY"
    HALT = "HALT"
    BREAK = "BREAK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A market. Quantities are in base, notionals in quote. What changes of it makes no other market of it: an order keeps what it came by."""

    base: str
    quote: str
    start_price: Decimal = field(compare=False)
    tick: Decimal = field(compare=False)
    step: Decimal = field(compare=False)
    min_quantity: Decimal = field(compare=False)
    max_quantity: Decimal = field(compare=False)
    max_market_quantity: Decimal = field(compare=False)
    max_price: Decimal = field(compare=False)
    min_notional: Decimal = field(compare=False)
    max_notional: Decimal = field(compare=False)
    self_trade_prevention: SelfTradePrevention = field(default=SelfTradePrevention.NONE, compare=False)       # of orders that don't say
    max_orders: int = field(default=10_000, compare=False)                # open at once, of an account; the venue's own are 200, 5 and 20
    max_algo_orders: int = field(default=1000, compare=False)
    max_lists: int = field(default=1000, compare=False)
    status: SymbolStatus = field(default=SymbolStatus.TRADING, compare=False)
    listed: bool = field(default=True, compare=False)      # whether exchangeInfo has it; what was placed there before is answered about all the same
    order_types: frozenset[str] | None = field(default=None, compare=False)       # the venue's words for those that it has; None: all

    def __post_init__(self) -> None:
        if _decimals(self.tick) + _decimals(self.step) > DECIMALS:
            raise ValueError(f"{self.name}: tick and step together must have at most {DECIMALS} decimals, so that amounts are exact")

    @property
    def name(self) -> str:
        return self.base + self.quote

    @property
    def unified(self) -> str:
        return f"{self.base}/{self.quote}"

    @property
    def takes_orders(self) -> bool:
        return self.listed and self.status is SymbolStatus.TRADING

    def check_open(self) -> None:
        """Whether a new order may come at all; cancels may always."""
        if not self.listed:
            raise bad_symbol()
        if self.status is not SymbolStatus.TRADING:
            raise market_closed()

    def check_type(self, order_type: str) -> None:
        if self.order_types is not None and order_type not in self.order_types:
            raise type_not_supported(order_type)

    def check_price(self, price: Decimal) -> None:
        if price <= 0:
            raise invalid("price")
        if not self.tick <= price <= self.max_price or price % self.tick:
            raise filter_failure("PRICE_FILTER")

    def check_quantity(self, quantity: Decimal, *, market: bool) -> None:
        if quantity <= 0:
            raise invalid("quantity")
        if not self.min_quantity <= quantity <= self.max_quantity or quantity % self.step:
            raise filter_failure("LOT_SIZE")
        if market and quantity > self.max_market_quantity:
            raise filter_failure("MARKET_LOT_SIZE")

    def check_notional(self, notional: Decimal, *, market: bool) -> None:
        if notional < self.min_notional or (notional > self.max_notional and not market):
            raise filter_failure("NOTIONAL")

    def check_percentage(self, price: Decimal, last: Decimal) -> None:
        if not last * MOST_BELOW <= price <= last * MOST_ABOVE:
            raise filter_failure("PERCENT_PRICE_BY_SIDE")

    def check_trailing(self, delta: int) -> None:
        if not LEAST_TRAILING <= delta <= MOST_TRAILING:
            raise filter_failure("TRAILING_DELTA")

    def filters(self) -> list[dict[str, object]]:
        """As exchangeInfo shows them."""
        return [
            {"filterType": "PRICE_FILTER", "minPrice": _text(self.tick), "maxPrice": _text(self.max_price), "tickSize": _text(self.tick)},
            {"filterType": "LOT_SIZE", "minQty": _text(self.min_quantity), "maxQty": _text(self.max_quantity), "stepSize": _text(self.step)},
            {"filterType": "MARKET_LOT_SIZE", "minQty": _text(Decimal(0)), "maxQty": _text(self.max_market_quantity), "stepSize": _text(Decimal(0))},
            {
                "filterType": "NOTIONAL", "minNotional": _text(self.min_notional), "applyMinToMarket": True,
                "maxNotional": _text(self.max_notional), "applyMaxToMarket": False, "avgPriceMins": 0,
            },
            {
                "filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": str(MOST_ABOVE), "bidMultiplierDown": str(MOST_BELOW),
                "askMultiplierUp": str(MOST_ABOVE), "askMultiplierDown": str(MOST_BELOW), "avgPriceMins": 0,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": self.max_orders},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": self.max_algo_orders},
            {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": self.max_lists},
            {
                "filterType": "TRAILING_DELTA", "minTrailingAboveDelta": LEAST_TRAILING, "maxTrailingAboveDelta": MOST_TRAILING,
                "minTrailingBelowDelta": LEAST_TRAILING, "maxTrailingBelowDelta": MOST_TRAILING,
            },
        ]


def symbol(unified: str) -> Symbol:
    """The market BASE/QUOTE with filters that fit its starting price. Raises ValueError if it is written otherwise."""
    if (named := re.fullmatch(r"([A-Z0-9]{1,10})/([A-Z0-9]{1,10})", unified)) is None:
        raise ValueError(f"{unified!r} is no market: write BASE/QUOTE, as in BTC/USDT")
    base, quote = named.groups()
    quote_in_dollars = DOLLARS.get(quote, Decimal(100))
    price = DOLLARS.get(base, Decimal(100)) / quote_in_dollars
    tick, step = next((tick, step) for least, tick, step in GRIDS if price >= least)
    min_notional = max((Decimal(5) / quote_in_dollars).quantize(Decimal("1E-4")), Decimal("1E-4"))
    return Symbol(
        base=base, quote=quote, start_price=max(price // tick, Decimal(1)) * tick, tick=tick, step=step, min_quantity=step,
        max_quantity=step * 900_000_000, max_market_quantity=step * 100_000_000, max_price=tick * 100_000_000,
        min_notional=min_notional, max_notional=min_notional * 2_000_000,
    )


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else DECIMALS + 1


def _text(value: Decimal) -> str:
    return format(value, f".{DECIMALS}f")
