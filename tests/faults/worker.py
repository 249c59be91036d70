"""The command `flowjax`, watched: how many rows it reads, and which files it writes.

`worker.py NOTES PAUSE ARGS...` runs the command ARGS and leaves `rows` (one number a read) and
`written` (one path a line) in the folder NOTES; each read waits PAUSE seconds first. Sentences are
embedded 16 at a time, so that a short text has blocks for several processes.
"""

import os
import sys
import time
from pathlib import Path

from flowjax.data import rowfile


def watch(notes, pause):
    written = (notes / "written").open("a", buffering=1)
    rows = (notes / "rows").open("a", buffering=1)
    read = rowfile.RowFile.read

    def noted(self, numbers):
        time.sleep(pause)
        rows.write(f"{len(numbers)}\n")
        return read(self, numbers)

    def on_event(name, args):
        if name == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR):
            written.write(args[0] + "\n")
        elif name == "os.mkdir":
            written.write(os.fspath(args[0]) + "\n")

    rowfile.RowFile.read = noted
    sys.addaudithook(on_event)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    watch(folder, float(sys.argv[2]))
    from flowjax import embeddings
    from flowjax.cli import main
    from flowjax.encoder import embed

    embeddings.CHUNK = embed.CHUNK = 16

    sys.exit(main(sys.argv[3:]))
