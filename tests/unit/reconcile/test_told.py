"""Who is told what, in virtual time: users of what was committed, and the audit journal of every mutation before it and after it."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from exchange_kernel.api import AmendQuantity, OrderState, ReplaceKind
from exchange_kernel.core.answers import GroupAccepted, Unknown
from exchange_kernel.core.identity import order_id
from exchange_kernel.core.market_rules import request_for
from exchange_kernel.core.venue import GroupLeg, GroupRequest
from exchange_kernel.exchanges.port import OrderRef
from exchange_kernel.reconcile.submitter import CancelClearance
from exchange_kernel.stores.port import Conflict, Unavailable
from tests.builders import IDS, T0, a_market, a_report, a_spec, a_venue
from tests.scripted import OWNER, World, until
from tests.virtual_time import run


class Open:
    """A clearance that lets everything through."""

    def stamp(self):
        return T0

    def check(self, stamp):
        return None


class Told:
    """Everything that users were told, in order; of orders with the status that was committed when it was."""

    def __init__(self, world: World) -> None:
        self.world, self.orders, self.accounts, self.premature = world, [], [], []

    def order_event(self, order, event):
        self.premature += [event] if self.world.store.get(order.uid).status != order.status else []
        self.orders.append((order.name, event.reason))

    def account_event(self, account, type, reason, note):
        self.accounts.append(reason)

    def of(self, name="a"):
        return [reason for told, reason in self.orders if told == name]


class Lines:
    """The journal's lines, in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, str, dict]] = []

    def begin(self, action, facts):
        number = len([line for line in self.lines if line[0] == "before"]) + 1
        self.lines.append(("before", number, action, dict(facts)))
        return lambda outcome: self.lines.append(("after", number, action, dict(outcome)))

    def fact(self, what, facts):
        self.lines.append(("fact", 0, what, dict(facts)))

    def actions(self):
        return [action for phase, _, action, _ in self.lines if phase == "before"]

    def outcomes(self, action):
        return [facts["outcome"]["result"] for phase, _, said, facts in self.lines if phase == "after" and said == action]

    def unanswered(self):
        return {n for phase, n, *_ in self.lines if phase == "before"} - {n for phase, n, *_ in self.lines if phase == "after"}


def story(tell, through=lambda room: room):
    async def whole():
        world = World(through)
        world.events, world.journal = Told(world), Lines()
        try:
            await world.start()
            await tell(world)
            assert world.events.premature == [], "told of what is not committed"
        finally:
            if world.desk is not None:
                await world.desk.stop()

    run(whole())


def finished(world, uid="a"):
    return until(lambda: world.status(uid).completion_time is not None)


# ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_an_orders_life_is_told_once():
    async def tell(world):
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").exchange_order_id is not None)
        world.exchange.fill(world.status("a").client_order_id, "0.4")
        await until(lambda: world.status("a").filled_quantity)
        for _ in range(20):
            world.desk.intents.wake("a")
            await asyncio.sleep(0.5)
        world.exchange.fill(world.status("a").client_order_id, "0.6")
        await finished(world)
        assert world.events.of() == ["Submitted", "PartiallyFilled", "Filled"]

    story(tell)


def test_a_restart_tells_nothing_again():
    async def tell(world):
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").exchange_order_id is not None)
        await world.crash()
        await world.start()
        await asyncio.sleep(30)
        assert world.events.of() == ["Submitted"]
        world.exchange.fill(world.status("a").client_order_id, "1")
        await finished(world)
        await world.crash()
        await world.start()
        await asyncio.sleep(30)
        assert world.events.of() == ["Submitted", "Filled"]

    story(tell)


class Refusing:
    """A store that does not take a status for a while."""

    def __init__(self, store, answers):
        self._store, self._answers = store, answers

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def write_status(self, record, status):
        return self._answers.pop(0) if self._answers else await self._store.write_status(record, status)


@pytest.mark.parametrize("answer", [Unavailable("no answer"), Conflict()], ids=["unavailable", "conflict"])
def test_what_is_not_committed_is_not_told(answer):
    answers = [answer] * 3

    async def tell(world):
        world.exchange.fills_at_once = True
        world.store.create("a", a_spec())
        await finished(world)
        assert answers == []
        assert world.events.of() == ["Submitted", "Filled"]

    story(tell, through=lambda room: Refusing(room, answers) if hasattr(room, "write_status") else room)


