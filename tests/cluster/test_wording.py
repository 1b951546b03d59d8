"""The API server refuses texts of a wrong form in the sentences that Python has for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exchange_kernel.api.order_terms import Symbol
from tests.cluster.people import a_group, an_order
from tests.unit.api.test_wording import CASES


def place(kube: Any, namespace: str, document: dict[str, Any]) -> str:
    done = kube.kubectl("--namespace", namespace, "create", "--dry-run=server", "-f", "-", stdin=json.dumps(document), check=False)
    return str(done.stderr)


@pytest.mark.parametrize(("type_", "text", "sentence"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_kubectl_tells_me_the_right_spelling(kube: Any, namespace: str, type_: Any, text: str, sentence: str) -> None:
    field = "symbol" if type_ is Symbol else "submitDeadlineTime" if sentence.startswith("write a time") or "zone" in sentence else "price"
    told = place(kube, namespace, an_order("wrong", **{field: text}))
    assert f'spec.{field}: Invalid value: "{text}": {sentence}' in told
    assert told.count("write") == 1, "one sentence"
    assert "should match" not in told, "and no regular expression"


def test_a_date_that_no_calendar_has_is_refused(kube: Any, namespace: str) -> None:
    assert "write a time as RFC 3339 does" in place(kube, namespace, an_order("wrong", submitDeadlineTime="2030-02-31T00:00:00Z"))


def test_a_member_is_told_the_same(kube: Any, namespace: str) -> None:
    members = [{"name": name, "symbol": "BTC-USDT", "side": "Sell", "type": "Limit", "quantity": ".01", "price": "90000"} for name in ("one", "two")]
    told = place(kube, namespace, a_group("wrong", members=members))
    assert 'spec.members[1].symbol: Invalid value: "BTC-USDT": write the market as ccxt does: BTC/USDT instead of BTC-USDT' in told
    assert 'spec.members[0].quantity: Invalid value: ".01": write a zero before the point: 0.01 instead of .01' in told
