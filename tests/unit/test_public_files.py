"""The files that a public project has: they can be read, and say what the code says."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import failure_modes
import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "exchange_kernel"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PUBLIC = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yaml"))

RULE = re.compile(r"^### (?P<number>\d+)\. .+?(?=^##|\Z)", re.MULTILINE | re.DOTALL)
#: `rule 4`, `rules 3, 4 and 6`, `test_rule_9_…`; and `# 9: the reason` or `# 3, 5` beside the line that keeps it.
CITED = (re.compile(r"(?<![A-Za-z])rules?[ _](\d{1,2}(?:(?:, | and )\d{1,2}\b)*)", re.IGNORECASE), re.compile(r"# ([1-9]\d?(?:, [1-9]\d?)*)(?=:|$)", re.MULTILINE))


def rules() -> dict[int, str]:
    """The text of each rule in ARCHITECTURE.md, by its number."""
    return {int(rule["number"]): rule.group() for rule in RULE.finditer(ARCHITECTURE.read_text())}


def cited(text: str) -> set[int]:
    return {int(number) for pattern in CITED for found in pattern.findall(text) for number in re.findall(r"\d+", found)}


@pytest.mark.parametrize(("text", "numbers"), [
    ("kept by rule 4", {4}), ("rules 3, 4 and 17 hold", {3, 4, 17}), ("def test_rule_9_a_cancel", {9}), ("    settle_first,  # 3, 5\n", {3, 5}),
    ("# 16: a position is open", {16}), ("# 409: our own renewal", set()), ("the rule: 3 of them", set()),
])
def test_what_counts_as_a_citation(text, numbers):
    assert cited(text) == numbers


def test_every_rule_that_code_and_tests_cite_is_written_down():
    known, found = rules(), {}
    for room in ("operator", "tests"):
        for file in sorted((ROOT / room).rglob("*.py")):
            if file != Path(__file__):
                found |= {number: file.relative_to(ROOT) for number in cited(file.read_text())}
    assert set(found) >= set(range(1, 17)), "the search for citations finds too little"
    assert {number: file for number, file in found.items() if number not in known} == {}, "ARCHITECTURE.md has no such rule"


def test_the_rules_are_numbered_without_a_gap():
    numbers = list(rules())
    assert numbers == list(range(1, len(numbers) + 1))


def test_each_rule_names_tests_that_carry_its_number():
    proved = {(test, mode) for test, modes in failure_modes.marks(ROOT) for mode in modes}
    for number, text in rules().items():
        named = re.findall(r"`(tests/[^`]+::[^`]+)`", text)
        assert named, f"rule {number} names no test"
        assert [test for test in named if (test, f"rule {number}") not in proved] == [], f"not marked to prove rule {number}"


def test_the_layers_of_the_picture_are_those_that_are_enforced():
    """In the order of pyproject.toml; a layer of several rooms has them side by side."""
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    table = re.findall(r"^\| (\d+) \| ((?:`\w+/`(?:, )?)+) \|", ARCHITECTURE.read_text(), re.MULTILINE)
    assert [" | ".join(re.findall(r"\w+", rooms)) for _, rooms in table] == layers, "write the table of rooms in ARCHITECTURE.md as pyproject.toml has the layers"
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert {room for layer in layers for room in layer.split(" | ")} == rooms


def test_the_workflow_runs_what_ci_runs_and_needs_no_secret():
    text = (ROOT / ".github" / "workflows" / "ci.yaml").read_text()
    steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    assert "secrets." not in text


def test_the_hooks_are_the_tools_that_make_lint_calls():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = (ROOT / "Makefile").read_text().replace("$(BIN)/", "")
    for hook in hooks:
        assert hook["entry"].removeprefix(".venv/bin/").removesuffix(" --force-exclude") in lint


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_form_for_issues_is_one_that_can_be_filled_in(form):
    body = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= body.keys()
    fields = [field for field in body["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_license_is_the_one_that_the_package_and_the_chart_name():
    assert "Apache License" in (ROOT / "LICENSE").read_text().split("\n\n")[0]
    assert PROJECT["project"]["license"] == "Apache-2.0"
    chart = yaml.safe_load((ROOT / "charts" / "exchange-kernel" / "Chart.yaml").read_text())
    assert chart["annotations"]["artifacthub.io/license"] == "Apache-2.0"


@pytest.mark.parametrize("name", PUBLIC)
def test_a_link_to_a_file_of_the_repository_leads_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{name} links to {target}"


def test_every_command_of_the_help_stands_under_a_heading():
    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first, *rest = shown.strip().split("\n\n")
    assert all(re.match(r"[A-Z][^\n]+\n(  make \S+ +\S.*\n?)+$", group) for group in (first, *rest))
    assert len(re.findall(r"^  make ", shown, re.MULTILINE)) == len(re.findall(r"^[a-z-]+:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
