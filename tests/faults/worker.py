"""Runs the command `flowjax` and records the rows that it reads and the files that it writes.

Usage: `worker.py NOTES PAUSE ARGS...` runs `flowjax ARGS` and writes to the folder NOTES:
- `rows`: number of rows of each read by row number; each of these reads waits PAUSE seconds first,
- `checked`: number of rows of each check for finite values,
- `passed`: number of rows of each block in a pass over all rows,
- `written`: path of each file or folder that is opened for writing or created.
Sentences are embedded in blocks of 16, so that a short text has blocks for several processes.
"""

import os
import sys
import time
from pathlib import Path

from flowjax.data import arrays, rowfile


def watch(notes, pause):
    written, rows, checked, passed = (
        (notes / name).open("a", buffering=1) for name in ("written", "rows", "checked", "passed")
    )
    read, finite, blocks = rowfile.RowFile.read, arrays._finite, arrays.ArraySource.blocks

    def recorded_read(self, numbers):
        time.sleep(pause)
        rows.write(f"{len(numbers)}\n")
        return read(self, numbers)

    def recorded_finite(numbers):
        checked.write(f"{len(numbers)}\n")
        return finite(numbers)

    def recorded_blocks(*args):
        for block in blocks(*args):
            passed.write(f"{len(block)}\n")
            yield block

    def on_event(name, args):
        if name == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR):
            written.write(args[0] + "\n")
        elif name == "os.mkdir":
            written.write(os.fspath(args[0]) + "\n")

    rowfile.RowFile.read, arrays._finite = recorded_read, recorded_finite
    arrays.ArraySource.blocks = recorded_blocks
    sys.addaudithook(on_event)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    watch(folder, float(sys.argv[2]))
    from flowjax.commands.main import main
    from flowjax.encoder import corpus, embed

    corpus.CHUNK = embed.CHUNK = 16

    sys.exit(main(sys.argv[3:]))
