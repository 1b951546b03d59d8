"""What a user is told between one committed status and the next."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exchange_kernel.api import ExchangeAccountStatus
from exchange_kernel.core import events
from exchange_kernel.core.group_events import GROUP_ACTIONS
from exchange_kernel.core.resolution import CONTRADICTED, RESOLVED, told_by
from tests.builders import a_status, an_attempt

TIME = "2026-01-01T00:00:00Z"


def a_condition(kind: str, status: str = "True", reason: str = "Because", message: str = "Why.") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": TIME}


def an_end(state: str, reason: str, good: bool = True, **changes: Any) -> dict[str, Any]:
    conditions = [a_condition("Finished", "True", reason), a_condition("Succeeded", "True" if good else "False", reason), a_condition("Stalled", "False" if good else "True", reason)]
    return {"state": state, "completionTime": TIME, "conditions": conditions, **changes}


def a_fill(trade_id: str, inferred: bool = False) -> dict[str, Any]:
    return {"tradeId": trade_id, "quantity": "0.1", "price": "50000", "time": TIME, "inferred": inferred}


OPEN = {"state": "Open", "attempts": [an_attempt()], "remainingQuantity": "1"}
LOST = {"state": "Unknown", "attempts": [an_attempt(stage="Sent")]}
AMENDING = {**OPEN, "operation": "Amending", "attempts": [an_attempt(amend={"quantity": "2", "price": "50000", "preparedTime": TIME})]}
REPLACING = {"state": "Submitting", "operation": "Replacing", "attempts": [an_attempt(stage="Ended", outcome="Canceled"), an_attempt(2, "Prepared")]}


@dataclass
class Case:
    reason: str
    new: dict[str, Any]
    want: list[tuple[str, str]]
    old: dict[str, Any] = field(default_factory=dict)


N, W = events.NORMAL, events.WARNING
CASES = [
    Case("taken by the exchange", OPEN, [(N, "Submitted")]),
    Case("filled at once: both are told, the end last", an_end("Filled", "Filled", attempts=[an_attempt(stage="Ended", outcome="Filled")], filledQuantity="1"), [(N, "Submitted"), (N, "Filled")]),
    Case("written ahead and not sent yet is no news", {"state": "Submitting", "attempts": [an_attempt(stage="Prepared")]}, []),
    Case("a fill in part", {**OPEN, "state": "PartiallyFilled", "filledQuantity": "0.4"}, [(N, "PartiallyFilled")], OPEN),
    Case("a second one", {**OPEN, "filledQuantity": "0.7", "state": "PartiallyFilled"}, [(N, "PartiallyFilled")], {**OPEN, "state": "PartiallyFilled", "filledQuantity": "0.4"}),
    Case("filled whole and not settled: the end is told when it is one", {**OPEN, "state": "Filled", "filledQuantity": "1", "remainingQuantity": "0"}, [], OPEN),
    Case("this attempt is whole and the target grew meanwhile", {**OPEN, "state": "Filled", "filledQuantity": "1", "remainingQuantity": "2"}, [(N, "PartiallyFilled")], OPEN),
    Case("a fill that was late for the cancel", an_end("Canceled", "CanceledAsAsked", attempts=[an_attempt(stage="Ended")], filledQuantity="0.2"), [(N, "PartiallyFilled"), (N, "Canceled")], OPEN),
    Case("a fill that no execution explains", {**OPEN, "fills": [a_fill("1"), a_fill("inferred-a", inferred=True)]}, [(N, "FillInferred")], {**OPEN, "fills": [a_fill("1")]}),
    Case("explained by now", {**OPEN, "fills": [a_fill("1"), a_fill("2")]}, [], {**OPEN, "fills": [a_fill("1"), a_fill("inferred-a", inferred=True)]}),
    Case("an execution taken back", {**OPEN, "attempts": [an_attempt(bustedQuantity="0.1")]}, [(W, "FillTakenBack")], OPEN),
    Case("nobody knows", LOST, [(W, "OutcomeUnknown")], {"state": "Submitting", "attempts": [an_attempt(stage="Prepared")]}),
    Case("still nobody", {**LOST, "observedGeneration": 2}, [], LOST),
    Case("found", OPEN, [(N, "Found")], LOST),
    Case("found filled", an_end("Filled", "Filled", attempts=[an_attempt(stage="Ended")]), [(N, "Found"), (N, "Filled")], LOST),
    Case("proved absent", {"state": "Pending", "attempts": [an_attempt(stage="Absent")]}, [(N, "ProvenAbsent")], LOST),
    Case("told by a person that it is not there", {"state": "Pending", "attempts": [an_attempt(stage="Absent", reason=RESOLVED)]}, [(N, "Resolved")], LOST),
    Case("called absent, and the exchange has it", {**OPEN, "attempts": [an_attempt(reason=CONTRADICTED), an_attempt(2)]}, [(W, "AbsentOrderFound")], {**OPEN, "attempts": [an_attempt(stage="Absent", reason=RESOLVED), an_attempt(2)]}),
    Case("and cancelled: told already", {**OPEN, "attempts": [an_attempt(stage="Ended", outcome="Canceled", reason=CONTRADICTED), an_attempt(2)]}, [], {**OPEN, "attempts": [an_attempt(reason=CONTRADICTED), an_attempt(2)]}),
    Case("told by a person how it ended", an_end("Filled", "Filled", attempts=[an_attempt(stage="Ended", outcome="Filled", reason=RESOLVED)]), [(N, "Resolved"), (N, "Filled")], LOST),
    Case("refused after it was unknown", an_end("Rejected", "RejectedByExchange", good=False, attempts=[an_attempt(stage="Refused")]), [(W, "Rejected")], LOST),
    Case("being replaced", {**OPEN, "operation": "Replacing"}, [(N, "Replacing")], OPEN),
    Case("still being replaced", REPLACING, [], {**OPEN, "operation": "Replacing"}),
    Case("replaced", {**OPEN, "attempts": [an_attempt(stage="Ended"), an_attempt(2)]}, [(N, "Replaced")], REPLACING),
    Case("an amend is asked: no news", AMENDING, [], OPEN),
    Case("and made", {**OPEN, "attempts": [an_attempt(quantity="2")]}, [(N, "Amended")], AMENDING),
    Case("or not", OPEN, [], AMENDING),
    Case("a person is needed", {**OPEN, "conditions": [a_condition("Stalled", reason="Drifted")]}, [(W, "Stalled")], OPEN),
    Case("the same person for the same reason", {**OPEN, "conditions": [a_condition("Stalled", reason="Drifted")]}, [], {**OPEN, "conditions": [a_condition("Stalled", reason="Drifted")]}),
    Case("for another reason", {**OPEN, "conditions": [a_condition("Stalled", reason="Duplicated")]}, [(W, "Stalled")], {**OPEN, "conditions": [a_condition("Stalled", reason="Drifted")]}),
    Case("helped", {**OPEN, "conditions": [a_condition("Stalled", "False", "Progressing")]}, [], {**OPEN, "conditions": [a_condition("Stalled", reason="Drifted")]}),
    Case("waiting that ends by itself", {"conditions": [a_condition("Ready", "False", "Suspended"), a_condition("Stalled", "False")]}, []),
    *(Case(f"{reason} is a no to what spec asks for", {**OPEN, "conditions": [a_condition("Ready", "False", reason), a_condition("Stalled", "False")]}, [(W, reason)], OPEN)
      for reason in ("BelowMinimum", "CancelRefused", "ChangeRefused", "ModifyNotPermitted", "ReplacementRefused")),
    Case("canceled as asked", an_end("Canceled", "CanceledAsAsked"), [(N, "Canceled")], {"state": "Canceled"}),
    Case("canceled by the exchange", an_end("Canceled", "CanceledByExchange", good=False), [(W, "Canceled")]),
    Case("expired", an_end("Expired", "Expired", good=False), [(W, "Expired")]),
    Case("denied", an_end("Denied", "MarketRules", good=False), [(W, "Denied")]),
    Case("filled beyond the target", an_end("Filled", "Overfilled"), [(W, "Overfilled")]),
    Case("after the end nothing is told", {**an_end("Filled", "Filled"), "observedGeneration": 3}, [], an_end("Filled", "Filled")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_an_orders_events(case: Case):
    old, new = a_status(**case.old), a_status(**case.new)
    told = events.of_order(old, new)
    assert [(event.type, event.reason) for event in told] == case.want
    assert events.of_order(new, new) == [], "the same status twice tells nothing"
    assert all(event.reason in events.ORDER_ACTIONS and event.note for event in told)


def test_who_told_it_is_named_in_the_event_and_no_control_character_of_the_name_is():
    status = a_status(state="Pending", attempts=[an_attempt(stage="Absent", reason=told_by("ann\nsmith"))])
    (event,) = events.of_order(a_status(**LOST), status)
    assert (event.reason, event.note) == ("Resolved", "Told by ann?smith in the annotation exchange-kernel.io/resolve: it counts as told.")
    assert events.told_attempts(status) == {1}


def test_every_reason_there_is_comes_from_a_case():
    assert {reason for case in CASES for _, reason in case.want} == set(events.ORDER_ACTIONS)


def an_account_status(**conditions: tuple[str, str]) -> ExchangeAccountStatus:
    return ExchangeAccountStatus.model_validate({"conditions": [a_condition(kind, *said) for kind, said in conditions.items()]})


@pytest.mark.parametrize(("reason", "old", "new", "want"), [
    ("ready at last", {}, {"Ready": ("True", "Ready")}, [(N, "Ready")]),
    ("not ready yet is no news", {}, {"Ready": ("False", "Sweeping")}, []),
    ("not ready any more", {"Ready": ("True", "Ready")}, {"Ready": ("False", "Unreachable")}, [(W, "NotReady")]),
    ("still not ready", {"Ready": ("False", "Unreachable")}, {"Ready": ("False", "WaitingForLease")}, []),
    ("credentials refused", {"CredentialsValid": ("Unknown", "NotChecked")}, {"CredentialsValid": ("False", "Refused")}, [(W, "CredentialsInvalid")]),
    ("still refused", {"CredentialsValid": ("False", "Refused")}, {"CredentialsValid": ("False", "Refused")}, []),
    ("now of another account", {"CredentialsValid": ("False", "Refused")}, {"CredentialsValid": ("False", "AnotherAccount")}, [(W, "CredentialsInvalid")]),
])  # fmt: skip
def test_an_accounts_events(reason, old, new, want):
    assert [(event.type, event.reason) for event in events.of_account(an_account_status(**old), an_account_status(**new))] == want


def test_the_docs_list_every_event_there_is():
    page = (Path(__file__).parents[3] / "docs" / "events-and-journal.md").read_text()
    listed = {(kind, reason) for kinds, reason in re.findall(r"^\| ([A-Z][A-Za-z, ]+) \| `(\w+)` \|", page, re.MULTILINE) for kind in kinds.split(", ")}
    orders = {told for case in CASES for told in case.want}
    accounts = {(N, "Ready"), *((W, reason) for reason in events.ACCOUNT_REASONS - {"Ready"})}
    groups = {(N if reason in ("Protected", "Succeeded") else W, reason) for reason in GROUP_ACTIONS}
    assert listed == orders | accounts | groups
