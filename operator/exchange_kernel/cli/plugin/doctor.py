"""`exchange-kernel doctor` and `kubectl exchange doctor`: what is wrong with an installation, and how each of it is mended."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.text import Text

from exchange_kernel.cli.plugin.checkup import CHECKS, Finding, Level
from exchange_kernel.cli.plugin.cluster import Cluster, Failure
from exchange_kernel.cli.plugin.command import command
from exchange_kernel.cli.plugin.operator_pods import DEFAULT_NAMESPACE, OperatorNamespace
from exchange_kernel.cli.plugin.output import Document, DocumentFlag, cells, console, print_document, progress_console, table

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "bold red", Level.NOT_CHECKED: "dim"}


@command(everywhere=True)
def doctor(cluster: Cluster, operator_namespace: OperatorNamespace = DEFAULT_NAMESPACE, output: DocumentFlag = Document.TABLE) -> None:
    """Check the cluster, the kinds, admission, rights, clocks and accounts, and say how to mend what is wrong. Exit code 1 if something is wrong."""
    findings = examine(cluster, operator_namespace)
    if output is not Document.TABLE:
        shown = [{"level": str(finding.level), "about": finding.about, "finding": finding.says, "mend": finding.mend} for finding in findings]
        print_document(shown, as_yaml=output is Document.YAML)
    else:
        _print(findings)
    if any(finding.level is Level.WRONG for finding in findings):
        raise typer.Exit(1)


def examine(cluster: Cluster, operator_namespace: str) -> list[Finding]:
    """All checks in turn. One that can't be made says why, and the others go on."""
    findings: list[Finding] = []
    with progress_console().status("Looking") as status:
        for about, check in CHECKS.items():
            status.update(f"Looking at {about.lower()}")
            try:
                findings += check(cluster, operator_namespace)
            except Failure as failure:
                if about == "Cluster":
                    return [Finding(Level.WRONG, about, str(failure), "Without an answer of the API server nothing else can be checked.")]
                findings.append(Finding(Level.NOT_CHECKED, about, str(failure)))
    return findings


def _print(findings: Sequence[Finding]) -> None:
    made = table("", "About", "Finding")
    for finding in findings:
        mend = f"\n→ {finding.mend}" if finding.mend else ""
        made.add_row(Text(finding.level, style=_STYLES[finding.level]), *cells(finding.about, f"{finding.says}{mend}"))
    console().print(made)
    wrong, warnings = (sum(finding.level is level for finding in findings) for level in (Level.WRONG, Level.WARNING))
    typer.echo(f"\n{wrong} wrong, {warnings} to look at.")


def as_text(findings: Sequence[Finding]) -> str:
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<12} {finding.about}: {finding.says}")
        lines += [f"{'':<12} → {finding.mend}"] if finding.mend else []
    return "\n".join(lines)
