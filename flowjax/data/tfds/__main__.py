"""`python -m flowjax.data.tfds NAME [--manual-dir DIR] [--data-dir DIR]`: prepares a data set."""

from __future__ import annotations

import argparse
import sys

from flowjax.data.tfds import BUILDERS, prepare


def main() -> int:
    """Runs the command; 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m flowjax.data.tfds", description=__doc__)
    parser.add_argument("name", help=f"{', '.join(BUILDERS)}; some with a config: sts_pairs/sts12")
    parser.add_argument("--manual-dir", help="folder with the files; downloaded if left out")
    parser.add_argument("--data-dir", help="where data sets are kept")
    args = parser.parse_args()
    try:
        made = prepare(args.name, data_dir=args.data_dir, manual_dir=args.manual_dir)
    except ValueError as error:
        print(f"flowjax.data.tfds: {error}", file=sys.stderr)
        return 2
    rows = {split: info.num_examples for split, info in made.info.splits.items()}
    print(f"{args.name}: {rows} in {made.data_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
