"""The shape of the house itself."""

import subprocess
import sys
from pathlib import Path

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
