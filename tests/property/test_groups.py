"""What must hold of what a group wants of its members, whatever they have filled and however they stand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_kernel.api import GroupMode, MemberStatus, OrderGroupStatus, OrderState
from exchange_kernel.core import groups
from exchange_kernel.core.groups import EXITS, GroupRecord, Member
from exchange_kernel.core.money import share_of
from tests.builders import T0, a_spec, a_status, an_order
from tests.unit.groups.desk import PERPETUAL, a_bracket, a_group, a_member, an_oco

MARKETS = {PERPETUAL.symbol: PERPETUAL}
ENDED = (OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED, OrderState.DENIED)
CASES = settings(max_examples=400, deadline=None)

specs = st.sampled_from([
    an_oco(), an_oco(onPartialFill="Reduce"), an_oco(failurePolicy="Continue"), a_bracket(), a_bracket(onPartialFill="Cancel"), a_bracket(deletionPolicy="CancelAll"),
    a_bracket(deletionPolicy="Orphan"), a_group("Bracket", a_member("entry", "Entry", quantity="7"), a_member("stop", "StopLoss", quantity="5")),
    a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("then"), a_member("more", quantity="20")),
    a_group("OneTriggersOther", a_member("entry", "Entry"), a_member("take", "TakeProfit", quantity="6"), a_member("more", "TakeProfit", quantity="4"), a_member("stop", "StopLoss")),
    a_group("Basket", a_member("a"), a_member("b"), a_member("c")),
    a_group("OneCancelsOther", a_member("a"), a_member("b", quantity="4"), a_member("c", quantity="6"), onPartialFill="Reduce"),
])


@st.composite
def members(draw, group: GroupRecord) -> tuple[Member, ...]:
    made = []
    for spec in group.spec.members:
        stage = draw(st.sampled_from(["unmade", "made", "recorded", "recorded", "recorded", "gone"]))
        filled = Decimal(draw(st.integers(0, int(spec.quantity)))) if stage in ("recorded", "gone") else Decimal(0)
        full = filled == spec.quantity
        state = OrderState.FILLED if full else draw(st.sampled_from([OrderState.OPEN, OrderState.UNKNOWN, OrderState.PENDING, *ENDED]))
        ended = state in (OrderState.FILLED, *ENDED) and stage in ("recorded", "gone")
        if state in (OrderState.REJECTED, OrderState.DENIED):
            filled = Decimal(0)
        uid = f"uid-{spec.name}" if stage in ("recorded", "gone") else None
        status = MemberStatus(name=spec.name, intent_name=f"pair-{spec.name}", uid=uid, filled_quantity=filled, state=state if uid else OrderState.PENDING, finished=stage == "gone")
        order = None
        if stage in ("made", "recorded"):
            wanted = a_spec(side=spec.side, quantity=str(spec.quantity), desiredState=draw(st.sampled_from(["Working", "Working", "Working", "Canceled"])))
            told = a_status(state=str(state) if stage == "recorded" else "Pending", filledQuantity=str(filled), **({"completionTime": "2027-01-15T08:00:00Z"} if ended else {}))
            order = replace(an_order(spec=wanted, deleting=draw(st.sampled_from([False, False, False, True]))), uid=f"uid-{spec.name}", status=told)
        made.append(Member(spec=spec, status=status, order=order))
    return tuple(made)


@st.composite
def standings(draw) -> tuple[GroupRecord, tuple[Member, ...]]:
    spec = draw(specs).model_copy(update={"suspend": draw(st.sampled_from([False, False, True]))})
    if draw(st.integers(0, 4)) == 0:
        spec = spec.model_copy(update={"desired_state": "Canceled"})
    group = GroupRecord(uid="pair", namespace="default", name="pair", generation=1, resource_version="1", created_ms=T0, spec=spec, status=OrderGroupStatus(),
                        deleting=draw(st.sampled_from([False, False, False, True])), restored=draw(st.sampled_from([False, False, True])))
    return group, draw(members(group))


def wants(standing, markets=MARKETS, *, native=False):
    return groups.wants(*standing, markets, native=native)


def with_fill(standing, name: str, more: int):
    """The same a moment later: one that has not ended has filled more."""
    group, every = standing
    grown = []
    for member in every:
        if member.name == name and not member.finished and member.order is not None:
            filled = min(member.quantity, member.filled + more)
            member = replace(member, order=replace(member.order, status=member.order.status.model_copy(update={"filled_quantity": filled})))
        grown.append(member)
    return group, tuple(grown)


@given(standing=standings(), native=st.booleans(), known=st.booleans())
@CASES
def test_every_standing_has_a_want_for_each_member_and_nothing_for_anyone_else(standing, native, known):
    group, every = standing
    wanted = wants(standing, MARKETS if known else {}, native=native and group.spec.mode is not GroupMode.BASKET)
    assert set(wanted) == {member.name for member in every}
    groups.may_go(group, every, wanted)


@pytest.mark.proves("H19")
@given(standing=standings(), native=st.booleans())
@CASES
def test_what_was_made_once_is_never_to_be_made_again(standing, native):
    group, every = standing
    wanted = wants(standing, native=native)
    assert not any(groups.to_be_made(group, member, wanted[member.name]) for member in every if member.made or member.gone or member.status.finished)


@given(standing=standings(), native=st.booleans(), seed=st.integers(0, 99))
@CASES
def test_the_order_of_the_members_means_nothing(standing, native, seed):
    group, every = standing
    shuffled = list(every)
    Random(seed).shuffle(shuffled)
    turned = replace(group, spec=group.spec.model_copy(update={"members": [member.spec for member in shuffled]}))
    assert wants((turned, tuple(shuffled)), native=native) == wants(standing, native=native)


@pytest.mark.proves("F40", "F41")
@given(standing=standings(), native=st.booleans(), name=st.sampled_from(["take", "stop", "entry", "a", "b", "then"]), more=st.integers(1, 10))
@CASES
def test_who_is_unwanted_stays_so_however_much_fills(standing, native, name, more):
    native = native and not any(member.cancelled or member.gone or member.failed for member in standing[1])     # a list that is given up ends at the exchange
    before, after = wants(standing, native=native), wants(with_fill(standing, name, more), native=native)
    assert {one for one, want in before.items() if want.unwanted} <= {one for one, want in after.items() if want.unwanted}


@pytest.mark.proves("F40")
@given(standing=standings(), native=st.booleans())
@CASES
def test_a_fill_of_one_of_several_leaves_none_of_the_others_wanted(standing, native):
    group, every = standing
    if group.spec.mode is not GroupMode.ONE_CANCELS_OTHER or group.reduces:
        return
    wanted = wants(standing, native=native)
    assert all(wanted[other.name].unwanted for member in every if member.filled > 0 for other in every if other is not member)


@pytest.mark.proves("F42", "F43")
@given(standing=standings())
@CASES
def test_no_size_is_above_the_members_own_nor_a_legs_above_its_share_of_the_entrys_fill(standing):
    group, every = standing
    entry = next((member for member in every if group.entry is not None and member.name == group.entry.name), None)
    for name, want in wants(standing).items():
        member = next(one for one in every if one.name == name)
        if want.quantity is None:
            continue
        assert want.quantity <= member.quantity
        if entry is not None and member is not entry and member.spec.role not in EXITS:
            assert want.quantity <= share_of(entry.filled, member.quantity, entry.quantity)


@pytest.mark.proves("F43")
@given(standing=standings(), lowered=st.one_of(st.none(), st.integers(1, 30)), exits=st.one_of(st.none(), st.integers(1, 30)))
@CASES
def test_exits_of_a_kind_are_never_larger_than_what_is_open_however_the_group_was_edited(standing, lowered, exits):
    if standing[0].entry is None:
        return
    group, every = standing = edited(standing, {"Entry": lowered, "StopLoss": exits, "TakeProfit": exits})
    entry = next(member for member in every if member.name == group.entry.name)
    is_open = max(Decimal(0), entry.filled - sum(member.filled for member in every if member.spec.role in EXITS))
    wanted = wants(standing)
    for role in EXITS:
        mine = [member for member in every if member.spec.role is role and not member.finished and not wanted[member.name].unwanted and wanted[member.name].exists]
        if not entry.finished and any(wanted[member.name].quantity == member.order.spec.quantity for member in mine if member.order is not None and is_open == 0):
            continue  # nothing is open, and it waits as it stands for what the Entry may still fill
        assert sum((max(Decimal(0), wanted[member.name].quantity - member.filled) for member in mine), Decimal(0)) <= is_open


def test_an_exit_that_was_lowered_to_less_than_it_filled_wants_no_more_of_the_position():
    """The Entry has 3 of 10 and works on, the stop has closed 2 of them: what is open is 1, and not the 8 that the stop still shows."""
    spec = a_group("Bracket", a_member("entry", "Entry"), a_member("take", "TakeProfit"), a_member("stop", "StopLoss"))
    group = GroupRecord(uid="pair", namespace="default", name="pair", generation=1, resource_version="1", created_ms=T0, spec=spec, status=OrderGroupStatus())
    every = []
    for member, filled in zip(spec.members, ("3", "0", "2"), strict=True):
        status = MemberStatus(name=member.name, intent_name=f"pair-{member.name}", uid=f"uid-{member.name}", filled_quantity=Decimal(filled), state=OrderState.OPEN)
        order = replace(an_order(spec=a_spec(side=member.side, quantity="10")), uid=f"uid-{member.name}", status=a_status(state="Open", filledQuantity=filled))
        every.append(Member(spec=member, status=status, order=order))
    assert wants(edited((group, tuple(every)), {"StopLoss": 1}))["stop"].quantity == 2


def edited(standing, quantities):
    """The same after an edit of the group, by role; None: not changed."""
    group, every = standing
    changed = tuple(
        member if quantities.get(str(member.spec.role)) is None
        else replace(member, spec=member.spec.model_copy(update={"quantity": Decimal(quantities[str(member.spec.role)])}))
        for member in every
    )
    return replace(group, spec=group.spec.model_copy(update={"members": [member.spec for member in changed]})), changed


@pytest.mark.proves("F42")
@given(standing=standings())
@CASES
def test_with_reduce_what_may_still_fill_and_what_did_is_never_more_than_there_is(standing):
    group, every = standing
    if group.spec.mode is not GroupMode.ONE_CANCELS_OTHER or not group.reduces:
        return
    wanted = wants(standing)
    filled = sum((member.filled / member.quantity for member in every), Decimal(0))
    for member in every:
        want = wanted[member.name]
        if not want.unwanted and filled <= 1 and not member.finished:
            assert filled + (max(want.quantity - member.filled, Decimal(0)) / member.quantity) <= 1


@pytest.mark.proves("H19", "rule 6")
@given(standing=standings(), native=st.booleans())
@CASES
def test_nothing_is_sent_before_its_object_stands_in_the_groups_status(standing, native):
    group, every = standing
    wanted = wants(standing, native=native)
    for member in every:
        if member.status.uid is None or group.spec.suspend or group.restored:
            assert wanted[member.name].held is not None


@pytest.mark.proves("F44")
@given(standing=standings(), troubles=st.lists(st.sampled_from([OrderState.UNKNOWN, OrderState.REJECTED, OrderState.DENIED]), min_size=3, max_size=3))
@CASES
def test_no_trouble_of_another_member_takes_the_stop_of_a_position_away_or_holds_it(standing, troubles):
    group, every = standing
    stop = next((member for member in every if group.entry is not None and member.spec.role.value == "StopLoss"), None)
    if stop is None:
        return
    trouble = iter(troubles)
    shaken = tuple(member if member is stop or member.order is None or member.finished else _in_trouble(member, next(trouble)) for member in every)
    entry = next(member for member in shaken if member.name == group.entry.name)
    if entry.finished is not next(member for member in every if member.name == entry.name).finished:
        return  # the Entry's end is no trouble but the end of what may come
    before, after = wants(standing)[stop.name], wants((group, shaken))[stop.name]
    assert after.unwanted == before.unwanted
    assert after.held == before.held


def _in_trouble(member: Member, state: OrderState) -> Member:
    ended = {"completion_time": T0_TIME} if state is not OrderState.UNKNOWN else {}
    return replace(member, order=replace(member.order, status=member.order.status.model_copy(update={"state": state, **ended})))


T0_TIME = a_status(completionTime="2027-01-15T08:00:00Z").completion_time
