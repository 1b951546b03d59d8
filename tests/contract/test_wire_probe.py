"""What reaches the wire, measured in bytes: by ccxt's defaults for the exchanges the table of dialects is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange_kernel.exchanges.ccxt.probe import ID, Arrival, find_id, find_number, find_side, probe

FIELDS = ("id", "price", "quantity", "side")
ALL = (Arrival.ARRIVES,) * 4
NOTHING = (Arrival.FAILED,) * 4


@pytest.mark.parametrize(("exchange_id", "create", "cancel", "lookup", "reason"), [
    ("binance", ALL, Arrival.ARRIVES, Arrival.ARRIVES, ""),
    ("binanceusdm", ALL, Arrival.ARRIVES, Arrival.ARRIVES, ""),
    ("okx", ALL, Arrival.ARRIVES, Arrival.ARRIVES, ""),
    ("kraken", ALL, Arrival.ARRIVES, Arrival.ARRIVES, "though the lookup writes it as the number it is not (userref)"),
    ("krakenfutures", ALL, Arrival.UNMAPPED, Arrival.UNMAPPED, "by its own id only"),
    ("mexc", ALL, Arrival.ARRIVES, Arrival.ARRIVES, ""),
    ("bitfinex", ALL, Arrival.FAILED, Arrival.FAILED, "the id must be a number there"),
    ("coinbase", (Arrival.DROPPED, *ALL[1:]), Arrival.UNMAPPED, Arrival.UNMAPPED, "ccxt writes an id of its own"),
    ("cryptocom", (Arrival.DROPPED, *ALL[1:]), Arrival.UNMAPPED, Arrival.UNMAPPED, ""),
    ("deribit", (Arrival.UNMAPPED, *ALL[1:]), Arrival.UNMAPPED, Arrival.UNMAPPED, "the venue's own name is `label`"),
    ("bybit", NOTHING, Arrival.UNMAPPED, Arrival.FAILED, "ccxt asks for the kind of account first"),
    ("gate", NOTHING, Arrival.FAILED, Arrival.FAILED, "ccxt asks for the kind of account first"),
    ("kucoin", NOTHING, Arrival.FAILED, Arrival.FAILED, "ccxt asks for the kind of account first"),
    ("bitget", NOTHING, Arrival.FAILED, Arrival.FAILED, "ccxt asks for the kind of account first"),
    ("htx", NOTHING, Arrival.ARRIVES, Arrival.ARRIVES, "ccxt asks for the account's number first"),
    ("hyperliquid", NOTHING, Arrival.FAILED, Arrival.ARRIVES, "ccxt would approve a fee for its builder first"),
])
def test_what_reaches_the_wire_by_ccxts_defaults(exchange_id: str, create: tuple[Arrival, ...], cancel: Arrival, lookup: Arrival, reason: str) -> None:
    report = probe(exchange_id)
    assert (tuple(report.create[name] for name in FIELDS), report.cancel, report.lookup) == (create, cancel, lookup), reason
    assert report.arrives == (create == ALL)


def test_the_page_tells_of_every_exchange_that_ccxt_ships() -> None:
    import ccxt.async_support as ccxt

    page = (Path(__file__).parents[2] / "docs/reference/exchanges.md").read_text()
    assert all(f"\n| {exchange_id} | " in page for exchange_id in ccxt.exchanges)


@pytest.mark.parametrize(("url", "body", "arrival"), [
    ("https://v/o", f'{{"cl": "{ID}"}}', Arrival.ARRIVES),
    (f"https://v/o?id={ID}&x=1", "", Arrival.ARRIVES),
    (f"https://v/o/{ID}", "", Arrival.ARRIVES),
    ("https://v/o", f'{{"orders": [{{"cl": "{ID}"}}]}}', Arrival.ARRIVES),
    ("https://v/o", f"a=1&cl={ID}", Arrival.ARRIVES),
    ("https://v/o", f'{{"cl": "t-{ID}"}}', Arrival.CHANGED),
    ("https://v/o", f'{{"clientOrderId": "{ID}"}}', Arrival.UNMAPPED),
    ("https://v/o", '{"cl": "ccxt-123"}', Arrival.DROPPED),
    ("https://v/o", "", Arrival.DROPPED),
])
def test_an_id_is_looked_for_wherever_a_request_has_room(url: str, body: str, arrival: Arrival) -> None:
    assert find_id(f"{url}\n{body}\n".encode(), ID) is arrival


def test_numbers_are_looked_for_by_value_and_sides_by_the_difference_they_make() -> None:
    request = b'https://v/o\n{"px": "31234.50", "sz": 12.5, "n": "1.25"}\n'
    assert find_number(request, "31234.5") is find_number(request, "12.5") is Arrival.ARRIVES
    assert find_number(request, "31234.6") is Arrival.DROPPED, "rounded is not unchanged"
    assert find_side(b'https://v/o\n{"b": true}\n', b'https://v/o\n{"b": false}\n') is Arrival.ARRIVES
    signed = [b'https://v/o\n{"signature": "%s"}\n' % (letter * 64) for letter in (b"a", b"b")]
    assert find_side(*signed) is Arrival.DROPPED, "another signature is no other side"
