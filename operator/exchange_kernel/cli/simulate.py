"""`exchange-kernel simulate`: the simulated exchange as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from exchange_kernel.exchanges.simulated import Served, Settings
    from exchange_kernel.exchanges.simulated.commands import Fault


def simulate(
    symbols: Annotated[str, typer.Option(help="Markets, as BASE/QUOTE, with commas between them.")] = "BTC/USDT,ETH/USDT",
    contracts: Annotated[str, typer.Option(help="Perpetual contracts, as BASE/USDT:USDT, with commas between them.")] = "BTC/USDT:USDT,ETH/USDT:USDT",
    host: Annotated[str, typer.Option(help="Address to listen on. It has no TLS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of REST and websocket; 0 picks a free one.")] = 0,
    control_port: Annotated[int, typer.Option(help="Port of /control, which answers even when the venue is silent; 0 picks a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the market's walk.")] = 0,
    api_key: Annotated[str, typer.Option(envvar="EXCHANGE_KERNEL_SIM_API_KEY", help="Key of the account.")] = "simulated-api-key",
    api_secret: Annotated[str, typer.Option(envvar="EXCHANGE_KERNEL_SIM_API_SECRET", help="Its secret.")] = "simulated-api-secret",
    balance: Annotated[list[str] | None, typer.Option(help="ASSET=AMOUNT of the account; may be given several times. What isn't named is ample.")] = None,
    order_types: Annotated[list[str] | None, typer.Option(
        help="BASE/QUOTE=TYPE,… in the exchange's words: the order types that a market has. What isn't named has all.")] = None,
    maker_fee: Annotated[str, typer.Option(help="Fee of resting orders, as a fraction of what they receive.")] = "0.001",
    taker_fee: Annotated[str, typer.Option(help="Fee of taking orders, likewise.")] = "0.001",
    market_maker: Annotated[bool, typer.Option(help="Quote and trade around a price that wanders.")] = True,
    tick_ms: Annotated[int, typer.Option(help="How often the market moves.", min=1)] = 500,
    visibility_delay_ms: Annotated[int, typer.Option(help="How long after its acceptance an order or trade shows in lookups.", min=0)] = 0,
    weight_limit: Annotated[int, typer.Option(help="Request weight a minute.", min=1)] = 6000,
    order_limit: Annotated[int, typer.Option(help="Unfilled orders of an account in ten seconds.", min=1)] = 10_000,
    fault: Annotated[list[str] | None, typer.Option(
        help="What goes wrong from the start: a name with ,key=value behind it, or JSON as /control/faults takes it; may be given several times.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Write {pid, port, rest, websocket, control, uid} here once it listens.")] = None,
) -> None:
    """Run a simulated exchange that speaks Binance spot's API, and beside it Gate's for perpetual contracts, until SIGTERM."""
    import uvloop

    from exchange_kernel.exchanges.simulated import Settings
    from exchange_kernel.exchanges.simulated.perpetual.contracts import contract
    from exchange_kernel.exchanges.simulated.presets import read_fault
    from exchange_kernel.exchanges.simulated.symbols import symbol

    markets = _markets(symbols, symbol, "--symbols")
    perpetuals = _markets(contracts, contract, "--contracts")
    try:
        faults = [read_fault(one) for one in fault or ()]
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--fault") from None
    settings = Settings(
        symbols=markets, contracts=perpetuals, seed=seed, api_key=api_key, api_secret=api_secret,
        balances=dict(_balance(one) for one in balance or ()), maker_fee=_decimal(maker_fee, "--maker-fee"), taker_fee=_decimal(taker_fee, "--taker-fee"),
        order_types=dict(_types(one) for one in order_types or ()),
        market_maker=market_maker, visibility_delay_ms=visibility_delay_ms, weight_limit=weight_limit, order_limit=order_limit,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, host, port, control_port, tick_ms / 1000, faults, ready_file))


async def _serve(settings: Settings, host: str, port: int, control_port: int, tick_seconds: float, faults: list[Fault], ready_file: Path | None) -> None:
    from exchange_kernel.exchanges.simulated import SimulatedExchange, serve

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(SimulatedExchange(settings), host=host, port=port, control_port=control_port, tick_seconds=tick_seconds, faults=faults) as served:
        _announce(served, ready_file)
        await stop.wait()


def _announce(served: Served, ready_file: Path | None) -> None:
    if ready_file is not None:
        ready_file.write_text(json.dumps({
            "pid": os.getpid(), "port": served.port, "rest": served.rest, "websocket": served.websocket, "control": served.control,
            "uid": served.exchange.user.uid,
        }))
    typer.echo(f"The simulated exchange is up: {served.rest} and {served.websocket}, control at {served.control}")


def _markets(text: str, market: Callable[[str], object], option: str) -> list[str]:
    """Each is one that the exchange can make, or the option is refused with its words."""
    names = [one.strip() for one in text.split(",") if one.strip()]
    try:
        for one in names:
            market(one)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint=option) from None
    return names


def _types(text: str) -> tuple[str, list[str]]:
    from exchange_kernel.exchanges.simulated.orders import OrderType

    market, separator, types = text.partition("=")
    known = [kind.value for kind in OrderType]
    if not separator or any(kind not in known for kind in types.split(",")):
        raise typer.BadParameter(f"{text!r}: write BASE/QUOTE=TYPE,TYPE with types of {', '.join(known)}", param_hint="--order-types")
    return market, types.split(",")


def _balance(text: str) -> tuple[str, Decimal]:
    asset, separator, amount = text.partition("=")
    if not asset or not separator:
        raise typer.BadParameter(f"{text!r}: write ASSET=AMOUNT, as in USDT=10000", param_hint="--balance")
    return asset, _decimal(amount, "--balance")


def _decimal(text: str, option: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise typer.BadParameter(f"{text!r} is not a number of 0 or more", param_hint=option)
    return value
