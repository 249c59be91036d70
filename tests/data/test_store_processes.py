"""Embedding store with several processes: kills, resumes and memory."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import embed_worker
import numpy as np
import pytest
from embed_worker import BLOCK, expected, sentences
from grids import grid

from flowjax.data.fingerprint import fingerprint
from flowjax.data.journal import read_journals
from flowjax.data.store import EmbeddingStore

ROOT = Path(__file__).resolve().parents[2]


def start(folder, path, index=0, count=1, pause=0.01):
    arguments = [folder, path, index, count, pause]
    command = [sys.executable, embed_worker.__file__, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def write_corpus(path, n):
    texts = sentences(n)
    lines = []
    for i, text in enumerate(texts):
        lines += [text, ""] if i % 10 == 0 else [text]
    path.write_text("\n".join(lines) + "\n")
    return texts


@pytest.mark.faults
@pytest.mark.end_to_end
@pytest.mark.parametrize(
    ("count", "times"), grid([(1, 6), (2, 8), (1, 20), (2, 20)], slow=[(1, 20), (2, 20)])
)
def test_processes_that_are_killed_many_times(tmp_path, count, times):
    """After kill -9 at random moments every row is written once, at its place."""
    texts = write_corpus(tmp_path / "a.txt", 400 * BLOCK + 17)
    folder, rng = tmp_path / "store", random.Random(count)
    kills, progress = 0, [0]
    while kills < times:
        workers = [start(folder, tmp_path / "a.txt", i, count) for i in range(count)]
        for worker in workers:
            worker.stdout.readline()
        time.sleep(rng.uniform(0, 0.15))
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
        for worker in workers:
            assert worker.wait() == -signal.SIGKILL, "finished before it was killed"
            worker.stdout.close()
            kills += 1
        progress.append(len(read_journals(folder).blocks))
    assert 0 < progress[-1] < 401 and progress == sorted(progress)
    workers = [start(folder, tmp_path / "a.txt", i, count, 0) for i in range(count)]
    for worker in workers:
        assert worker.wait(60) == 0
        worker.stdout.close()
    store = EmbeddingStore.open(folder)
    assert np.array_equal(store.vectors, expected(texts))
    assert store.counts["empty"] == len(range(0, len(texts), 10))
    assert store.counts["cut"] == sum(len(s) > 20 for s in texts)
    assert store.hash == fingerprint(texts)


@pytest.mark.faults
def test_memory_is_flat(tmp_path):
    """Thirty times the sentences take the same memory."""
    code = (
        "import resource, sys, numpy as np\n"
        "from flowjax.data.store import EmbeddingStore\n"
        "from flowjax.data.vectors import write_vectors\n"
        "n, folder = int(sys.argv[1]), sys.argv[2]\n"
        "def embed(blocks):\n"
        "    for block in blocks:\n"
        "        yield np.full((len(block), 64), len(block), np.float32), {}\n"
        "store = EmbeddingStore(folder, {}, dim=64)\n"
        "store.fill((f'This is sentence number {i}.' for i in range(n)), embed)\n"
        "write_vectors(folder + '/out.npy', store.vectors)\n"
        "print(store.counts['rows'], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)\n"
    )
    peaks = []
    for n in (20_000, 600_000):
        command = [sys.executable, "-c", code, str(n), str(tmp_path / str(n))]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        rows, peak = map(int, done.stdout.split())
        assert rows == n
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 20, f"{peaks} MiB for 5 and 146 MiB of vectors"
