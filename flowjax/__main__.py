"""`python -m flowjax` and the console script."""

import sys

from flowjax.cli import main as run


def main() -> None:
    """Runs the command and exits with its code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
