"""Training pairs from plain text, without labels: neighbouring sentences, and crops.

    python benchmarks/text_pairs.py --neighbours a.txt.xz b.txt.xz --crops c.txt.xz --out pairs.tsv

A line of a file is a paragraph, which gives at most one pair: a sentence with the next one, or two
overlapping parts of a sentence with some words dropped. `flowjax finetune --objective mnr` reads
the result.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import tyro

from flowjax.data.splitting import split_sentences
from flowjax.files.text import read_lines

Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Args:
    neighbours: tuple[str, ...]
    """Files for pairs of neighbouring sentences."""
    crops: tuple[str, ...]
    """Files for pairs of crops."""
    out: Path
    count: int = 30_000
    """Largest number of pairs of each kind."""
    longest: int = 20
    """Largest number of words of a text."""


def neighbours(sentences: list[str], rng: random.Random) -> Pair | None:
    """A sentence of 5 to 28 words and the next one."""
    fits = [5 <= len(sentence.split()) <= 28 for sentence in sentences]
    good = [i for i in range(len(sentences) - 1) if fits[i] and fits[i + 1]]
    if not good:
        return None
    i = rng.choice(good)
    return sentences[i], sentences[i + 1]


def crops(sentences: list[str], rng: random.Random) -> Pair | None:
    """Two parts of a sentence of 9 to 32 words."""
    good = [words for s in sentences if 9 <= len(words := s.split()) <= 32]
    if not good:
        return None
    words = rng.choice(good)
    first, second = _crop(words, rng), _crop(words, rng)
    return (first, second) if min(len(first.split()), len(second.split())) > 2 else None


def _crop(words: list[str], rng: random.Random) -> str:
    """40 to 80 % of the words in a row, of which 15 % are dropped."""
    count = max(4, round(len(words) * rng.uniform(0.4, 0.8)))
    start = rng.randint(0, len(words) - count)
    return " ".join(word for word in words[start : start + count] if rng.random() > 0.15)


def pairs_of(files: tuple[str, ...], kind, args: Args) -> list[Pair]:
    """Shuffled pairs of one kind."""
    rng = random.Random(0)
    found = list(_pairs(files, kind, rng))
    rng.shuffle(found)
    short = (pair for pair in found if max(len(t.split()) for t in pair) <= args.longest)
    return list(short)[: args.count]


def _pairs(files: tuple[str, ...], kind, rng: random.Random) -> Iterator[Pair]:
    for name in files:
        for line in read_lines(name):
            sentences = [s.replace("\t", " ") for s in split_sentences(line)]
            if (pair := kind(sentences, rng)) is not None:
                yield pair


def main(args: Args) -> None:
    found = pairs_of(args.neighbours, neighbours, args) + pairs_of(args.crops, crops, args)
    random.Random(0).shuffle(found)
    lines = ["anchor\tpositive", *("\t".join(pair) for pair in found)]
    args.out.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{len(found)} pairs")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
