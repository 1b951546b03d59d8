"""Where a venue names no account, the key is its name: only what the venue has proved by a signature may say whose it is (rule 13)."""

from __future__ import annotations

import pytest

from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.rows import ROWS
from exchange_kernel.exchanges.ccxt.spoken import spoken
from exchange_kernel.exchanges.ccxt.wire import wired

UNNAMED = [row for row in ROWS.values() if row.account_method is None and row.numbered_account is None]
VICTIM = {"apiKey": "victims-key", "secret": "s", "password": "p", "walletAddress": "0x" + "11" * 20, "privateKey": "0x" + "22" * 32}


def name_of(row: Row, **credentials: str) -> str:
    return spoken(row, wired(row.exchange_id)({**credentials, "options": dict(row.options)})).read_account({})


def those_of(row: Row) -> dict[str, str]:
    """The credentials that the venue asks for."""
    return {name: VICTIM[name] for name, needed in wired(row.exchange_id)({}).requiredCredentials.items() if needed}


@pytest.mark.proves("rule 13")
@pytest.mark.parametrize("row", UNNAMED, ids=lambda row: f"{row.exchange_id}-{row.market_type}")
def test_i_write_your_key_or_your_wallet_into_my_secret_where_the_venue_does_not_look(row: Row) -> None:
    yours = name_of(row, **those_of(row))
    mine = {**those_of(row), **({"apiKey": "my-key"} if "apiKey" in those_of(row) else {"privateKey": "0x" + "33" * 32})}
    for said in ({}, {"walletAddress": "victims-key"}, {"walletAddress": VICTIM["walletAddress"]}, {"uid": "victims-key"}, {"login": "victims-key"}):
        assert name_of(row, **{**said, **mine}) != yours
        assert name_of(row, **{**mine, **said}) != yours


@pytest.mark.parametrize("row", UNNAMED, ids=lambda row: f"{row.exchange_id}-{row.market_type}")
def test_the_same_keys_are_the_same_account_whatever_else_the_secret_holds(row: Row) -> None:
    assert name_of(row, **those_of(row)) == name_of(row, **{**those_of(row), "uid": "7"})
    assert "22" * 16 not in name_of(row, **those_of(row))


def test_a_name_is_as_earlier_releases_made_it() -> None:
    """Another one would be another account to every object that was pinned to it."""
    assert name_of(ROWS["kraken", "spot"], apiKey="victims-key", secret="s") == "key-347c54d11c5f1e97"
