"""What ccxt and aiohttp do that an order must not depend on, and the tests that would fail if it did: a table, and the tests that have no other place."""

from __future__ import annotations

import ast
import asyncio
import decimal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange_kernel.core.answers import Accepted, Unknown, Unreachable
from exchange_kernel.exchanges.ccxt import open_exchange
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.rows import ROWS
from exchange_kernel.exchanges.port import Credentials, Gap
from tests.contract import test_rows as rows
from tests.contract.fake_venue import an_order, drops, error, says, submitted
from tests.contract.test_ccxt_adapter import LOOKUP, ORDER, REF, Gate, a_request, connected

#: Tests by name; that each of them exists is a test too.
TRAPS = {
    "The client order id is dropped, or is written under a name that the venue does not know": (
        "test_all_of_an_order_reaches_the_wire_by_the_row", "test_what_reaches_the_wire_by_ccxts_defaults",
        "test_a_venue_whose_wire_is_not_known_to_carry_an_order_is_refused"),
    "A client order id is taken for a key of idempotency: a second order under it is a second order": (
        "test_a_second_order_under_a_living_id_is_a_duplicate_and_the_first_is_untouched",
        "test_a_list_whose_answer_is_lost_is_found_with_its_orders_and_not_made_twice"),
    "A page, nothing, or half an answer with a 200 is taken for success": (
        "test_what_proves_nothing_is_unknown_or_unreachable", "test_no_balances_are_read_from_what_is_no_answer", "test_an_empty_list_is_the_venues_own"),
    "An error that nobody mapped is taken for a refusal": ("test_a_definite_answer_needs_its_code_and_its_words", "test_an_order_is_refused_by_listed_words_only"),
    "A 5xx is judged by the code in its body": ("test_a_status_that_can_prove_nothing_takes_the_proof_from_every_word",),
    "Not found is said of an order that is there": ("test_not_found_is_said_in_one_way_only", "test_an_accepted_order_may_be_hidden_from_lookups_for_a_while"),
    "aiohttp sends GET, PUT and DELETE once more when a kept connection drops": (
        "test_a_dead_keep_alive_connection_gets_one_request_and_no_resend", "test_aiohttp_still_has_the_switch_that_turns_its_resend_off",
        "test_an_amend_that_was_not_taken"),
    "A redirect is followed, and its refusal looks like a request that was never sent": ("test_a_redirect_is_an_answer_and_not_a_way",),
    "ccxt repeats a request that failed": ("test_ccxts_own_retries_are_off_whatever_its_options_say",),
    "ccxt sends requests of its own accord": ("test_ccxt_sends_nothing_by_itself", "test_what_is_no_single_request_is_not_built"),
    "A request is signed before it waits": ("test_the_request_is_signed_with_the_stamp_and_the_window_that_the_proofs_count_on",),
    "Whoever is cancelled takes the answer along, or a turn of the budget": (
        "test_a_caller_that_leaves_after_the_first_byte_loses_no_answer", "test_a_caller_that_leaves_the_queue_of_the_budget_costs_nobody_a_turn"),
    "A price is rounded past the user's limit": ("test_an_order_is_written_as_the_venue_takes_it_and_never_past_the_limit",),
    "A market order with a price is a budget": ("test_an_order_is_written_as_the_venue_takes_it_and_never_past_the_limit",),
    "An order is changed to what ccxt thinks is the grid": ("test_what_ccxt_would_bend_is_not_sent",),
    "The decimal context of the whole process is changed": (
        "test_the_decimal_context_of_the_process_stays_as_it_was", "test_the_decimal_context_stays_as_it_was_through_an_order",
        "test_our_money_does_not_depend_on_the_decimal_context_that_ccxt_changes"),
    "ccxt makes up what was filled": ("test_what_ccxt_would_make_up_is_left_out", "test_an_order_is_found_with_the_venues_own_numbers"),
    "An amended order gets another client order id": ("test_an_amended_order_keeps_the_id_we_know_it_by", "test_an_amend_without_an_answer_was_made_once_and_is_found"),
    "Requests name ccxt's broker": ("test_no_request_names_a_broker",),
    "Orders pay ccxt's builder": ("test_no_order_pays_ccxts_builder_and_none_is_approved_first",),
    "Retry-After and a ban are not heeded, or by one caller only": (
        "test_the_venues_stay_away_holds_for_the_whole_account", "test_a_code_for_too_many_requests_means_the_same_without_the_status",
        "test_a_long_stay_away_sends_everybody_home_with_its_length"),
    "Cancels wait behind listings": ("test_who_waits_goes_by_priority_and_then_by_arrival", "test_the_reserve_is_for_cancels"),
    "The clock's offset is measured once": (
        "test_reads_are_signed_with_the_venues_time_and_ask_again_when_it_was_refused", "test_the_clock_of_a_venue_that_is_ahead_is_read_and_followed",
        "test_a_clock_that_was_read_again_is_what_reads_are_signed_with"),
    "Markets are loaded once, and one that is new, or changed, is not known": (
        "test_the_list_of_markets_is_loaded_again_when_it_has_grown_old", "test_an_order_of_a_market_newer_than_our_list_loads_the_list_again",
        "test_a_market_that_our_list_lacks_is_looked_for_in_a_newer_one_and_not_with_every_order", "test_a_market_that_changes_is_followed_with_the_next_sweep"),
    "Two markets have one name": ("test_a_name_that_two_open_markets_share_is_nobodys",),
    "Answers of calls that are under way at once are mixed up": (
        "test_many_sends_at_once_are_each_signed_with_their_own_stamp", "test_numbered_requests_go_out_one_after_the_other"),
    "Events that nobody waits for are lost": ("test_a_burst_reaches_a_reader_that_is_slow_or_away_whole_and_in_order",),
    "A stream dies in silence, or is terminated and stays open": (
        "test_silence_is_a_gap_even_while_the_gateway_pings", "test_the_venue_may_end_the_subscription_and_leave_the_socket_open"),
    "A reconnection replays nothing": ("test_a_lost_connection_is_a_gap_and_so_is_the_new_subscription",),
    "Closing leaves sockets and tasks, or ends its watchers as if they had been cancelled": (
        "test_closing_waits_for_what_is_written_sends_nothing_more_and_leaves_no_task", "test_closing_ends_the_streams_of_all_readers_and_cancels_none"),
    "A venue without a sandbox is asked for one": ("test_a_venue_without_a_sandbox_says_so",),
    "Errors of ccxt hold addresses, and they a signature": ("test_nothing_that_is_secret_is_ever_said",),
    "Another version behaves in another way": ("test_ccxts_class_is_the_pinned_one_with_another_way_out",),
}


