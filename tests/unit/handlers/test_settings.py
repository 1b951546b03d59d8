"""How kopf is set up."""

from __future__ import annotations

import kopf

from exchange_kernel.handlers.settings import configure


def test_a_watch_whose_connection_died_without_a_word_is_noticed_within_half_a_minute():
    """And one on which nothing happens is not taken for dead: the server ends it first."""
    settings = kopf.OperatorSettings()
    configure(settings)
    assert settings.watching.server_timeout < settings.watching.inactivity_timeout <= 30
