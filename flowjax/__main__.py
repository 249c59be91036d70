"""`python -m flowjax` and the console script."""

import os
import sys

from flowjax.commands.main import main as run

LARGE_PAGES = "glibc.malloc.hugetlb"


def ask_for_large_pages() -> None:
    """Starts this process again with glibc's allocator asking Linux for large pages.

    A jitted step takes its scratch as one block and gives it back, so every call of a wide flow or
    an encoder would meet tens of thousands of fresh small pages. glibc reads its tunables only as
    a process begins. A command may do this for its user; a library may not. Where there is no
    glibc 2.35 or newer, or the user chose already, nothing happens.
    """
    chosen = os.environ.get("GLIBC_TUNABLES", "")
    if LARGE_PAGES in chosen or not sys.executable or _glibc() < (2, 35):
        return
    tunables = ":".join(filter(None, [chosen, f"{LARGE_PAGES}=1"]))
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(command[0], command, {**os.environ, "GLIBC_TUNABLES": tunables})


def _glibc() -> tuple[int, ...]:
    """Version of glibc, (0,) where another libc runs."""
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
        return tuple(map(int, version.split("."))) if name == "glibc" else (0,)
    except (AttributeError, ValueError, OSError):
        return (0,)


def main() -> None:
    """Runs the command and exits with its code."""
    ask_for_large_pages()
    sys.exit(run())


if __name__ == "__main__":
    main()
