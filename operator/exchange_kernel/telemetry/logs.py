"""Logs for administrators: one JSON line an event, or colours on a terminal. No secret is ever an argument of a log call.

Libraries (ccxt, aiohttp, kopf, kubernetes, asyncio) and warnings go the same way as our own events: a line that is no JSON is lost to whoever collects them.
"""

from __future__ import annotations

import logging
import sys

import structlog

_handler: logging.Handler | None = None  # ours, on the root logger


def configure(*, level: str = "INFO", json: bool = True) -> None:
    numeric = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    # JSON escapes what is no visible ASCII character.
    render: list[structlog.typing.Processor] = [structlog.processors.JSONRenderer()] if json else [one_line, structlog.dev.ConsoleRenderer()]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(max(numeric, logging.WARNING), shared, render)


def _configure_libraries(level: int, shared: list[structlog.typing.Processor], render: list[structlog.typing.Processor]) -> None:
    global _handler
    root = logging.getLogger()
    if _handler is not None:
        root.removeHandler(_handler)
    _handler = logging.StreamHandler(sys.stderr)
    _handler.setFormatter(structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared], processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    ))
    root.addHandler(_handler)
    root.setLevel(level)
    logging.captureWarnings(capture=True)


def one_line(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape control characters, line ends and marks that turn the direction of text: what an exchange or a user wrote draws nothing on a terminal."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception" and not value.isprintable():
            event[name] = "".join(one if one.isprintable() else one.encode("unicode_escape", "backslashreplace").decode("ascii") for one in value)
    return event
