"""`python -m flowjax` and the console script."""

import os
import sys


def use_large_pages() -> None:
    """Restarts `flowjax pretrain` with large memory pages from glibc.

    glibc reads this setting only when a process starts. Nothing happens if the user has set
    `GLIBC_TUNABLES`.
    """
    # Only this command gains 10 % or more: benchmarks/pretrain.md, "Large pages".
    if sys.argv[1:2] != ["pretrain"] or sys.platform != "linux" or not sys.executable:
        return
    if "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def main() -> None:
    """Runs the command and exits with its code."""
    # PyPI's flowjax replaces `flowjax/__init__.py`, which makes the same check.
    from flowjax._installation import problem

    if text := problem():
        print(text, file=sys.stderr)
        sys.exit(2)
    from flowjax.commands.main import main as run

    use_large_pages()
    sys.exit(run())


if __name__ == "__main__":
    main()
