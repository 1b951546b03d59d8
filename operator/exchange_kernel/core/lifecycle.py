"""The states of an order and every legal edge between them. The docs' diagram is made from this table."""

from __future__ import annotations

from collections.abc import Mapping

from exchange_kernel.api import OrderState as State

#: States that only the exchange's own word can give.
EXCHANGE_STATES = frozenset({State.OPEN, State.PARTIALLY_FILLED, State.FILLED, State.CANCELED, State.EXPIRED, State.REJECTED})

ENDED = frozenset({State.FILLED, State.CANCELED, State.EXPIRED, State.REJECTED, State.DENIED})

#: Every legal edge. Anything else is a bug and raises IllegalTransition. Staying where one is is no edge and always allowed.
EDGES: Mapping[State, frozenset[State]] = {
    # Sent first and written after, or found on recovery: an order may be first seen in any state.
    State.PENDING: frozenset({State.SUBMITTING, State.UNKNOWN, State.DENIED, *EXCHANGE_STATES}),
    State.SUBMITTING: frozenset({State.PENDING, State.UNKNOWN, State.DENIED, *EXCHANGE_STATES}),  # back to Pending: provably not sent
    State.UNKNOWN: frozenset({State.PENDING, State.SUBMITTING, State.DENIED, *EXCHANGE_STATES}),  # located, or proved absent
    # A stop-limit is refused by the engine after it was accepted; a replacement may be Unknown while its predecessor was open.
    State.OPEN: frozenset({State.PARTIALLY_FILLED, State.FILLED, State.CANCELED, State.EXPIRED, State.REJECTED, State.SUBMITTING, State.UNKNOWN}),
    # Back to Open only through a bust, the one event by which a fill is taken away.
    State.PARTIALLY_FILLED: frozenset({State.OPEN, State.FILLED, State.CANCELED, State.EXPIRED, State.REJECTED, State.SUBMITTING, State.UNKNOWN}),
    # An end that has not settled yet may turn out fuller, or be taken back by the venue; a settled one (completionTime) has no edges at all.
    State.CANCELED: frozenset({State.FILLED, State.OPEN, State.PARTIALLY_FILLED, State.EXPIRED, State.UNKNOWN, State.SUBMITTING, State.REJECTED}),
    State.EXPIRED: frozenset({State.FILLED, State.CANCELED, State.OPEN, State.PARTIALLY_FILLED, State.UNKNOWN}),
    State.REJECTED: frozenset({State.OPEN, State.PARTIALLY_FILLED, State.FILLED, State.CANCELED, State.UNKNOWN}),
    # Before it settled: a bust, or a target that grew, whose rest is sent as a change.
    State.FILLED: frozenset({State.PARTIALLY_FILLED, State.OPEN, State.SUBMITTING, State.UNKNOWN, State.CANCELED, State.REJECTED}),
    State.DENIED: frozenset(),
}


class IllegalTransition(Exception):
    """A step that the table does not have: a bug of ours, never an answer of the venue."""


def advance(old: State, new: State, *, settled: bool) -> State:
    """The new state, if the table allows the step. `settled`: completionTime is written, after which nothing moves."""
    if new is not old and (settled or not legal(old, new)):
        raise IllegalTransition(f"{old} → {new}" + (" after the end had settled" if settled else ""))
    return new


def legal(old: State, new: State) -> bool:
    """Return whether the table has the step, or none is made."""
    return new is old or new in EDGES[old]
