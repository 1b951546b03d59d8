"""What strategies read: Markets and AccountStates on the real API server, written by the operator with its own Role, and gone with their account."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import ccxt

from exchange_kernel.kernel import KubernetesKernel
from tests.cluster.operating import API_KEY, API_SECRET, Trading, settled
from tests.support import eventually

SWAP = "BTC/USDT:USDT"


def items(trading: Trading, kind: str) -> list[dict[str, Any]]:
    return list(json.loads(trading.run("get", kind, "-o", "json"))["items"])


def state(trading: Trading, name: str = "main") -> dict[str, Any]:
    return dict(json.loads(trading.run("get", "acct", name, "-o", "json"))["status"])


def balances(trading: Trading, name: str = "main") -> dict[str, Decimal]:
    return {one["asset"]: Decimal(one["free"]) + Decimal(one["locked"]) for one in state(trading, name).get("balances", ())}


def turn_hedge_mode_on(rest: str) -> None:
    venue = ccxt.gate({"apiKey": API_KEY, "secret": API_SECRET, "enableRateLimit": False})
    venue.urls["api"]["private"]["futures"] = f"{rest}/api/v4"
    venue.private_futures_post_settle_dual_mode({"settle": "usdt", "dual_mode": True})


def test_markets_and_the_account_are_told_follow_a_fill_and_go_with_the_account(desk):
    desk.start()
    trading = desk.trading
    trading.await_account()
    markets = eventually(lambda: len(found := items(trading, "mkt")) == 2 and found, within=60, what="both markets are written")
    btc = next(one["spec"] for one in markets if one["spec"]["symbol"] == "BTC/USDT")
    assert (btc["exchange"], btc["environment"], btc["base"], btc["quote"], btc["active"]) == ("binance", "Simulated", "BTC", "USDT", True)
    assert Decimal(btc["quantityStep"]) > 0
    assert Decimal(btc["priceStep"]) > 0
    assert "contractSize" not in btc
    eventually(lambda: balances(trading) == {"BTC": 100, "ETH": 1000, "USDT": 5000000}, within=60, what="the balances are told")
    before = state(trading)
    assert [(one["symbol"], one["side"], Decimal(one["quantity"])) for one in before["positions"]] == [("BTC/USDT", "Long", 100), ("ETH/USDT", "Long", 1000)]

    trading.place("buy", quantity="0.02")
    trading.wait("buy", "Succeeded")
    fill = trading.status("buy")["fills"][-1]
    paid = sum(Decimal(one["fee"]["amount"]) for one in trading.status("buy")["fills"] if one["fee"]["asset"] == "BTC")
    after = eventually(lambda: balances(trading)["BTC"] == 100 + Decimal("0.02") - paid and (found := state(trading))["settled"] and found, within=60, what="the fill is in it")
    assert after["sequence"] > before["sequence"]
    assert datetime.fromisoformat(before["answerTime"]) < datetime.fromisoformat(fill["time"]) < datetime.fromisoformat(after["time"])
    assert after["reconciliation"]["unknownOrders"] == 0

    def written() -> list[str]:
        return [one["metadata"]["resourceVersion"] for kind in ("mkt", "acct") for one in items(trading, kind)]

    versions = settled(written)
    sweeps = trading.exchange.requests()
    eventually(lambda: sum(trading.exchange.requests().values()) > sum(sweeps.values()) + 6, within=60, what="some more sweeps")
    assert written() == versions, "an idle account costs no write"

    for column in ("SYMBOL", "PRICESTEP", "MINNOTIONAL"):
        assert column in trading.run("get", "mkt")
    assert "POSITIONS" in trading.run("get", "acct")
    trading.run("delete", "xa", "main", "--timeout=60s")
    eventually(lambda: not items(trading, "mkt") and not items(trading, "acct"), within=60, what="they go with their account")


def test_a_perpetual_account_in_hedge_mode_shows_both_positions_and_what_a_contract_is_of(desk, kube):
    turn_hedge_mode_on(desk.exchange.rest)
    desk.start()
    trading = desk.trading
    trading.open_account("swap", exchange="gate", marketType="Swap", endpoint={"rest": trading.exchange.rest}, resyncSeconds=5, symbols=[SWAP])
    trading.await_account("swap")
    (market,) = eventually(lambda: [one["spec"] for one in items(trading, "mkt") if one["spec"]["exchange"] == "gate"], within=60, what="the contract is written")
    assert (market["symbol"], market["settle"], market["contractType"]) == (SWAP, "USDT", "Linear")
    for name, side, position, quantity in (("long", "Buy", "Long", "5"), ("short", "Sell", "Short", "3")):
        trading.place(name, accountRef={"name": "swap"}, symbol=SWAP, side=side, positionSide=position, quantity=quantity)
        trading.wait(name, "Succeeded", within=60)

    def held() -> dict[str, tuple[Decimal, str]]:
        return {one["side"]: (Decimal(one["quantity"]), one["contractSize"]) for one in state(trading, "swap").get("positions", ()) if one["symbol"] == SWAP}

    eventually(lambda: held() == {"Long": (5, market["contractSize"]), "Short": (3, market["contractSize"])}, within=60, what="both positions are told")

    async def in_the_strategy_s_terms() -> list[tuple[str, Decimal, Decimal | None]]:
        kernel = KubernetesKernel("swap", namespace=trading.namespace, kubeconfig=kube.kubeconfig)
        await kernel.start()
        try:
            market = await kernel.get_symbol_metadata(SWAP)
            assert (market.settle_asset_id, str(market.market_type)) == ("USDT", "Swap")
            return [(str(one.side), one.quantity, one.contract_size) for one in await kernel.get_positions(SWAP)]
        finally:
            await kernel.stop()

    size = Decimal(market["contractSize"])
    assert asyncio.run(in_the_strategy_s_terms()) == [("Long", 5, size), ("Short", 3, size)]
