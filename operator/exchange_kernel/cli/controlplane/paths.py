"""Where things are kept outside of git, and how a file that holds a key is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

#: The Go module the control plane is built from. It is part of a source checkout, not of an installed wheel.
SOURCE = Path(__file__).resolve().parents[4] / "hack" / "controlplane"


def cache_dir(environ: Mapping[str, str]) -> Path:
    if own := environ.get("EXCHANGE_KERNEL_CACHE"):
        return Path(own).expanduser().absolute()
    if xdg := environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser().absolute() / "exchange-kernel"
    return Path.home() / ".cache" / "exchange-kernel"


def write_private(path: Path, content: bytes | str) -> Path:
    """Readable by its owner only from its first byte, and never seen half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)      # mkstemp creates with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path
