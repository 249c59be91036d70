"""A fast fake encoder for stores; as a script, a process that fills a store. The tests kill it."""

import hashlib
import random
import sys
import time

import numpy as np

from flowjax.data.sentences import open_source
from flowjax.data.store import EmbeddingStore

DIM, BLOCK = 16, 64


def vector(sentence):
    """Returns a vector that only this sentence has, so that tests detect a misplaced row."""
    return np.frombuffer(hashlib.sha256(sentence.encode()).digest(), np.uint16).astype(np.float32)


def embed(blocks, pause=0.0):
    """Embeds the longest sentences of a block first, as the encoder does."""
    for block in blocks:
        order = np.argsort([-len(s) for s in block], kind="stable")
        vectors = np.empty((len(block), DIM), np.float32)
        for i in order:
            vectors[i] = vector(block[i])
        time.sleep(pause)
        yield vectors, {"cut": sum(len(s) > 20 for s in block)}


def open_store(folder, source_hash, block=BLOCK):
    return EmbeddingStore(
        folder, {"encoder": "fake", "source_hash": source_hash}, dim=DIM, block=block
    )


def sentences(n, seed=0):
    rng = random.Random(seed)
    return ["w" * rng.randint(0, 30) + f" {i}" for i in range(n)]


def expected(texts):
    return np.array([vector(s) for s in texts], np.float32).reshape(-1, DIM)


class Killed(Exception):
    """Stand-in for kill -9 inside one process."""


def until(k):
    """Returns an encoder that raises `Killed` after k blocks."""

    def die(blocks):
        for i, result in enumerate(embed(blocks)):
            if i == k:
                raise Killed
            yield result

    return die


if __name__ == "__main__":
    folder, path, index, count, pause = sys.argv[1:]
    source = open_source(path)
    print("ready", flush=True)
    store = open_store(folder, source.fingerprint())
    store.fill(
        source,
        lambda blocks: embed(blocks, float(pause)),
        share=(int(index), int(count)),
        skip_empty=True,
    )
