"""A group that the exchange keeps: all its orders in one request, each written down before, and none of them on its own."""

from __future__ import annotations

from collections.abc import Callable

from exchange_kernel.api import AttemptStage
from exchange_kernel.core import groups
from exchange_kernel.core.actions import Waiting
from exchange_kernel.core.answers import GroupFound, NotFound, Unreachable
from exchange_kernel.core.checks.pace import due
from exchange_kernel.core.checks.sending import may_not_send
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.group_status import Outlook
from exchange_kernel.core.groups import Want
from exchange_kernel.core.market_rules import halted, request_for
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.sending import SendStage
from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.port import Closed
from exchange_kernel.reconcile import submitter
from exchange_kernel.reconcile.session import AccountSession

EXISTS = Waiting("ListExists", "The exchange has the group's list, and not all of its orders are found yet: they are being looked for.")

#: The gate of one member's first send (rule 4), in one request with so many others.
Gate = Callable[[OrderRecord, AccountSession, OrderRequest, int], Callable[[], Closed | None]]


async def send(outlook: Outlook, session: AccountSession, gate: Gate, *, again: bool) -> tuple[str, ...] | GroupFound | Unreachable:
    """Send the list once all its members are ready for it. The UIDs of those that were sent, none if it is not time; or what keeps it from being sent.

    `again`: this process has handed it to the adapter before.
    """
    members = [member for member in outlook.members if not (member.extra or member.held)]
    legs = {member.name: (member.order, member.facts) for member in members if member.order is not None and member.facts is not None}
    if len(legs) < len(members) or not all(_ready(facts, outlook.wanted[name]) for name, (_, facts) in legs.items()):
        return ()
    list_id = session.list_id(outlook.group.uid)
    if again or not all(facts.seen.new for _, facts in legs.values()):
        # 5: a list is absent only if the list is, and every one of its orders; those have been proved to be.
        found = await session.lookup_group(outlook.members[0].spec.symbol, list_id)
        if not isinstance(found, NotFound):
            return found
    ids = {name: facts.seen.ids[facts.numbers[-1]] for name, (_, facts) in legs.items()}
    request = groups.list_request(outlook.group, members, outlook.markets, list_id, ids)
    asked = {leg.request.client_order_id: leg.request for leg in request.legs}
    gates = [gate(order, session, asked[ids[name]], len(legs) - 1) for name, (order, _) in legs.items()]
    await submitter.submit_group(session, request, lambda: next((closed for check in gates if (closed := check()) is not None), None))
    return tuple(order.uid for order, _ in legs.values())


def _ready(facts: Facts, want: Want) -> bool:
    """Whether a member waits for nothing but its list: written down, provably not at the exchange, and wanted there."""
    number = facts.numbers[-1] if facts.numbers else 1
    send = facts.send(number)
    if send is None or send.stage not in (SendStage.PREPARED, SendStage.NOT_SENT) or not facts.submits_first:
        return False
    if send.stage is SendStage.NOT_SENT and not due(send.tried_ms, facts.now.venue_ms):
        return False
    written, market = facts.recorded_stage(number) is AttemptStage.PREPARED, facts.seen.market
    if market is None or halted(market) is not None:
        return False
    if facts.risk(request_for(facts.spec, facts.seen.ids[number], market, quantity=facts.spec.quantity)) is not None:
        return False
    return written and not facts.unwanted and not want.unwanted and want.held is None and may_not_send(facts) is None
