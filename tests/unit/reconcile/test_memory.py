"""Which ids an intent follows, kept both ways."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exchange_kernel.core.sending import SendStage
from exchange_kernel.reconcile.memory import AccountMemory
from tests.builders import a_send, an_order

UIDS, IDS = st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2", "3", "4"])
STEPS = st.lists(st.tuples(st.sampled_from(["bind", "send", "leave", "forget"]), UIDS, IDS), max_size=30)


@given(STEPS)
def test_what_is_forgotten_is_what_was_bound_last(steps: list[tuple[str, str, str]]) -> None:
    """Ids change hands, as with a key that a second object has: each is forgotten with the intent that follows it by then, and with no other."""
    memory, bound, sent = AccountMemory(), dict[str, str](), set[str]()
    for step, uid, client_order_id in steps:
        match step:
            case "bind":
                memory.bind(client_order_id, uid, "main")
                bound[client_order_id] = uid
            case "send" if client_order_id in bound:
                memory.of(client_order_id).send = a_send(SendStage.UNKNOWN)
                sent.add(client_order_id)
            case "leave" if client_order_id in bound:
                memory.leave(client_order_id, None)
                bound.pop(client_order_id)
                sent.discard(client_order_id)
            case "forget":
                memory.forget_intent(replace(an_order(), uid=uid))
                gone = {one for one, whose in bound.items() if whose == uid}
                bound = {one: whose for one, whose in bound.items() if one not in gone}
                sent -= gone
        for one in ("1", "2", "3", "4"):
            assert memory.uid_of(one) == bound.get(one)
        for whose in ("a", "b", "c"):
            assert memory.sent_for(whose) == any(bound[one] == whose for one in sent)
