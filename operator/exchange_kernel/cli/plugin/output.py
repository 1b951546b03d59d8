"""What is printed: tables by the kinds' own columns, JSON, YAML and names; progress goes to standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from exchange_kernel.api import Kind
from exchange_kernel.cli.plugin.cluster import Body

ANY_WIDTH = 10_000  # where nobody's screen sets one, nothing is folded


class Output(StrEnum):
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


OutputFlag = Annotated[Output, typer.Option("--output", "-o", help="table, wide, json, yaml or name.")]


class Document(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


DocumentFlag = Annotated[Document, typer.Option("--output", "-o", help="table, json or yaml.")]

_STYLES = {
    "Filled": "green", "Open": "cyan", "PartiallyFilled": "cyan", "Submitting": "yellow", "Pending": "yellow", "Unknown": "bold red", "Rejected": "red",
    "Denied": "red", "Expired": "magenta", "Canceled": "dim", "True": "green", "False": "red",
}


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else ANY_WIDTH, highlight=False, soft_wrap=False)


def progress_console() -> Console:
    return Console(stderr=True, highlight=False)


def table(*headers: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for header in headers:
        made.add_column(header.upper(), overflow="fold")
    return made


def cells(*values: object) -> list[Text]:
    texts = ["" if value is None else str(value) for value in values]
    return [Text(text, style=_STYLES.get(text, "")) for text in texts]


def print_document(document: Any, *, as_yaml: bool) -> None:
    typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip() if as_yaml else json.dumps(document, indent=2, ensure_ascii=False))


def print_objects(kind: type[Kind], objects: Sequence[Body], output: Output, *, namespaced: bool, single: bool = False) -> None:
    if output is Output.NAME:
        for raw in objects:
            typer.echo(object_name(kind, raw))
    elif output in (Output.JSON, Output.YAML):
        whole = [{"apiVersion": "exchange-kernel.io/v1alpha1", "kind": kind.__name__, **raw} for raw in objects]
        print_document(whole[0] if single and whole else {"apiVersion": "v1", "kind": "List", "items": whole}, as_yaml=output is Output.YAML)
    else:
        console().print(objects_table(kind, objects, wide=output is Output.WIDE, namespaced=namespaced))


def object_name(kind: type[Kind], raw: Body) -> str:
    return f"{kind.resource.singular}.exchange-kernel.io/{raw['metadata']['name']}"


def objects_table(kind: type[Kind], objects: Sequence[Body], *, wide: bool, namespaced: bool) -> Table:
    columns = [column for column in kind.resource.columns if wide or not column.wide]
    made = table(*(("Namespace",) if namespaced else ()), "Name", *(column.name for column in columns))
    now = datetime.now(UTC)
    for raw in objects:
        where = (raw["metadata"]["namespace"],) if namespaced else ()
        values = [at_path(raw, column.path) for column in columns]
        shown = [age(value, now) if column.type == "date" else value for column, value in zip(columns, values, strict=True)]
        made.add_row(*cells(*where, raw["metadata"]["name"], *shown))
    return made


_STEP = re.compile(r'\.(\w+)(?:\[\?\(@\.(\w+)=="(\w+)"\)\])?')


def at_path(raw: Body, path: str) -> Any:
    """The value at a column's JSONPath: names, and one item of a list by a field of it; None if there is none."""
    found: Any = raw
    for name, key, wanted in _STEP.findall(path):
        found = (found or {}).get(name)
        if key:
            found = next((item for item in found or () if item.get(key) == wanted), None)
    return found


def age(since: datetime | str | None, now: datetime) -> str:
    """As kubectl shows it."""
    if since is None:
        return ""
    began = datetime.fromisoformat(since) if isinstance(since, str) else since
    seconds = max(0, int((now - began).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    return f"{hours}h" if hours < 48 else f"{days}d"


def clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
