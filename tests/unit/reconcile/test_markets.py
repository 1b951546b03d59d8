"""Markets as objects: written on change, slowly, and gone with the last account that needs them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.core.venue import PriceBand
from exchange_kernel.kernel.holdings import market_of
from exchange_kernel.reconcile import markets
from exchange_kernel.reconcile.markets import MarketPublisher, market_name, market_spec
from exchange_kernel.stores.port import MarketRecord, Unavailable
from tests.builders import a_market
from tests.scripted import World, an_account_record, until
from tests.unit.interleavings.stories import story

TYPES = ("Market", "Limit")
MANY = {f"C{number}/USDT": a_market(symbol=f"C{number}/USDT", base=f"C{number}") for number in range(40)}


class Markets:
    """What the API server would keep."""

    def __init__(self) -> None:
        self.records: dict[str, MarketRecord] = {}
        self.writes, self.reachable = [], True

    def _put(self, record):
        self.writes.append((asyncio.get_running_loop().time(), record.name))
        self.records[record.name] = record
        return True

    async def list_all(self, namespace):
        return tuple(self.records.values()) if self.reachable else Unavailable("away")

    async def create(self, account, name, spec):
        return name not in self.records and self._put(MarketRecord(uid=name, namespace=account.namespace, name=name, resource_version="1", spec=spec, owners={account.uid: account.name}))

    async def write(self, old, new):
        return self.records[old.name] == old and self._put(new)

    async def remove(self, record):
        self.records.pop(record.name)
        return True


def symbols(store: Markets) -> set[str]:
    return {record.spec.symbol for record in store.records.values()}


def lists(world: World, listed) -> None:
    """The exchange has these markets from now on."""
    async def markets(*, reload=False):
        return dict(listed)

    world.exchange.markets, world.desk.session.term.markets = markets, listed


async def publishing(world: World, listed, store: Markets | None = None) -> Markets:
    store, session = store or Markets(), world.desk.session
    lists(world, listed)
    session.track(MarketPublisher(session, store).keep(session.term))
    return store


def test_all_open_markets_are_written_a_few_a_second_and_then_nothing_more():
    async def tell(world):
        store = await publishing(world, MANY | {"OLD/USDT": a_market(symbol="OLD/USDT", active=False)})
        await until(lambda: symbols(store) == set(MANY))
        times = [at for at, _ in store.writes]
        assert len(times) == 40
        assert times[-1] - times[0] > 8
        await asyncio.sleep(60)                                     # each sweep reads them
        assert len(store.writes) == 40

    story(tell)


def test_what_changes_is_written_alone_and_a_market_that_closes_says_so():
    async def tell(world):
        store = await publishing(world, MANY)
        await until(lambda: len(store.writes) == 40)
        lists(world, MANY | {"C7/USDT": replace(MANY["C7/USDT"], active=False), "C8/USDT": replace(MANY["C8/USDT"], price_step=Decimal("0.5"))})
        await until(lambda: len(store.writes) == 42)
        changed = {record.spec.symbol: record.spec for record in store.records.values()}
        assert (changed["C7/USDT"].active, changed["C8/USDT"].price_step) == (False, Decimal("0.5"))
        await asyncio.sleep(30)
        assert len(store.writes) == 42
        lists(world, {symbol: market for symbol, market in MANY.items() if symbol != "C9/USDT"})
        await until(lambda: "C9/USDT" not in symbols(store), within=20)

    story(tell)


def test_symbols_narrow_them_and_another_accounts_stay():
    async def tell(world):
        store = await publishing(world, MANY)
        await until(lambda: len(store.writes) == 40)
        shared = next(record for record in store.records.values() if record.spec.symbol == "C3/USDT")
        store.records[shared.name] = replace(shared, owners={**shared.owners, "other": "other"})
        account = world.desk.session.account
        world.accounts.put(replace(account, generation=2, spec=account.spec.model_copy(update={"symbols": ["C1/USDT"]})))
        await until(lambda: symbols(store) == {"C1/USDT", "C3/USDT"}, within=60)
        assert store.records[shared.name].owners == {"other": "other"}

    story(tell)


def test_what_could_not_be_written_is_tried_again():
    async def tell(world):
        store = Markets()
        store.reachable = False
        await publishing(world, MANY, store)
        await asyncio.sleep(20)
        store.reachable = True
        await until(lambda: symbols(store) == set(MANY))

    story(tell)


@pytest.mark.parametrize(("market", "want"), [
    (a_market(), (None, None, None)),
    (a_market(symbol="BTC/USDT:USDT", contract_size=Decimal("0.001")), ("USDT", "Linear", Decimal("0.001"))),
    (a_market(symbol="BTC/USD:BTC", quote="USD", contract_size=Decimal(100)), ("BTC", "Inverse", Decimal(100))),
])
def test_contracts_say_what_they_are_of(market, want):
    spec = market_spec(an_account_record(), market, TYPES)
    assert (spec.settle, spec.contract_type, spec.contract_size) == want


def test_names_are_readable_and_differ_for_all_that_makes_another_market():
    account, market = an_account_record(), a_market()
    names = {market_name(market_spec(account, market, TYPES))}
    assert names == {"binance-btc-usdt-" + names.copy().pop()[-8:]}
    for other in (an_account_record(marketType="Margin"), an_account_record(endpoint={"rest": "http://localhost"}), an_account_record(exchange="bybit"), an_account_record(environment="Live")):
        names.add(market_name(market_spec(other, market, TYPES)))
    names.add(market_name(market_spec(account, a_market(symbol="BTC/USDT:USDT"), TYPES)))
    assert len(names) == 6
    assert all(len(name) <= markets.MAX_SLUG + 9 for name in names)


def test_a_market_object_has_what_the_adapter_offers_and_the_market_has():
    band = PriceBand(Decimal("0.2"), Decimal(5))
    rules = a_market(order_types=frozenset({"Limit", "StopLimit"}), post_only=False, native_groups=frozenset({"OneCancelsOther"}), sell_band=band, max_trigger_orders=5)
    spec = market_spec(an_account_record(), rules, {"Limit", "Market"})
    assert (spec.order_types, spec.post_only, spec.native_groups, spec.max_trigger_orders) == (["Limit"], False, ["OneCancelsOther"], 5)
    known = market_of(spec).rules
    assert (known.order_types, known.sell_band, known.buy_band, known.native_groups) == ({"Limit"}, band, None, {"OneCancelsOther"})
