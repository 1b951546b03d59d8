"""What is known of each venue, as data: published whole, and kept by our own ids."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from exchange_kernel.api.exchange_account import AccountCapabilities
from exchange_kernel.core.identity import encode, order_id
from exchange_kernel.core.venue import Capabilities
from exchange_kernel.exchanges.ccxt.dialect import Dialect
from exchange_kernel.exchanges.ccxt.dialects import DIALECTS
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.rows import ROWS
from exchange_kernel.reconcile.exchange_account import _capabilities
from tests.builders import a_venue

VENUES: list[Dialect | Row] = [*DIALECTS.values(), *ROWS.values()]
EVERY = pytest.mark.parametrize("venue", VENUES, ids=[f"{venue.exchange_id}-{venue.market_type}" for venue in VENUES])


@EVERY
def test_our_ids_are_of_the_form_the_venue_takes(venue: Dialect | Row) -> None:
    known = venue.capabilities
    for number in range(100):
        ours = encode(order_id("a1b2c3", uid=f"uid-{number}", attempt=1), known.client_order_id_codec)
        assert len(ours) <= known.client_order_id_max_length
        assert re.fullmatch(known.client_order_id_pattern or ".*", ours)


@EVERY
def test_the_shortest_retention_is_what_proofs_use(venue: Dialect | Row) -> None:
    known = venue.capabilities
    assert known.retention_filled_ms is None or known.retention_filled_ms >= known.retention_ms
    assert (known.request_expiry_parameter is None) == (known.request_window_ms == 0)


@EVERY
def test_what_is_known_is_published(venue: Dialect | Row) -> None:
    published = _capabilities(venue.capabilities)
    assert published.max_batch_create == venue.capabilities.max_batch_create
    assert AccountCapabilities.model_validate(published.model_dump()) == published, "the API server's rules, too"


#: Where the published name is another one, for units or for the reader's sake.
NAMES = {
    "lookup_delay_ms": "lookup_delay_milliseconds", "request_window_ms": "request_window_milliseconds", "accepts_ahead_ms": "accepts_ahead_milliseconds",
    "retention_ms": "retention_seconds", "retention_filled_ms": "filled_retention_seconds", "orders_horizon_ms": "order_history_seconds",
    "trades_horizon_ms": "trade_history_seconds", "trigger_prices": "trigger_price_types",
}


def test_nothing_that_is_known_stays_unpublished() -> None:
    known = {NAMES.get(field.name, field.name) for field in fields(Capabilities)}
    assert known == set(AccountCapabilities.model_fields)


def test_what_is_published_is_what_is_known() -> None:
    published = _capabilities(a_venue(
        retention_ms=7_200_000, retention_filled_ms=86_400_000, orders_horizon_ms=604_800_000, trades_horizon_ms=None, client_order_id_pattern="[a-z]{1,9}",
        request_expiry_parameter="recvWindow", max_batch_create=5, max_batch_cancel=10, dead_man_switch=True, max_open_orders_listed=500,
    ))
    assert (published.retention_seconds, published.filled_retention_seconds, published.order_history_seconds) == (7200, 86_400, 604_800)
    assert (published.trade_history_seconds, published.client_order_id_pattern, published.request_expiry_parameter) == (None, "[a-z]{1,9}", "recvWindow")
    assert (published.max_batch_create, published.max_batch_cancel, published.dead_man_switch, published.max_open_orders_listed) == (5, 10, True, 500)
    assert _capabilities(a_venue(client_order_id_pattern="")).client_order_id_pattern is None
