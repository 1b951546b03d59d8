"""What `exchange-kernel run` can be told, and what it can not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main
from typer.testing import CliRunner

from exchange_kernel.cli.main import app

PACKAGE = Path(__file__).parents[3] / "operator" / "exchange_kernel"
BROKEN = ("--test-drop-events", "--test-no-timer", "--test-without-recovery")


def commands(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}".strip())


def test_no_command_can_be_told_to_be_broken():
    """Hidden options count: a chart's extraArgs reach them."""
    found = dict(commands(typer.main.get_command(app)))
    assert "run" in found
    for path, command in found.items():
        for option in command.params:
            assert not any("test" in name or "recovery" in name for name in (*option.opts, *option.secondary_opts)), path
            assert not getattr(option, "hidden", False), f"{path} {option.name}"


@pytest.mark.parametrize("argument", BROKEN)
def test_an_operator_that_is_told_to_be_broken_does_not_start(argument: str):
    done = CliRunner().invoke(app, ["run", "--all-namespaces", argument])
    assert done.exit_code == 2
    assert "No such option" in done.output


def test_the_help_knows_of_no_test():
    assert not re.search(r"--test|without-recovery", CliRunner().invoke(app, ["run", "--help"]).output)


def test_the_shipped_package_has_no_way_to_switch_recovery_off():
    for module in PACKAGE.rglob("*.py"):
        assert not re.search(r"without[_-]recovery|TestHooks|test hook", module.read_text()), module
