"""The one request on its way: what may pass, what is known of it afterwards, and where addresses lead."""

from __future__ import annotations

from typing import Any

import pytest

from exchange_kernel.exchanges.ccxt.wire import STAMP, ShutGate, WireCall, json_or_none, rebase, wired
from exchange_kernel.exchanges.port import Closed


class Gate:
    def __init__(self, *, stamp: int | Closed = 5, check: Closed | None = None) -> None:
        self._stamp, self._check = stamp, check

    def stamp(self) -> int | Closed:
        return self._stamp

    def check(self, stamp: int) -> Closed | None:
        assert stamp == self._stamp
        return self._check


def test_a_call_is_signed_with_its_stamp_and_only_while_it_is_signed() -> None:
    call = WireCall(Gate(), sign=lambda: {"stamp": STAMP.get()})
    assert call.signed_now() == {"stamp": 5}
    assert STAMP.get() == 0


@pytest.mark.parametrize(("call", "why"), [
    (WireCall(Gate(check=Closed("shut"))), "shut"),
    (WireCall(Gate(), abandoned=True), "the request was withdrawn before it was written"),
])
def test_what_does_not_pass_is_known_not_to_be_written(call: WireCall, why: str) -> None:
    call.sign = dict
    call.signed_now()
    with pytest.raises(ShutGate):
        call.pass_gate()
    assert not call.written
    assert call.shut == Closed(why)


def test_a_call_passes_once() -> None:
    call = WireCall(None)
    call.pass_gate()
    assert call.written
    assert call.written_at > 0
    with pytest.raises(RuntimeError, match="written once"):
        call.pass_gate()


def test_a_stamp_that_is_refused_is_not_signed() -> None:
    call = WireCall(Gate(stamp=Closed("no lease")), sign=lambda: pytest.fail("signed"))
    with pytest.raises(ShutGate, match="no lease"):
        call.signed_now()


@pytest.mark.parametrize(("content", "document"), [
    (b'{"a": 1}', {"a": 1}), (b"[1]", [1]), (b"", None), (b"null", None), (b"1", None), (b'"text"', None), (b"<html>", None), (b'{"a": 1', None),
    (b'{"a": NaN}', None), (b"\xff", None),
])
def test_json_is_an_object_or_a_list(content: bytes, document: Any) -> None:
    assert json_or_none(content) == document


def test_other_bases_go_in_front_of_the_venues_own_paths() -> None:
    urls = {"public": "https://api.venue.com/api/v3", "old": None, "ws": {"spot": "wss://stream.venue.com:9443/ws"}}
    assert rebase(urls, "http://here:1/", "ws://there:2/x") == {"public": "http://here:1/api/v3", "old": None, "ws": {"spot": "ws://there:2/x/ws"}}
    assert rebase(urls, None, None) == urls


def test_ccxts_class_is_the_pinned_one_with_another_way_out() -> None:
    import ccxt.pro

    cls = wired("binance")
    assert cls is wired("binance")
    assert issubclass(cls, ccxt.pro.binance)
    assert ccxt.__version__ == "4.5.90"
    assert cls.number is str
    exchange = cls({"apiKey": "a", "secret": "b", "enableRateLimit": False})
    assert exchange.nonce() == exchange.milliseconds() == 0, "an unstamped signature is one that every venue refuses"
    token = STAMP.set(1_800_000_000_000)
    signed = exchange.sign("order", ["private"], "POST", {"symbol": "BTCUSDT", "newClientOrderId": "a"})
    STAMP.reset(token)
    assert "timestamp=1800000000000" in signed["body"]
