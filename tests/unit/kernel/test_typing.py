"""mypy --strict accepts what users write: a subclass of ExchangeKernel, and a strategy."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

from exchange_kernel.kernel import ExchangeKernel

ROOT = Path(__file__).parents[3]
STRATEGY = ROOT / "manifests" / "examples" / "strategy" / "grid.py"

HEADER = """
from typing import Any

from exchange_kernel.kernel import AccountState, AssetMetadata, EventCallback, EventFilter, ExchangeKernel, OrderIntent, OrderState, Position
from exchange_kernel.schema import StandardOrder, StandardOrderGroup, SymbolMetadata


class Mine(ExchangeKernel):
    def __init__(self) -> None:
        super().__init__("mine")
"""


def check(*paths: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "MYPYPATH": str(ROOT / "operator")}
    return subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), *map(str, paths)],
                          cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def subclass(directory: Path, change: str = "") -> Path:
    """One that implements every method with the contract's signature."""
    methods = []
    for name in sorted(ExchangeKernel.__abstractmethods__):
        method = getattr(ExchangeKernel, name)
        signature = str(inspect.signature(method)).replace("'", "").replace(change or "\0", "int")
        prefix = "async def" if inspect.iscoroutinefunction(method) else "def"
        methods.append(f"    {prefix} {name}{signature}:\n        raise NotImplementedError\n")
    path = directory / "mine.py"
    path.write_text(HEADER + "\n" + "\n".join(methods) + "\n\nKERNEL: ExchangeKernel = Mine()\n")
    return path


def test_a_subclass_and_a_strategy_of_a_user_s_pass_and_a_wrong_one_does_not(tmp_path):
    good = check(subclass(tmp_path), STRATEGY)
    assert good.returncode == 0, good.stdout + good.stderr
    (tmp_path / "wrong").mkdir()
    wrong = check(subclass(tmp_path / "wrong", change="list[OrderState]"))
    assert 'incompatible with return type "Coroutine[Any, Any, list[OrderState]]"' in wrong.stdout