def test_a_change_and_a_cancel_are_told():
    async def tell(world):
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").exchange_order_id is not None)
        world.store.edit("a", a_spec(price="40000"))
        await until(lambda: len(world.status("a").attempts) == 2 and world.status("a").operation is None)
        world.store.edit("a", a_spec(price="40000", desiredState="Canceled"))
        await finished(world)
        assert world.events.of() == ["Submitted", "Replacing", "Replaced", "Canceled"]

    story(tell)


def test_an_amend_is_told_once_it_is_made():
    async def tell(world):
        world.exchange.capabilities = a_venue(amend=AmendQuantity.TOTAL)
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").exchange_order_id is not None)
        world.store.edit("a", a_spec(quantity="2"))
        await until(lambda: world.status("a").attempts[0].quantity == 2 and world.status("a").operation is None)
        assert world.events.of() == ["Submitted", "Amended"]

    story(tell)


def test_an_unknown_outcome_is_told_and_so_is_its_end():
    async def tell(world):
        world.exchange.reply = lambda order: Unknown("no answer")
        world.exchange.visibility_ms = 800
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").exchange_order_id is not None)
        assert world.events.of() == ["OutcomeUnknown", "Found"]

    story(tell)


def test_an_account_says_when_it_is_ready_and_why_it_is_not():
    async def tell(world):
        assert world.events.accounts == ["Ready"]
        world.desk.lease.lost.set()
        await until(lambda: len(world.events.accounts) == 4)
        assert sorted(world.events.accounts[1:3]) == ["NotReady", "SessionLost"]
        assert world.events.accounts[3] == "Ready"

    story(tell)


def test_an_orphan_is_told_once_and_a_late_fill_each_time_and_in_the_journal():
    async def tell(world):
        world.exchange.trades_of["777"] = []
        stray = order_id(OWNER, uid="nobody", attempt=1)
        world.exchange._set(a_report(client_order_id=stray, exchange_order_id="777", created_time_ms=world.exchange.now_ms()), tell=False)
        await until(lambda: world.accounts.record.status.orphan_orders == 1)
        await asyncio.sleep(60)
        assert world.events.accounts == ["Ready", "OrphanOrder"]
        for _ in range(2):
            world.exchange.fill(stray, "0.1")
            await asyncio.sleep(1)
        assert world.events.accounts[2:] == ["LateFill", "LateFill"]
        facts = [(what, facts["client_order_id"], str(facts["quantity"]), facts["account"]["fingerprint"]) for phase, _, what, facts in world.journal.lines if phase == "fact"]
        assert facts == [("lateFill", stray, "0.1", "42")] * 2

    story(tell)


# ── The journal ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_each_mutation_has_a_line_before_it_and_one_after_it():
    async def tell(world):
        world.store.create("a", a_spec(ttlSecondsAfterFinished=5), finalizer=False)
        await until(lambda: world.status("a").exchange_order_id is not None)
        world.store.edit("a", a_spec(price="40000", ttlSecondsAfterFinished=5))
        await until(lambda: len(world.status("a").attempts) == 2 and world.status("a").operation is None)
        world.store.edit("a", a_spec(price="40000", desiredState="Canceled", ttlSecondsAfterFinished=5))
        await until(lambda: world.store.get("a") is None)
        assert world.journal.actions() == ["addFinalizer", "submit", "cancel", "submit", "cancel", "removeFinalizer", "deleteObject"]
        assert world.journal.unanswered() == set()
        submits = [facts for phase, _, action, facts in world.journal.lines if (phase, action) == ("before", "submit")]
        assert [facts["attempt"] for facts in submits] == [1, 2]
        assert [(facts["intent"]["name"], facts["intent"]["generation"], str(facts["request"].price)) for facts in submits] == [("a", 1, "50000"), ("a", 2, "40000")]
        assert submits[0]["account"] == {"namespace": "default", "name": "main", "fingerprint": "42"}
        stamps = [facts["stamp_ms"] for phase, _, action, facts in world.journal.lines if (phase, action) == ("after", "submit")]
        assert stamps == world.exchange.stamps

    story(tell)


