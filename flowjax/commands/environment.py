"""Defaults of environment variables, which commands set and the library does not."""

from __future__ import annotations

import os
from pathlib import Path


def set_defaults() -> None:
    """Sets defaults for jax and transformers; called before they are imported.

    Compiled programs are kept in the user's cache folder, so that later runs start faster.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "flowjax" / "xla"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
