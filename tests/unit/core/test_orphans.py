"""Whose is an open order at the exchange? (rule 12)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from exchange_kernel.core.identity import encode, keyed_order_id, member_order_id, order_id
from exchange_kernel.core.orphans import confirm, explain, sort
from tests.builders import T0, a_report, a_spec, an_attempt, an_order, when

OWNER, KEY = "aaaaaa", {"idempotencyKey": "entry", "submitDeadlineTime": "2027-06-01T00:00:00Z"}
FINISHED = {"completionTime": when(T0).isoformat(), "state": "Canceled"}


def own(attempt: int, uid: str = "uid-1") -> str:
    return order_id(OWNER, uid=uid, attempt=attempt)


def keyed(attempt: int, **changes: str) -> str:
    return keyed_order_id(OWNER, **{"fingerprint": "42", "namespace": "default", "key": "entry", "attempt": attempt, **changes})


@dataclass(frozen=True)
class Case:
    reason: str
    client_order_id: str
    explained: bool
    intent: dict[str, Any] | None = None


CASES = (
    Case("its sender died before a word of it was written (H16)", own(1), True, {}),
    Case("a recorded attempt, whatever makes its id", an_attempt(3)["clientOrderId"], True, {"attempts": [an_attempt(3)]}),
    Case("the attempt after the last recorded one may have been sent", own(3), True, {"attempts": [an_attempt(1), an_attempt(2)]}),
    Case("nothing sends the one after that", own(4), False, {"attempts": [an_attempt(1), an_attempt(2)]}),
    Case("another object's id", own(1, "uid-2"), False, {}),
    Case("made from a key", keyed(1), True, {"spec": a_spec(**KEY)}),
    Case("the same key in another namespace is another order", keyed(1, namespace="other"), False, {"spec": a_spec(**KEY)}),
    Case("the same key on another account at the exchange is another order", keyed(1, fingerprint="43"), False, {"spec": a_spec(**KEY)}),
    Case("a finished intent explains its orders too", own(1), True, {"status": FINISHED}),
    Case("without any intent nothing is explained", own(1), False, None),
)


@pytest.mark.proves("rule 12", "H16", "H18")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_which_intent_explains_an_order(case):
    records = [an_order(**case.intent)] if case.intent is not None else []
    assert (case.client_order_id in explain({case.client_order_id}, records, OWNER, "42")) is case.explained


def test_of_several_intents_the_unfinished_one_is_named():
    old, new = an_order(spec=a_spec(**KEY), status=FINISHED), an_order(spec=a_spec(**KEY), uid="uid-2")
    for records in ([old, new], [new, old]):
        assert explain({keyed(1)}, records, OWNER, "42")[keyed(1)].uid == "uid-2"


@pytest.mark.parametrize("forged_first", [False, True])
def test_who_only_says_that_it_is_a_groups_member_explains_no_order_that_another_recorded(forged_first):
    place = {"name": "pair", "uid": "group-1", "member": "stop"}
    made = encode(member_order_id(OWNER, group_uid="group-1", member="stop", attempt=1), "hex32")
    recorded = an_order(spec=a_spec(groupRef=place), attempts=[an_attempt(1, "Ended", clientOrderId=made)], status=FINISHED)
    forged = an_order(uid="uid-2", spec=a_spec(groupRef=place))
    records = [forged, recorded] if forged_first else [recorded, forged]
    assert explain({made}, records, OWNER, "42")[made].uid == "uid-1"


def test_only_what_carries_our_prefix_is_ours():
    ours, explained, web = (a_report(client_order_id=name) for name in (own(1), own(2), "web_1234"))
    found = sort([ours, explained, web], OWNER, {own(2)})
    assert (found.unexplained, found.external) == ((ours,), 1)


@pytest.mark.proves("rule 12", "H16")
def test_an_orphan_is_what_two_sweeps_in_a_row_could_not_explain():
    order = a_report()
    suspected, lost = confirm({}, [order], T0, 1000)
    assert lost == (), "once is not enough"
    suspected, lost = confirm(suspected, [order], T0 + 500, 1000)
    assert lost == (), "nor are two readings that one delay of the venue could both explain"
    assert confirm(suspected, [order], T0 + 1000, 1000)[1] == (order,)
    suspected, _ = confirm(suspected, [], T0 + 1000, 1000)
    assert confirm(suspected, [order], T0 + 2000, 1000)[1] == (), "and it begins anew once it was explained"


def test_an_order_of_another_symbol_with_the_same_number_is_suspected_by_itself():
    """Binance numbers orders per symbol: what was suspected of one says nothing of the other, which may be a moment old."""
    one, another = a_report(symbol="BTC/USDT"), a_report(symbol="ETH/USDT")
    suspected, _ = confirm({}, [one], T0, 1000)
    assert confirm(suspected, [one, another], T0 + 1000, 1000)[1] == (one,)
