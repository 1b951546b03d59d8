"""Tests in virtual time: hours pass in milliseconds, in the order they would."""

from __future__ import annotations

import asyncio
import functools

from exchange_kernel.exchanges.simulated.virtual_time import VirtualTimeLoop


def run(main, loop_factory=VirtualTimeLoop):
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


def scenario(test):
    """A test that is a coroutine, run in virtual time."""

    @functools.wraps(test)
    def in_virtual_time(**cases):
        run(test(**cases))

    return in_virtual_time
