"""Watches whose connections died without a word, as behind a firewall that forgot them, on a real API server."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.desks import Desk
from tests.support import eventually

QUIET_S = 3.0


class Firewall:
    """A way to the API server that can forget what has been quiet for a while: nothing more comes through there, and neither end is told."""

    def __init__(self, host: str, port: int) -> None:
        self._server, self._target = socket.create_server(("127.0.0.1", 0)), (host, port)
        self.port: int = self._server.getsockname()[1]
        self._asked_at: dict[socket.socket, float] = {}
        self._forgotten: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._asked_at[client] = time.monotonic()
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, sink, client), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, client: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if source is client:
                    self._asked_at[client] = time.monotonic()
                if client not in self._forgotten:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def forget_the_quiet(self) -> int:
        """How many connections were: on a watch, nothing is asked after the first."""
        quiet = {client for client, at in self._asked_at.items() if time.monotonic() - at > QUIET_S}
        self._forgotten |= quiet
        return len(quiet)

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def behind_a_firewall(desk: Desk, tmp_path: Path) -> Iterator[Firewall]:
    kubeconfig = desk.kubeconfig.read_text()
    found = re.search(r"https://([\w.]+):(\d+)", kubeconfig)
    assert found is not None
    firewall = Firewall(found[1], int(found[2]))
    desk.kubeconfig = tmp_path / "kubeconfig"
    desk.kubeconfig.write_text(kubeconfig.replace(found[0], f"https://127.0.0.1:{firewall.port}"))
    yield firewall
    firewall.close()


@pytest.mark.proves("rule 4")
def test_the_kill_switch_holds_though_every_watch_went_deaf_and_they_hear_again_within_half_a_minute(desk, behind_a_firewall):
    trading = desk.trading
    desk.start()
    trading.await_account()
    placed = time.monotonic()
    trading.place("before")
    trading.await_state("before", "Filled")
    usual = time.monotonic() - placed           # on this machine, as busy as it is now
    time.sleep(QUIET_S + 1)                     # the measure, and not a wait for something
    assert behind_a_firewall.forget_the_quiet() >= 5, "a watch of each kind"
    began = time.monotonic()
    trading.run("patch", "xa", "main", "--type=merge", "-p", '{"spec":{"tradingMode":"CancelOnly"}}')
    eventually(lambda: trading.run("get", "xa", "main", "-o", "jsonpath={.status.tradingMode}") == "CancelOnly", within=60, what="the account to be CancelOnly")
    assert time.monotonic() - began < max(15, 10 * usual), "by the reading beside the watch"
    trading.place("late")
    eventually(lambda: trading.condition("late", "Ready").get("reason") == "TradingModeCancelOnly", within=60, what="the order to wait for the mode")
    assert len(desk.exchange.orders()) == 1
