"""The shape of the house itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_source_root_named_operator_is_no_package():
    assert not (ROOT / "operator" / "__init__.py").exists(), "it would shadow the standard library's operator"


def test_the_standard_library_operator_imports_from_the_repository_root():
    # -S: without `site`, which happens to have imported operator already.
    code = "import sys; sys.path.insert(0, '.'); import operator; print(operator.__file__)"
    shown = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert Path(shown.strip()).parent != ROOT / "operator"


def test_the_lock_has_hashes_and_no_index_address():
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text


#: Where people and programs wait for what the operator writes.
WAITERS = ("README.md", "docs/**/*.md", "hack/**/*", "manifests/**/*", "charts/**/*", "bench/*.py", "tests/cluster/*.py", "tests/kind/*.py", "tests/chaos/*.py",
           "tests/fleet/*.py")
COMPARE = {"hack/demo.py"}  # which has a helper of its own, since it imports nothing of tests/


@pytest.mark.parametrize(("why", "pattern", "may"), [
    ("kubectl compares no generation there: use --for=condition=…", r"--for=jsonpath=(?!…)", set()),
    ("use condition() of tests/support.py, which compares the generations", r"""(\.get\(|\[)["']conditions["']""", COMPARE | {"tests/cluster/test_crds.py"}),
], ids=["kubectl wait", "Python"])
def test_nothing_waits_for_a_status_without_comparing_its_generation(why, pattern, may):
    files = sorted({path for glob in WAITERS for path in ROOT.glob(glob) if path.is_file() and path.suffix in (".md", ".py", ".sh", ".yaml", ".txt")})
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files if str(path.relative_to(ROOT)) not in may
        for number, line in enumerate(path.read_text().splitlines(), 1) if re.search(pattern, line)
    ]
    assert found == [], why
