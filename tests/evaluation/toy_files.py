"""Toy benchmark files; not in conftest.py because several modules have that name."""

from pathlib import Path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def stsb_line(score: float, first: str, second: str, extra: str = "") -> str:
    return f"main-news\theadlines\t2016\t0001\t{score}\t{first}\t{second}{extra}\n"


SICK_HEADER = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
