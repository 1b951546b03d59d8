"""Keys that are damaged, or of another kind than the venue issues: told as what they are, before anything is sent, and never as a silent network."""

from __future__ import annotations

from typing import Any

import pytest

from exchange_kernel.core.answers import MALFORMED, NotSent, Refused
from exchange_kernel.exchanges.ccxt import open_venue
from exchange_kernel.exchanges.ccxt.rows import ROWS
from exchange_kernel.exchanges.port import CannotOpen, Credentials
from tests.contract.fake_venue import API_KEY, fake_venue
from tests.contract.test_ccxt_adapter import Gate, a_request, connected
from tests.contract.test_rows import connected as connected_row
from tests.contract.test_sandboxes import KEYS

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n-----END PRIVATE KEY-----"
UNSIGNED = "no request can be signed with the credentials"


async def test_my_private_key_lost_its_end_when_i_pasted_it_and_i_am_told_so() -> None:
    async with connected(credentials=Credentials({"apiKey": API_KEY, "secret": PEM})) as (exchange, venue):
        assert await exchange.fingerprint() == Refused(MALFORMED, UNSIGNED)
        outcome = await exchange.submit(a_request(), Gate())
        assert isinstance(outcome, NotSent), outcome
        assert outcome.reason == UNSIGNED
        assert not [call for call in venue.received if call.path not in ("/api/v3/time", "/api/v3/exchangeInfo")], "nothing was sent"


@pytest.mark.parametrize(("row", "broken"), [
    (("kraken", "spot"), {"secret": "not base64!"}), (("bybit", "spot"), {"secret": PEM}), (("coinbase", "spot"), {"secret": PEM}),
], ids=lambda value: value[0] if isinstance(value, tuple) else "")
async def test_a_key_of_another_venues_kind_is_told_whoever_signs(row: tuple[str, str], broken: dict[str, str]) -> None:
    async with connected_row(ROWS[row]) as (exchange, venue):
        venue.received.clear()
        for name, value in broken.items():
            setattr(exchange._ccxt, name, value)
        assert await exchange.fingerprint() == Refused(MALFORMED, UNSIGNED)
        assert not venue.received


@pytest.mark.parametrize("key", ["0xzz", "", "0x" + "1" * 63, "my seed phrase"])
async def test_a_wallets_key_that_is_none_is_told_before_an_order_needs_it(key: str) -> None:
    async with fake_venue() as venue:
        values: dict[str, Any] = {**KEYS.values, "privateKey": key or " "}
        with pytest.raises(CannotOpen) as refused:
            open_venue(ROWS["hyperliquid", "swap"], environment="Live", credentials=Credentials(values), rest=venue.rest, websocket=None, ca_pem=None,
                       requests_per_second=None, cancel_reserve_percent=10)
        assert refused.value.by_credentials
        assert key == "" or key not in str(refused.value)
