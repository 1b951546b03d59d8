import pytest

from exchange_kernel.core.identity import CODECS, LENGTHS, encode, is_ours, keyed_order_id, order_id, owner_prefix

OWNER = owner_prefix("7d1c9bd4-5f0e-4d3a-9a7d-0c7f8f6a1b2c")


@pytest.mark.proves("rule 2", "F1")
def test_rule_2_the_id_is_the_same_on_every_replica_and_after_every_restart():
    assert order_id(OWNER, uid="a", attempt=1) == order_id(OWNER, uid="a", attempt=1)
    assert len({order_id(OWNER, uid=uid, attempt=attempt) for uid in "abc" for attempt in (1, 2, 11)}) == 9


@pytest.mark.proves("rule 2", "F8")
def test_rule_2_a_recreated_object_is_another_order_unless_it_carries_a_key():
    assert order_id(OWNER, uid="first", attempt=1) != order_id(OWNER, uid="second", attempt=1)
    keyed = {keyed_order_id(OWNER, fingerprint="f", namespace="n", key="k", attempt=1) for _ in ("first", "second")}
    assert len(keyed) == 1


@pytest.mark.proves("rule 2", "H18", "F7")
def test_rule_2_parts_do_not_run_into_each_other():
    assert keyed_order_id(OWNER, fingerprint="ab", namespace="c", key="k", attempt=1) != keyed_order_id(OWNER, fingerprint="a", namespace="bc", key="k", attempt=1)
    assert order_id(OWNER, uid="a1", attempt=1) != order_id(OWNER, uid="a", attempt=11)


def test_rule_2_an_id_names_its_installation():
    mine = encode(order_id(OWNER, uid="a", attempt=1), "hex32")
    assert is_ours(mine, OWNER)
    assert not is_ours(mine, owner_prefix("another cluster"))
    assert not is_ours(OWNER + "-by-hand", OWNER)


@pytest.mark.proves("rule 2", "H18")
def test_h18_an_encoding_never_changes_under_its_name():
    # A golden value: a change here would make every unsettled order of an older release look absent.
    assert encode(order_id("abc123", uid="00000000-0000-0000-0000-000000000001", attempt=1), "hex32") == "abc123" + "e94af7ea56a40d5105070b95f0"
    assert encode(order_id("abc123", uid="00000000-0000-0000-0000-000000000001", attempt=1), "hex28") == "abc123" + "e94af7ea56a40d5105070b"


def test_rule_2_every_encoding_names_its_installation():
    made = order_id(OWNER, uid="a", attempt=1)
    assert all(is_ours(encode(made, codec), OWNER) for codec in CODECS)
    assert {len(encode(made, codec)) for codec in CODECS} == LENGTHS
    assert not is_ours(made[:20], OWNER)
