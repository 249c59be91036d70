"""Detection of PyPI's `flowjax`, another library with the same import name."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution

REMEDY = (
    "an environment can have only one of them. Run: pip uninstall flowjax; "
    "pip install --force-reinstall --no-deps bert-flowjax"
)


def problem() -> str | None:
    """Returns one line if files of this package can be replaced by those of PyPI's `flowjax`.

    Both libraries install into the folder `flowjax`. The later installation replaces files
    of the other, and an uninstallation removes the files of both names.
    """
    try:
        other = distribution("flowjax")
    except PackageNotFoundError:
        package = sys.modules.get("flowjax")
        if package is None or getattr(package, "__file__", None):
            return None
        return (
            "flowjax: expected a complete installation of bert-flowjax, got one without "
            "flowjax/__init__.py. Run: pip install --force-reinstall --no-deps bert-flowjax"
        )
    return (
        f"flowjax: expected bert-flowjax alone, got PyPI's flowjax {other.version} as well, a "
        f"library with the same import name; {REMEDY}"
    )
