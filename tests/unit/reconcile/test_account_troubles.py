"""What an account says while its exchange can't be used, and how often it asks: told in virtual time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from exchange_kernel.core.answers import MALFORMED, Refused, Unreachable
from exchange_kernel.reconcile.background import BEGUN_ANEW_S
from exchange_kernel.reconcile.ports import NotConnectable
from tests import scripted
from tests.builders import a_spec
from tests.scripted import Keys, LoopClock, a_world, until
from tests.unit.interleavings.stories import open_order
from tests.virtual_time import run


def story(tell):
    async def whole():
        async with a_world() as world:
            await tell(world)

    run(whole())


def condition(world, kind: str):
    status = world.accounts.record.status
    return next((condition for condition in status.conditions if condition.type == kind), None)


def silenced(world, answer: Unreachable) -> list[float]:
    """The exchange gives its time to nobody; when it was asked."""
    asked: list[float] = []

    async def clock():
        asked.append(asyncio.get_running_loop().time())
        return answer

    world.exchange.clock = clock
    return asked


@pytest.mark.parametrize(("answer", "reason", "words", "why"), [
    (Unreachable("no connection could be made"), "Unreachable", "Check spec.endpoint", "nobody is there"),
    (Unreachable("the venue answered with HTTP 503", answered=True), "Unavailable", "HTTP 503", "somebody is, and does not serve"),
    (Unreachable("the venue asked", 120.0, answered=True), "StayAway", "stay away", "it said how long"),
], ids=["Unreachable", "Unavailable", "StayAway"])
def test_an_exchange_that_can_not_be_used_is_told_by_what_is_to_be_done(answer, reason, words, why):
    async def tell(world):
        silenced(world, answer)
        world.boot()
        await until(lambda: condition(world, "Connected") is not None and condition(world, "Connected").reason == reason)
        assert condition(world, "Ready").reason == reason
        assert words in condition(world, "Ready").message, why

    story(tell)


@pytest.mark.parametrize(("answer", "times"), [
    (Unreachable("no connection could be made"), range(8, 12)), (Unreachable("the venue asked", 120.0, answered=True), range(1, 2)),
], ids=["without a word", "with a Retry-After"])
def test_it_is_asked_more_and_more_seldom_and_not_at_all_while_it_wants_to_be_left_alone(answer, times):
    async def tell(world):
        asked = silenced(world, answer)
        world.boot()
        await asyncio.sleep(70)
        assert len(asked) in times

    story(tell)


NOT_USABLE = NotConnectable("Connected", "NotUsable", "hyperliquid swap is not usable in this release.", person=True)


def test_an_account_that_can_not_be_opened_as_it_is_described_says_so_and_is_not_tried_for_ever():
    """Nothing but another spec helps: a person sees it on the account and on its orders, and nobody hammers."""

    async def tell(world):
        tried: list[float] = []

        class Refusing(Keys):
            async def open(self, account):
                tried.append(asyncio.get_running_loop().time())
                return NOT_USABLE

        keys = scripted.Keys
        scripted.Keys = Refusing
        try:
            world.boot()
            world.store.create("a", a_spec())
            await until(lambda: condition(world, "Stalled") is not None and condition(world, "Stalled").status == "True")
        finally:
            scripted.Keys = keys
        assert (condition(world, "Stalled").reason, condition(world, "Ready").reason) == ("NotUsable", "NotUsable")
        assert condition(world, "Ready").message == NOT_USABLE.message
        await until(lambda: any(one.type == "Stalled" and one.status == "True" for one in world.status("a").conditions))
        writes, before = world.accounts.writes, len(tried)
        await asyncio.sleep(3600)
        assert len(tried) - before <= 12, "every five minutes another replica may have found a way"
        assert world.accounts.writes == writes

    story(tell)


def test_an_account_that_works_is_not_stalled():
    async def tell(world):
        await world.start()
        assert (condition(world, "Stalled").status, condition(world, "Stalled").reason) == ("False", "Progressing")

    story(tell)


def test_a_clock_that_is_off_is_told_and_orders_go_on_and_what_it_does_later_too():
    async def tell(world):
        world.exchange.clock_jump_ms = 3_600_000
        await world.start()
        said = condition(world, "ClockSynced")
        assert (said.status, said.reason) == ("False", "Offset")
        assert "3600 seconds ahead of the API server's" in said.message
        assert condition(world, "Ready").status == "True"
        world.exchange.clock_jump_ms = 0
        await until(lambda: condition(world, "ClockSynced").status == "True" and condition(world, "Ready").status == "True")

    story(tell)


def test_a_bug_in_what_an_account_does_beside_its_orders_ends_it_for_a_moment_only():
    async def tell(world):
        await world.start()
        order = await open_order(world)
        session = world.desk.session
        hear, heard = session.sweeper._hear, []

        def hears_all_but_the_first(term, update):
            heard.append(update)
            if len(heard) == 1:
                raise RuntimeError("a bug")
            hear(term, update)

        session.sweeper._hear = hears_all_but_the_first
        term = session.term
        for fill in ("0.1", "0.2"):
            world.exchange.fill(order, fill)
            await asyncio.sleep(2 * BEGUN_ANEW_S)
        await until(lambda: world.status("a").filled_quantity == Decimal("0.3"), within=5)
        assert (len(heard), session.term) == (2, term)

    story(tell)


def test_a_bug_in_the_keeping_of_the_lease_ends_the_term_and_the_next_one_keeps_it():
    async def tell(world):
        await world.start()
        session = world.desk.session
        term = session.term

        async def fails(before, renewed):
            del session._ownership.hold
            raise RuntimeError("a bug")

        session._ownership.hold, end_term, ends = fails, session.end_term, []
        session.end_term = lambda why: (ends.append(why), end_term(why))
        session.end_term("a reason")
        await until(lambda: session.term is not None and session.term is not term and session.term.ready and "hold" not in vars(session._ownership))
        assert ends[:3] == ["a reason", "closed", "The Lease was lost."]

    story(tell)


def test_an_account_that_its_exchange_keeps_away_is_not_ready_says_until_when_and_cancels_go_on():
    """One header may silence an account for days: it says so, and what its user wants gone still goes."""

    async def tell(world):
        world.boot()
        await open_order(world)
        end = LoopClock().wall_ms() // 1000 + 3600
        listed = world.exchange.open_orders

        async def kept_away(symbol=None):
            left = end - LoopClock().wall_ms() / 1000
            return Unreachable("the venue asked", left, answered=True) if left > 0 else await listed(symbol)

        world.exchange.open_orders = kept_away
        await until(lambda: condition(world, "Ready").status == "False", within=400)
        told = condition(world, "Ready")
        assert told.reason == "StayAway"
        shown = datetime.fromtimestamp(end, UTC)
        assert any(f"{shown + timedelta(seconds=more):%Y-%m-%dT%H:%M:%SZ}" in told.message for more in (0, 1, 2))
        writes = world.accounts.writes
        await asyncio.sleep(600)
        assert condition(world, "Ready").message == told.message, "its end is told once"
        assert world.accounts.writes == writes
        await until(lambda: condition(world, "Ready").status == "True", within=4000)

    story(tell)


def test_keys_that_sign_nothing_are_told_as_such_and_the_account_recovers_with_new_ones():
    async def tell(world):
        good = world.exchange.fingerprint

        async def unsigned():
            return Refused(MALFORMED, "no request can be signed with the credentials")

        world.exchange.fingerprint = unsigned
        world.boot()
        await until(lambda: condition(world, "CredentialsValid") is not None and condition(world, "CredentialsValid").reason == MALFORMED)
        assert "Copy it again" in condition(world, "Ready").message
        assert "network" not in condition(world, "Ready").message
        world.exchange.fingerprint = good
        await until(lambda: condition(world, "Ready").status == "True", 60)

    story(tell)
