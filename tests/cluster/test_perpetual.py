"""A perpetual venue, which promises less than the other: the same operator trades on it by what its account says it can do. The ledger judges."""

from __future__ import annotations

import pytest

from tests.cluster.operating import Trading
from tests.support import eventually

SYMBOL = "BTC/USDT:USDT"
FAR = {"type": "Limit", "price": "30000"}       # far below the mark: it rests


@pytest.fixture(scope="module")
def swap(shared: Trading) -> Trading:
    """An account of the perpetual venue beside the spot account, at the same exchange and operator."""
    shared.open_account("swap", exchange="gate", marketType="Swap", endpoint={"rest": shared.exchange.rest}, resyncSeconds=5)
    shared.await_account("swap")
    return shared


def place(swap: Trading, name: str, **spec: str) -> None:
    swap.place(name, accountRef={"name": "swap"}, symbol=SYMBOL, **spec)


def order(swap: Trading, name: str) -> dict[str, object]:
    """As the venue has it: one, and not one more."""
    written = f"t-{swap.status(name)['clientOrderId']}"
    (found,) = [one for one in swap.exchange.ledger()["perpetual"]["orders"] if one["text"] == written]
    return dict(found)


def held(swap: Trading) -> int:
    return sum(int(position["size"]) for position in swap.exchange.ledger()["perpetual"]["positions"] if position["contract"] == "BTC_USDT")


def test_a_position_is_opened_by_an_intent_and_closed_by_one_that_only_reduces(swap):
    place(swap, "open", quantity="7")
    swap.wait("open", "Succeeded", within=60)
    opened = swap.status("open")
    assert (opened["state"], opened["filledQuantity"], order(swap, "open")["size"]) == ("Filled", "7", "7")
    assert len(opened["clientOrderId"]) == 28
    assert held(swap) == 7

    place(swap, "close", side="Sell", quantity="7", positionEffect="ReduceOnly")
    swap.wait("close", "Succeeded", within=60)
    closed = order(swap, "close")
    assert (closed["size"], closed["is_reduce_only"], closed["finish_as"]) == ("-7", True, "filled")
    assert held(swap) == 0


def test_reducing_nothing_is_refused_and_says_so(swap):
    place(swap, "nothing", side="Sell", quantity="1", positionEffect="ReduceOnly")
    swap.wait("nothing", "Finished", within=60)
    assert swap.status("nothing")["state"] == "Rejected"
    assert "reduce-only" in swap.condition("nothing", "Finished")["message"]


def test_what_the_account_has_not_got_is_denied_before_it_is_sent(swap):
    place(swap, "sided", quantity="1", positionSide="Long")
    swap.wait("sided", "Finished", within=60)
    assert swap.status("sided")["state"] == "Denied"
    assert "one position per market" in swap.condition("sided", "Finished")["message"]


def test_a_lost_reply_is_found_in_the_lists_and_nothing_is_sent_again(swap):
    swap.exchange.fault(do="drop-reply", match={"method": "POST", "path": "/api/v4/futures/usdt/orders"})
    try:
        place(swap, "lost-reply", quantity="2", **FAR)
        swap.await_state("lost-reply", "Open", within=60)
    finally:
        swap.exchange.heal()
    assert order(swap, "lost-reply")["status"] == "open"
    swap.patch("lost-reply", desiredState="Canceled")
    swap.wait("lost-reply", "Finished", within=60)
    assert eventually(lambda: order(swap, "lost-reply")["finish_as"] == "cancelled", within=60, what="the order is cancelled")
