"""A market is halted, changes its steps and leaves the list, on a real API server with the operator and the exchange as processes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support import eventually

REST = {"symbol": "ETH/USDT", "type": "Limit", "price": "1500.13", "quantity": "0.1234"}
AS_IT_WAS = {"status": "TRADING", "listed": True, "tick": "0.01", "step": "0.0001", "minQuantity": "0.0001"}


@pytest.fixture
def change(trading: Any) -> Iterator[Any]:
    """Change the market at the exchange; it is as before in the end."""

    def changed(**changes: Any) -> None:
        trading.exchange._call("POST", "/market", {"change": {"symbol": "ETH/USDT", **changes}})

    yield changed
    changed(**AS_IT_WAS)


def waits(trading: Any, name: str, reason: str) -> None:
    eventually(lambda: trading.condition(name, "Ready").get("reason") == reason, within=60, what=f"{name} waits: {reason}")


def test_my_order_waits_for_the_market_to_open_and_the_next_one_is_rounded_by_its_new_steps(trading, change):
    change(status="BREAK", tick="0.5", step="0.01", minQuantity="0.01")
    trading.place("waits", **REST)
    waits(trading, "waits", "MarketHalted")
    assert trading.status("waits")["state"] == "Pending"
    change(status="TRADING")
    status = trading.await_state("waits", "Open", within=60)
    (order,) = trading.exchange.orders(status["clientOrderId"])
    assert (Decimal(order["origQty"]), Decimal(order["price"])) == (Decimal("0.12"), Decimal("1500.0"))
    assert [attempt["stage"] for attempt in status["attempts"]] == ["Refused", "Live"]
    assert status["attempts"][0]["refusal"] == "MarketClosed"
    trading.run("delete", "oi", "waits", "--wait=false")
    trading.await_gone("waits")


def test_my_order_s_market_leaves_the_list_and_i_delete_it_all_the_same(trading, change):
    trading.place("stays", **REST)
    status = trading.await_state("stays", "Open")
    assert status["market"]["id"] == "ETHUSDT"
    change(listed=False)
    trading.place("asks", **REST | {"quantity": "0.2"})      # its refusal has the list read again
    assert trading.await_state("asks", "Rejected", "Denied", within=60)["state"]
    waits(trading, "stays", "MarketGone")
    trading.exchange.fill(status["clientOrderId"], "0.02")
    assert Decimal(trading.await_state("stays", "PartiallyFilled")["filledQuantity"]) == Decimal("0.02")
    trading.run("delete", "oi", "stays", "--wait=false")
    trading.await_gone("stays")
    (order,) = trading.exchange.orders(status["clientOrderId"])
    assert order["status"] == "CANCELED"
