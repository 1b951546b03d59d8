"""Every line of a log is JSON, whoever wrote it; and text for people is one line that draws nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

SPEAK = """
    import asyncio, logging, sys, warnings
    import structlog
    from exchange_kernel.telemetry import logs
    logs.configure(level="INFO", json=sys.argv[1] == "json")
    logs.configure(level="INFO", json=sys.argv[1] == "json")
    text = "said\\r\\nlevel=info forged \\x1b[2J\\u202e"
    structlog.get_logger("ours").info("an event", reason=text)
    for name in ("ccxt", "aiohttp.client", "kopf.objects", "kubernetes", "exchange_kernel.exchanges.ccxt.link"):
        logging.getLogger(name).warning("a library %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("asyncio").exception("it failed")
    warnings.warn("an old way", DeprecationWarning, stacklevel=1)
    logging.getLogger("aiohttp.access").info("not told")
"""


def spoken(form: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-W", "always", "-c", textwrap.dedent(SPEAK), form], capture_output=True, text=True, timeout=60, check=True)
    return ran.stderr.split("\n")[:-1]


def test_libraries_log_json_where_the_operator_does():
    lines = [json.loads(line) for line in spoken("json")]
    assert [line["level"] for line in lines] == ["info", *["warning"] * 5, "error", "warning"]
    assert all({"event", "timestamp"} <= line.keys() for line in lines)
    assert lines[1]["logger"] == "ccxt"
    assert "ValueError" in lines[6]["exception"]
    assert "an old way" in lines[7]["event"]


@pytest.mark.parametrize("forbidden", ["\x1b[2J", "\r", "\u202e"], ids=["escape", "return", "direction"])
def test_text_for_people_draws_nothing(forbidden):
    lines = [line for line in spoken("text") if "an event" in line or "a library" in line]
    assert len(lines) == 6
    assert not [line for line in lines if forbidden in line]
