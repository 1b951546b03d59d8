"""The hosts that count as a venue's own: those to which ccxt addresses an account's requests, in that environment and no other."""

from __future__ import annotations

import pytest

from exchange_kernel.exchanges.ccxt.dialects import DIALECTS
from exchange_kernel.exchanges.ccxt.endpoints import own_hosts
from exchange_kernel.exchanges.ccxt.rows import ROWS

VENUES = sorted({exchange_id for exchange_id, _ in {**DIALECTS, **ROWS}})


@pytest.mark.parametrize("exchange_id", VENUES)
def test_every_venue_has_hosts_of_its_own_and_all_are_encrypted_and_far(exchange_id):
    hosts = own_hosts(exchange_id, "Live")
    assert hosts
    assert all(host.encrypted and not host.near and "." in host.name for host in hosts)


@pytest.mark.parametrize(("exchange_id", "environment", "name"), [
    ("binance", "Live", "api.binance.com"), ("binance", "Sandbox", "testnet.binance.vision"), ("bybit", "Live", "api.bybit.com"), ("kraken", "Live", "api.kraken.com"),
    ("okx", "Live", "www.okx.com"), ("gate", "Live", "api.gateio.ws"),
])
def test_a_known_one_is_among_them(exchange_id, environment, name):
    assert name in {host.name for host in own_hosts(exchange_id, environment)}


def test_the_sandbox_is_none_of_the_live_hosts_nor_the_other_way_round():
    live, sandbox = ({host.name for host in own_hosts("binance", environment)} for environment in ("Live", "Sandbox"))
    assert "testnet.binance.vision" not in live
    assert "api.binance.com" not in sandbox


def test_a_venue_without_a_sandbox_has_no_hosts_there():
    assert own_hosts("kraken", "Sandbox") == ()
