"""Self-trade prevention: what happens instead of a trade of an account with itself. Source: binance-spot-api-docs, faqs/stp_faq.md.

Accounts have no trade groups here, and there are no DECREMENT and TRANSFER.
"""

from __future__ import annotations

from exchange_kernel.exchanges.simulated.clearing import Clearing
from exchange_kernel.exchanges.simulated.market import Market
from exchange_kernel.exchanges.simulated.orders import ExecutionType, Order, Prevented, Status
from exchange_kernel.exchanges.simulated.symbols import SelfTradePrevention


def prevent(market: Market, taker: Order, maker: Order, clearing: Clearing) -> bool:
    """Whether it stood between these two. Then at least one of them has expired, and the taker, if it has not, may go on to the next."""
    mode = taker.self_trade_prevention
    if mode is SelfTradePrevention.NONE or taker.account is not maker.account:
        return False
    takes = mode in (SelfTradePrevention.EXPIRE_TAKER, SelfTradePrevention.EXPIRE_BOTH)
    makes = mode in (SelfTradePrevention.EXPIRE_MAKER, SelfTradePrevention.EXPIRE_BOTH)
    match = Prevented(
        symbol=market.symbol, match_id=next(market.prevented_ids), taker_order_id=taker.order_id, maker_order_id=maker.order_id, mode=mode,
        price=maker.price, quantity=min(taker.remaining, maker.remaining), taker_quantity=taker.remaining if takes else None,
        maker_quantity=maker.remaining if makes else None, time=taker.working_time or taker.time,
    )
    taker.prevented_matches.append(match)
    taker.account.prevented.append(match)
    for order, expires in ((taker, takes), (maker, makes)):
        if expires:
            order.prevented = match
            clearing.end(order, Status.EXPIRED_IN_MATCH, ExecutionType.TRADE_PREVENTION)
    return True
