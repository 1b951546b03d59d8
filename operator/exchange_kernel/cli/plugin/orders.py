"""`kubectl exchange orders`: OrderIntents as a table, and with --watch as a live view."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.live import Live

from exchange_kernel.api import OrderIntent, OrderState
from exchange_kernel.cli.plugin.cluster import Body, Cluster, Expired, Unreachable
from exchange_kernel.cli.plugin.command import command, complete_accounts
from exchange_kernel.cli.plugin.output import Output, OutputFlag, console, objects_table, print_document, print_objects
from exchange_kernel.cli.plugin.reading import selectors
from exchange_kernel.kube.client import ORDER_INTENTS

Account = Annotated[str | None, typer.Option(help="Only orders on this ExchangeAccount.", autocompletion=complete_accounts)]
Symbol = Annotated[str | None, typer.Option(help="Only orders on this market, as ccxt writes it: BTC/USDT.")]
Strategy = Annotated[str | None, typer.Option(help="Only orders with this value of the label exchange-kernel.io/strategy.")]
AGAIN_S = 1.0


@command(everywhere=True)
def orders(
    cluster: Cluster,
    account: Account = None,
    symbol: Symbol = None,
    state: Annotated[list[OrderState] | None, typer.Option(help="Only orders in this state; may be given several times.")] = None,
    strategy: Strategy = None,
    output: OutputFlag = Output.TABLE,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing what changes, until Ctrl-C.")] = False,
) -> None:
    """List orders, newest last."""
    query = selectors(account=account, symbol=symbol, strategy=strategy)
    listing = _Listing(cluster, query, frozenset(state or ()))
    listing.read()
    if not watch:
        if not listing.shown and output in (Output.TABLE, Output.WIDE):
            typer.echo(f"No orders found{'' if cluster.everywhere else f' in namespace {cluster.namespace}'}.", err=True)
        else:
            print_objects(OrderIntent, listing.shown, output, namespaced=cluster.everywhere)
    elif sys.stdout.isatty() and output in (Output.TABLE, Output.WIDE):
        _live(listing, wide=output is Output.WIDE)
    else:
        _stream(listing, output)


class _Listing:
    """The orders that match, kept up to date by a watch."""

    def __init__(self, cluster: Cluster, query: dict[str, str], states: frozenset[OrderState]) -> None:
        self.cluster, self._query, self._states = cluster, query, states
        self._objects: dict[str, Body] = {}
        self._version, self._away = "", False

    def read(self) -> None:
        found, self._version = self.cluster.listed(ORDER_INTENTS, self._query)
        self._objects = {raw["metadata"]["uid"]: raw for raw in found}

    @property
    def shown(self) -> list[Body]:
        matching = [raw for raw in list(self._objects.values()) if self._matches(raw)]  # a copy: the live view draws from a thread of its own
        return sorted(matching, key=lambda raw: (raw["metadata"]["creationTimestamp"], raw["metadata"]["name"]))

    def follow(self) -> Iterator[Body]:
        """Take in one round of the watch, and yield each object that changed and matches; an API server that is away is waited for."""
        try:
            yield from self._round()
        except Expired:
            before = {uid: raw["metadata"]["resourceVersion"] for uid, raw in self._objects.items()}
            self.read()
            yield from (raw for raw in self.shown if before.get(raw["metadata"]["uid"]) != raw["metadata"]["resourceVersion"])
        except Unreachable as away:
            if not self._away:
                typer.echo(f"{away} Trying again.", err=True)
            self._away = True
            time.sleep(AGAIN_S)

    def _round(self) -> Iterator[Body]:
        for event in self.cluster.changes(ORDER_INTENTS, self._version, self._query):
            self._away, raw = False, event["object"]
            uid, self._version = raw["metadata"]["uid"], raw["metadata"]["resourceVersion"]
            if event["type"] == "DELETED":
                self._objects.pop(uid, None)
            else:
                self._objects[uid] = raw
            if self._matches(raw):
                yield raw

    def _matches(self, raw: Body) -> bool:
        return not self._states or (raw.get("status") or {}).get("state") in self._states


def _live(listing: _Listing, *, wide: bool) -> None:
    def view() -> object:
        return objects_table(OrderIntent, listing.shown, wide=wide, namespaced=listing.cluster.everywhere)

    with Live(get_renderable=view, console=console(), refresh_per_second=4):  # type: ignore[arg-type]
        while True:
            for _ in listing.follow():
                pass


def _stream(listing: _Listing, output: Output) -> None:
    """For a pipe: all that there is, then each that changes, a line or a document each."""
    first = True
    waiting = listing.shown
    while True:
        for raw in waiting:
            _print_one(raw, output, header=first, namespaced=listing.cluster.everywhere)
            first = False
        sys.stdout.flush()
        waiting = []
        for changed in listing.follow():
            _print_one(changed, output, header=first, namespaced=listing.cluster.everywhere)
            first = False
            sys.stdout.flush()


def _print_one(raw: Body, output: Output, *, header: bool, namespaced: bool) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(raw, ensure_ascii=False))
    elif output is Output.YAML:
        typer.echo("---")
        print_document(raw, as_yaml=True)
    elif output is Output.NAME:
        print_objects(OrderIntent, [raw], output, namespaced=namespaced)
    else:
        made = objects_table(OrderIntent, [raw], wide=output is Output.WIDE, namespaced=namespaced)
        made.show_header = header
        console().print(made)
