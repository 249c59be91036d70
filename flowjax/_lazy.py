"""Public names of a package that are imported at their first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns `__getattr__` and `__dir__` of a package whose names are imported at first use.

    Args:
        package: name of the package, which defines `__all__`.
        modules: module of each name that is not yet imported. If the module has the name itself,
            as in `{"plots": "flowjax.plots"}`, the value is the module.

    Returns:
        The two functions. `dir` lists the names in `__all__` only.

    Example:
        >>> import flowjax.data
        >>> dir(flowjax.data) == sorted(flowjax.data.__all__)
        True
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(modules[name])
        value = module if modules[name] == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(sys.modules[package].__all__)
