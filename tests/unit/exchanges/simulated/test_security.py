"""Who may ask, and until when. The window's edges are the venue's own (rest-api.md, "Timing security")."""

from __future__ import annotations

import hmac

import pytest

from exchange_kernel.exchanges.simulated.errors import VenueError
from exchange_kernel.exchanges.simulated.parameters import Parameters
from exchange_kernel.exchanges.simulated.security import Caller, Keys, unsigned
from tests.unit.exchanges.simulated.client import T0, an_account, cases


def admit(now: int = T0, key: str | None = "key", secret: str = "secret", **params: str) -> Caller:
    keys = Keys(lambda: now)
    keys.add("key", "secret", an_account())
    payload = "&".join(f"{name}={value}" for name, value in params.items() if name != "signature")
    params.setdefault("signature", hmac.digest(secret.encode(), payload.encode(), "sha256").hex())
    return keys.admit(key, payload, Parameters(params.items()))


def refusal(**asked) -> tuple[int, int, str]:
    with pytest.raises(VenueError) as refused:
        admit(**asked)
    return refused.value.status, refused.value.code, refused.value.message


LATE = (400, -1021, "Timestamp for this request is outside of the recvWindow.")
EARLY = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")


@pytest.mark.parametrize(("reason", "asked", "expires"), cases(
    ("now, for 5 seconds unless it says", {"timestamp": T0}, T0 + 5000),
    ("as old as its window", {"timestamp": T0 - 3000, "recvWindow": 3000}, T0),
    ("a window of fractions", {"timestamp": T0 - 1, "recvWindow": "1.5"}, T0 + 0.5),
    ("almost a second ahead", {"timestamp": T0 + 999, "recvWindow": 3000}, T0 + 3999),
    ("the longest window", {"timestamp": T0, "recvWindow": 60000}, T0 + 60000),
    ("microseconds", {"timestamp": T0 * 1000, "recvWindow": 3000}, T0 + 3000),
    ("a signature in capitals", {"timestamp": T0, "signature": hmac.digest(b"secret", f"timestamp={T0}".encode(), "sha256").hex().upper()}, T0 + 5000),
))
def test_admitted(reason, asked, expires):
    assert float(admit(**{name: str(value) for name, value in asked.items()}).expires) == expires


@pytest.mark.parametrize(("reason", "asked", "want"), cases(
    ("older than its window", {"timestamp": T0 - 3001, "recvWindow": 3000}, LATE),
    ("a second ahead", {"timestamp": T0 + 1000}, EARLY),
    ("a stamp of zero", {"timestamp": 0}, LATE),
    ("another secret", {"timestamp": T0, "secret": "guess"}, (400, -1022, "Signature for this request is not valid.")),
    ("a signature of something else", {"timestamp": T0, "signature": "00" * 32}, (400, -1022, "Signature for this request is not valid.")),
    ("a key that nobody has", {"timestamp": T0, "key": "stranger"}, (401, -2015, "Invalid API-key, IP, or permissions for action.")),
    ("no key", {"timestamp": T0, "key": None}, (401, -2014, "API-key format invalid.")),
    ("a key that can't be one", {"timestamp": T0, "key": "a key"}, (401, -2014, "API-key format invalid.")),
    ("no stamp", {}, (400, -1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")),
    ("a stamp that is no number", {"timestamp": "now"}, (400, -1100, "Illegal characters found in parameter 'timestamp'; legal range is '^[0-9]{1,20}$'.")),
    ("a window beyond the longest", {"timestamp": T0, "recvWindow": 60001}, (400, -1102, "'recvWindow' contains unexpected value. Cannot be greater than 60000.")),
))
def test_refused(reason, asked, want):
    assert refusal(**{name: str(value) if isinstance(value, int) else value for name, value in asked.items()}) == want


def test_the_window_can_end_between_admission_and_the_engine():
    caller = admit(timestamp=str(T0), recvWindow="3000")
    caller.check(T0 + 3000)
    with pytest.raises(VenueError, match="outside of the recvWindow"):
        caller.check(T0 + 3001)


@pytest.mark.parametrize(("reason", "encoded", "want"), cases(
    ("last", "a=1&signature=ff", "a=1"),
    ("first", "signature=ff&a=1", "a=1"),
    ("none", "a=1&b=2", "a=1&b=2"),
    ("nothing else", "signature=ff", ""),
))
def test_the_signature_is_not_signed(reason, encoded, want):
    assert unsigned(encoded) == want


def test_a_key_must_be_one():
    with pytest.raises(ValueError, match="an API key has"):
        Keys(lambda: T0).add("a key", "secret", an_account())
