"""An admission webhook, or a policy of the cluster's own, writes into the members that an operator makes: no position is without its stop for that."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from exchange_kernel.api import DeletionPolicy
from exchange_kernel.stores.port import Inadmissible, Unavailable, Written
from tests.scripted import until
from tests.unit.groups.desk import a_bracket, a_group_world
from tests.unit.groups.test_forged_members import dies_before_the_stop_is_written_down
from tests.virtual_time import scenario

OPEN, RESTS_S = "Open", 60.0
KEPT_FOR = {"ttl_seconds_after_finished": 3600}
WRITES = {"how long it is kept": KEPT_FOR, "its deadline": {"submit_deadline_seconds": 60}, "what its deletion does": {"deletion_policy": DeletionPolicy.ORPHAN}}


class Webhook:
    """Writes these fields into whatever somebody creates or changes."""

    def __init__(self, world, **fields) -> None:
        self.fields, self.corrections = fields, 0
        create, write = world.store.create, world.store.write_spec

        async def corrected(record, spec):
            self.corrections += 1
            spec = spec.model_copy(update=self.fields)
            return Written(record) if spec == record.spec else await write(record, spec)  # a write that changes nothing makes no new version

        world.store.create = lambda uid, spec, **options: create(uid, spec.model_copy(update=self.fields), **options)
        world.store.write_spec = corrected


async def its_stop_works(world) -> None:
    await until(lambda: world.live() >= {"take", "stop"})
    assert [order.quantity for order in world.exchange.orders_by_id.values() if order.type == "StopMarket"] == [Decimal(4)]
    await until(lambda: world.condition("Protected") == ("True", "StopWorking"))


@pytest.mark.parametrize("fields", WRITES.values(), ids=WRITES)
def test_my_cluster_writes_into_every_order_that_is_created(fields):
    async def story():
        async with a_group_world() as world:
            webhook = Webhook(world, **fields)
            await world.start()
            world.place(a_bracket())
            await world.settle(entry=OPEN)
            world.fill("entry", "4")
            await its_stop_works(world)
            await asyncio.sleep(RESTS_S)
            assert webhook.corrections < 200, "it is not written over and over"
            if fields is KEPT_FOR:
                assert world.condition("Stalled")[0] == "False"
                assert world.intent("stop").spec.ttl_seconds_after_finished == 3600, "how long an object is kept is not the group's to say"
            else:
                assert world.condition("Stalled") == ("True", "MemberNotChanged")
                webhook.fields = {}
                await until(lambda: world.condition("Stalled")[0] == "False")
            world.fill("take", "4")
            await world.finished()

    scenario(story)()


@scenario
async def test_my_cluster_says_how_long_orders_are_kept_and_the_operator_dies_before_the_stop_is_written_down():
    async with a_group_world() as world:
        Webhook(world, **KEPT_FOR)
        await dies_before_the_stop_is_written_down(world)
        await world.start()
        await its_stop_works(world)
        assert world.condition("Stalled")[0] == "False"


@scenario
async def test_what_could_not_be_put_right_is_put_right_by_a_person_and_is_no_trouble_any_more():
    async with a_group_world() as world:
        await world.start()
        world.place(a_bracket())
        await world.settle(entry=OPEN)
        world.fill("entry", "4")
        await its_stop_works(world)
        stop, write = world.intent("stop"), world.store.write_spec

        async def refused(*arguments):
            return Inadmissible("the cluster's own policy refused it")

        world.store.write_spec = refused
        world.store.edit(stop.uid, stop.spec.model_copy(update={"trigger_price": Decimal(44000)}))
        await until(lambda: world.condition("Stalled") == ("True", "MemberNotChanged"))
        world.store.edit(stop.uid, stop.spec)
        await until(lambda: world.condition("Stalled")[0] == "False")
        world.store.write_spec = write
        await asyncio.sleep(RESTS_S)
        assert world.live() >= {"take", "stop"}


@scenario
async def test_the_policies_come_with_an_upgrade_and_do_not_know_my_operator_by_its_name():
    """The Entry filled meanwhile: once the name is added the stop is made, and until then the group says what is wrong."""
    async with a_group_world() as world:
        await world.start()
        world.place(a_bracket())
        await world.settle(entry=OPEN)
        create = world.store.create_member

        async def not_the_operator(*arguments, **options):
            return Unavailable("spec.groupRef is written by the operator alone (somebody)", forbidden=True)

        world.store.create_member = not_the_operator
        world.fill("entry", "4")
        await until(lambda: world.condition("Stalled") == ("True", "MemberNotMade"))
        await asyncio.sleep(RESTS_S)
        assert world.condition("Protected")[0] == "False"
        world.store.create_member = create
        await its_stop_works(world)
        assert world.condition("Stalled")[0] == "False"
