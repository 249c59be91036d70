"""Command `python -m flowjax.data.tfds`, which prepares a data set."""

from __future__ import annotations

import argparse
import sys

from flowjax.data.tfds import BUILDERS, need_tfds, prepare
from flowjax.errors import FlowjaxError


def main() -> int:
    """Runs the command and returns the exit status, 2 for a user error."""
    parser = argparse.ArgumentParser(prog="python -m flowjax.data.tfds", description=__doc__)
    parser.add_argument(
        "name",
        help=f"{', '.join(BUILDERS)}; a config follows a slash, such as sts_pairs/sts12",
    )
    parser.add_argument(
        "--manual-dir", help="folder with the source files; if omitted, they are downloaded"
    )
    parser.add_argument("--data-dir", help="folder of the prepared data sets")
    args = parser.parse_args()
    try:
        if not sys.stderr.isatty():
            need_tfds().disable_progress_bar()
        made = prepare(args.name, data_dir=args.data_dir, manual_dir=args.manual_dir)
    except FlowjaxError as error:
        print(f"flowjax.data.tfds: {error}", file=sys.stderr)
        return 2
    rows = {split: info.num_examples for split, info in made.info.splits.items()}
    print(f"{args.name}: {rows} in {made.data_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