@pytest.mark.parametrize(("venue", "action"), [({"amend": AmendQuantity.TOTAL}, "amend"), ({"replace": ReplaceKind.FILL_AWARE}, "replace")])
def test_a_change_in_one_request_has_its_lines_too(venue, action):
    async def tell(world):
        world.exchange.capabilities = a_venue(**venue)
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").exchange_order_id is not None)
        world.store.edit("a", a_spec(quantity="2"))
        await until(lambda: world.journal.outcomes(action))
        assert world.journal.actions() == ["submit", action]
        assert world.journal.unanswered() == set()

    story(tell)


def test_a_list_of_orders_has_its_lines_with_all_that_was_sent():
    async def tell(world):
        legs = tuple(GroupLeg("Leg", request_for(a_spec(), IDS[number], a_market(), quantity=Decimal(1))) for number in (1, 2))
        outcome = await world.desk.session.exchange.submit_group(GroupRequest("f" * 32, "OneCancelsOther", legs), Open())
        assert isinstance(outcome, GroupAccepted)
        before, after = (facts for _, _, action, facts in world.journal.lines if action == "submitGroup")
        assert (before["list_id"], before["request"].legs) == ("f" * 32, legs)
        assert (after["stamp_ms"], after["outcome"]["result"], after["outcome"]["orders"]) == (world.exchange.stamps[-1], "GroupAccepted", outcome.orders)

    story(tell)


def test_the_line_before_is_there_when_the_exchange_hears_of_it_and_the_one_after_when_it_answered():
    async def tell(world):
        seen = []
        world.exchange.accepted = lambda: seen.append(list(world.journal.lines))
        world.exchange.hold_reply = asyncio.Event()
        world.store.create("a", a_spec())
        await until(lambda: seen)
        assert [(phase, action) for phase, _, action, _ in seen[0]] == [("before", "submit")]
        await asyncio.sleep(1)
        assert len(world.journal.unanswered()) == 1
        closing = asyncio.create_task(world.desk.intents.close(within=0.1))  # whoever asked for it is cancelled
        await asyncio.sleep(1)
        assert len(world.journal.unanswered()) == 1
        world.exchange.hold_reply.set()
        await until(lambda: not world.journal.unanswered())
        assert world.journal.outcomes("submit") == ["Accepted"]
        await closing

    story(tell)


def test_a_send_that_the_gate_held_back_says_so():
    async def tell(world):
        world.exchange.calls.clear()
        world.desk.lease.renewing = False
        await asyncio.sleep(4)  # the Lease would end before a request could
        world.store.create("a", a_spec())
        await until(lambda: world.journal.outcomes("submit"))
        assert world.journal.outcomes("submit")[0] == "NotSent"
        assert not world.exchange.orders_by_id

    story(tell)


def test_a_persons_word_has_its_lines():
    async def tell(world):
        world.exchange.capabilities = a_venue(request_window_ms=0)
        world.exchange.reply = lambda order: Unknown("no answer")
        world.exchange.visibility_ms = 10_000_000
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        await asyncio.sleep(30)
        word = json.dumps({"clientOrderId": world.status("a").client_order_id, "outcome": "Canceled"})
        world.store.annotate("a", word, by="ann")
        await finished(world)
        (before,) = [facts for phase, _, action, facts in world.journal.lines if (phase, action) == ("before", "resolve")]
        assert (before["attempts"], before["evidence"], before["user"], before["intent"]["name"]) == ([1], word, "ann", "a")
        assert world.status("a").attempts[0].reason == "Told by ann in the annotation exchange-kernel.io/resolve."
        assert world.journal.outcomes("resolve") == ["Written"]
        assert "Resolved" in world.events.of()

    story(tell)


def test_reading_leaves_no_line():
    async def tell(world):
        world.store.create("a", a_spec(suspend=True))
        world.exchange.calls.clear()
        await asyncio.sleep(60)
        assert "open_orders" in world.exchange.calls
        assert world.journal.lines == []

    story(tell)


def test_an_order_that_nobody_is_known_to_have_asked_for_still_has_a_line():
    async def tell(world):
        term = world.desk.session.term
        await term.exchange.cancel(OrderRef("BTC/USDT", "unheard-of"), CancelClearance(world.desk.session, term))
        (before, after) = world.journal.lines
        assert (before[3]["intent"], before[3]["client_order_id"], after[3]["outcome"]) == (None, "unheard-of", {"result": "UnknownOrder", "code": "-2011"})

    story(tell)
