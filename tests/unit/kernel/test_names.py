"""Names of intents."""

from __future__ import annotations

import re

import pytest

from exchange_kernel.kernel.names import Names, fit_for_label, fit_for_object, keyed_name

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def names_at(*times: int, chance: bytes = b"\x7f" * 10) -> list[str]:
    clock = iter(times)
    made = Names("grid", wall_ms=lambda: next(clock), chance=lambda length: chance[:length])
    return [made.new() for _ in times]


@pytest.mark.parametrize(("reason", "times"), [
    ("later is later", [1, 2, 3, 1_800_000_000_000, 1_800_000_000_001]),
    ("in the same millisecond they count up", [5, 5, 5]),
    ("a clock that is set back does not put a name before its predecessor", [1000, 10, 11, 1001]),
    ("the last millisecond that fits", [2**48 - 1, 2**48 - 1]),
])
def test_names_sort_as_they_were_given(reason, times):
    names = names_at(*times)
    assert names == sorted(names)
    assert len(set(names)) == len(names)


def test_a_name_is_fit_for_kubernetes():
    for name in names_at(0, 1_800_000_000_000, 2**48 - 1, chance=b"\xff" * 9 + b"\x00"):
        assert SUBDOMAIN.fullmatch(name)
        assert len(name) == len("grid-") + 26


def test_the_time_can_be_read_from_a_name():
    (name,) = names_at(1_800_000_000_000)
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    milliseconds = 0
    for letter in name.removeprefix("grid-")[:10]:
        milliseconds = milliseconds * 32 + digits.index(letter)
    assert milliseconds == 1_800_000_000_000


def test_names_of_two_processes_differ_in_the_same_millisecond():
    assert names_at(7, chance=b"\x01" * 10) != names_at(7, chance=b"\x02" * 10)


def test_a_key_gives_the_same_name_on_the_same_account_only():
    name = keyed_name("main", "2026-01-31:open")
    assert name == keyed_name("main", "2026-01-31:open")
    assert SUBDOMAIN.fullmatch(name)
    assert len({name, keyed_name("other", "2026-01-31:open"), keyed_name("main", "2026-01-31:close"), keyed_name("main2", "026-01-31:open")}) == 4


@pytest.mark.parametrize(("text", "label", "name"), [
    ("grid", True, True), ("grid-2", True, True), ("a" * 63, True, True), ("a" * 64, False, True), ("a.b", False, True),
    ("", False, False), ("Grid", False, False), ("-grid", False, False), ("grid-", False, False), ("a_b", False, False), ("a/b", False, False), ("a..b", False, False), ("a" * 254, False, False), ("grid\n", False, False),
])
def test_what_a_label_and_a_name_may_be(text, label, name):
    assert (fit_for_label(text), fit_for_object(text)) == (label, name)
