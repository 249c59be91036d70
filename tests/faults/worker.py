"""The command `flowjax`, watched: how many rows it reads, and which files it writes.

`worker.py NOTES PAUSE ARGS...` runs the command ARGS and leaves in the folder NOTES `rows`,
`checked` and `passed` (one number a read: by number, for the check of finite numbers, in a pass
over blocks) and `written` (one path a line); each read by number waits PAUSE seconds first.
Sentences are embedded 16 at a time, so that a short text has blocks for several processes.
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

    def noted_read(self, numbers):
        time.sleep(pause)
        rows.write(f"{len(numbers)}\n")
        return read(self, numbers)

    def noted_finite(numbers):
        checked.write(f"{len(numbers)}\n")
        return finite(numbers)

    def noted_blocks(*args):
        for block in blocks(*args):
            passed.write(f"{len(block)}\n")
            yield block

    def on_event(name, args):
        if name == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR):
            written.write(args[0] + "\n")
        elif name == "os.mkdir":
            written.write(os.fspath(args[0]) + "\n")

    rowfile.RowFile.read, arrays._finite = noted_read, noted_finite
    arrays.ArraySource.blocks = noted_blocks
    sys.addaudithook(on_event)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    watch(folder, float(sys.argv[2]))
    from flowjax.commands.main import main
    from flowjax.encoder import corpus, embed

    corpus.CHUNK = embed.CHUNK = 16

    sys.exit(main(sys.argv[3:]))