def _tests() -> Iterator[str]:
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node.name


def test_each_trap_has_its_tests() -> None:
    missing = {name for names in TRAPS.values() for name in names} - set(_tests())
    assert not missing
    assert all(TRAPS.values())


# ── What has no other place ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def context() -> tuple[Any, ...]:
    found = decimal.getcontext()
    return found.prec, found.rounding, {trap: on for trap, on in found.traps.items()}


@rows.EVERY
async def test_the_decimal_context_of_the_process_stays_as_it_was(row: Row) -> None:
    decimal.setcontext(decimal.Context(prec=28, rounding=decimal.ROUND_HALF_EVEN))
    before = context()
    async with rows.connected(row) as (exchange, _):
        market = exchange._by_symbol[rows.symbol_of(row)]
        call = exchange._dialect.submit(rows.a_request(row), market)
        call.stamped()
        await exchange.markets(reload=True)
    assert context() == before


async def test_the_decimal_context_stays_as_it_was_through_an_order() -> None:
    async with connected() as (exchange, venue):
        before = context()
        venue.on(*ORDER, submitted())
        venue.on(*LOOKUP, says(200, an_order(clientOrderId=REF.client_order_id)))
        await exchange.markets()
        assert isinstance(await exchange.submit(a_request(), Gate()), Accepted)
        await exchange.lookup(REF)
        await exchange.balances()
        assert context() == before


async def test_ccxts_own_retries_are_off_whatever_its_options_say() -> None:
    async with connected() as (exchange, venue):
        there: Any = exchange
        there._ccxt.options |= {"maxRetriesOnFailure": 5, "maxRetriesOnFailureDelay": 0}
        for answer in (drops, error(503, -1008, "Server is currently overloaded with other requests. Please try again in a few minutes.")):
            venue.on(*ORDER, answer)
            venue.on(*LOOKUP, answer)
            assert isinstance(await exchange.submit(a_request(), Gate()), Unknown)
            assert isinstance(await exchange.lookup(REF), Unreachable)
        assert (len(venue.calls(*ORDER)), len(venue.calls(*LOOKUP))) == (2, 2)


async def test_no_order_pays_ccxts_builder_and_none_is_approved_first() -> None:
    row = ROWS["hyperliquid", "swap"]
    async with rows.connected(row) as (exchange, _):
        call = exchange._dialect.submit(rows.a_request(row), exchange._by_symbol[rows.symbol_of(row)])
        params = call.stamped()
    assert params["action"]["type"] == "order", "and not approveBuilderFee or setReferrer"
    assert "builder" not in params["action"]


async def test_a_clock_that_was_read_again_is_what_reads_are_signed_with() -> None:
    async with connected() as (exchange, venue):
        venue.on(*LOOKUP, says(200, an_order(clientOrderId=REF.client_order_id)))
        for venue_ms in (1_900_000_000_000, 1_900_000_060_000, 1_899_999_000_000):
            venue.on("GET", "/api/v3/time", says(200, {"serverTime": venue_ms}))
            began = time.monotonic()
            await exchange.clock()
            await exchange.lookup(REF)
            took_ms = (time.monotonic() - began) * 1000
            assert 0 <= int(venue.calls(*LOOKUP)[-1].params["timestamp"]) - venue_ms < max(1000, took_ms), "ahead, or back"


async def test_closing_ends_the_streams_of_all_readers_and_cancels_none() -> None:
    async with connected() as (exchange, _):
        ended: list[str] = []

        async def read(name: str) -> None:
            try:
                async for fact in exchange.stream():
                    if fact is Gap.SUBSCRIBED:
                        subscribed.release()
            except asyncio.CancelledError:
                ended.append(f"{name} was cancelled")
                raise
            ended.append(name)

        subscribed = asyncio.Semaphore(0)
        watchers = [asyncio.create_task(read(name)) for name in ("one", "two")]
        for _ in watchers:
            await subscribed.acquire()
        async with asyncio.timeout(5):
            await exchange.close()
            await asyncio.gather(*watchers)
        assert sorted(ended) == ["one", "two"]
        assert [fact async for fact in exchange.stream()] == [], "and a stream of a closed adapter ends at once"
        there: Any = exchange
        assert there._http.closed


@pytest.mark.parametrize("exchange_id", ["kraken", "coinbase", "kucoin"])
async def test_a_venue_without_a_sandbox_says_so(exchange_id: str) -> None:
    with pytest.raises(ValueError, match="has no sandbox"):
        open_exchange(exchange_id, market_type="spot", environment="Sandbox", rest=None, websocket=None, ca_pem=None, requests_per_second=None,
                      cancel_reserve_percent=10, credentials=Credentials({"apiKey": "key", "secret": "c2VjcmV0", "password": "password"}))
