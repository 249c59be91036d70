"""Tables with the aggregation of each score; mean and standard deviation over seeds."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from flowjax.evaluation import (
    average,
    by_vectors,
    flat_rows,
    markdown_table,
    rich_table,
    summarize_seeds,
)


def leaf(x, n=10):
    return {"pairs": n, "spearman": x, "pearson": x - 1.0}


def grouped(x):
    groups = {"all": leaf(x, 30), "mean": leaf(x + 1, 30), "wmean": leaf(x + 2, 30)}
    return groups | {"subsets": {"MSRvid": leaf(x + 3), "OnWN": leaf(x + 4, 20)}}


@pytest.fixture
def results():
    return {
        "results": {
            "stsb": {
                "dev": {"plain": leaf(50.0), "glow": leaf(60.0)},
                "test": {"plain": leaf(40.0), "glow": leaf(70.0)},
            },
            "sts12": {"test": {"plain": grouped(20.0), "glow": grouped(30.0)}},
            "qnli": {
                "dev": {"plain": {"pairs": 9, "auc": 70.3}, "glow": {"pairs": 9, "auc": 76.0}}
            },
        }
    }


def test_every_row_has_its_aggregation(results):
    rows = flat_rows(results)
    assert len(rows) == 2 * (1 + 1 + 5 + 1)
    assert {r["aggregation"] for r in rows if r["task"] == "sts12"} == {
        *("all", "mean", "wmean", "subset MSRvid", "subset OnWN")
    }
    assert {r["aggregation"] for r in rows if r["task"] != "sts12"} == {"-"}
    assert len(flat_rows(results, subsets=False)) == 2 * (1 + 1 + 3 + 1)


def test_markdown(results):
    lines = markdown_table(results).splitlines()
    assert lines[0] == "| task | split | aggregation | pairs | plain | glow |"
    assert "| stsb | test | - | 10 | 40.00 / 39.00 | 70.00 / 69.00 |" in lines
    assert "| sts12 | test | wmean | 30 | 22.00 / 21.00 | 32.00 / 31.00 |" in lines
    assert "| qnli | dev | - | 9 | AUC 70.30 | AUC 76.00 |" in lines
    assert lines[-1].startswith("Spearman / Pearson, x 100; labels 0 and 1: area under")
    assert not any("subset" in line for line in lines)
    assert "| sts12 | test | subset OnWN | 20 |" in markdown_table(results, subsets=True)
    assert "| stsb | test | - | 10 | 40.00 | 70.00 |" in markdown_table(
        results, measures=["spearman"]
    )


def test_rich_table_prints_the_same_numbers(results):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(rich_table(results, title="minibert", width=120))
    text = console.export_text()
    for part in ("minibert", "wmean", "32.00 / 31.00", "AUC 76.00", "Spearman / Pearson"):
        assert part in text


def test_rich_table_on_a_narrow_terminal_truncates_nothing(results):
    for task in results["results"].values():
        for kinds in task.values():
            kinds.update({"standardize": kinds["plain"], "whitening": kinds["plain"]})
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(rich_table(results, width=80))
    text = console.export_text()
    assert "…" not in text
    assert text.count("40.00") == 3
    assert "standardize" in text


def test_subsets_fit_into_80_columns():
    """Every score is printed in full, and each row has the label of its measure."""
    kinds = ("plain", "standardize", "whitening", "glow^0.7")
    scores = {"pairs": 1234, "spearman": 62.34, "pearson": 51.25}
    leaves = {"all": scores, "subsets": {"surprise.SMTeuroparl": scores, "MSRpar": scores}}
    console = Console(width=80, record=True, file=io.StringIO())
    results = {"sts12": {"test": dict.fromkeys(kinds, leaves)}}
    console.print(rich_table(results, subsets=True, width=80))
    lines = console.export_text().splitlines()
    assert "…" not in "".join(lines)
    rows = [line.split() for line in lines if "62.34" in line or "51.25" in line]
    assert [row[-5:] for row in rows] == [
        [label, *[value] * 4]
        for _ in range(3)
        for label, value in (("rho", "62.34"), ("r", "51.25"))
    ]


def test_average_needs_an_aggregation(results):
    assert average(results, aggregation="wmean") == {"plain": 31.0, "glow": 51.0}
    assert average(results, aggregation="all") == {"plain": 30.0, "glow": 50.0}
    assert average(results, tasks=["stsb"], split="dev") == {"plain": 50.0, "glow": 60.0}
    with pytest.raises(ValueError, match=r"aggregation: expected one of .*got 'best'"):
        average(results, aggregation="best")
    with pytest.raises(ValueError, match=r"spearman on test for \['sickr'\], got none"):
        average(results, tasks=["stsb", "sickr"])


def test_average_over_vectors_that_all_tasks_have(results):
    del results["results"]["sts12"]["test"]["glow"]
    assert set(average(results)) == {"plain"}


def test_seeds(results, rng):
    shifts = rng.normal(size=5)
    runs = []
    for shift in shifts:
        run = json.loads(json.dumps(results))
        run["results"]["stsb"]["test"]["glow"]["spearman"] += shift
        run["model"] = {"seed": len(runs)}
        runs.append(run)
    summary = summarize_seeds(runs)
    cell = summary["results"]["stsb"]["test"]["glow"]
    assert cell["spearman"] == pytest.approx(70.0 + shifts.mean())
    assert cell["spearman_std"] == pytest.approx(np.std(shifts, ddof=1))
    assert (cell["seeds"], cell["pairs"], cell["pearson_std"]) == (5, 10, 0.0)
    assert summary["results"]["sts12"]["test"]["plain"]["subsets"]["OnWN"]["spearman"] == 24.0
    text = markdown_table(summary)
    assert f"{cell['spearman']:.2f} ± {cell['spearman_std']:.2f} / 69.00 ± 0.00" in text
    assert "mean ± standard deviation over 5 seeds" in text
    json.dumps(summary)


def test_errors_of_different_layouts(results):
    with pytest.raises(ValueError, match="at least one"):
        summarize_seeds([])
    with pytest.raises(ValueError, match=r"expected equal pairs, got \[10, 11\]"):
        summarize_seeds([leaf(1.0), leaf(1.0, 11)])
    with pytest.raises(ValueError, match="expected the keys"):
        summarize_seeds([{"a": leaf(1.0)}, {"b": leaf(1.0)}])
    assert summarize_seeds([leaf(5.0)])["spearman_std"] == 0.0


def test_by_vectors_swaps_the_levels():
    scores = {"plain": {"dev": leaf(1.0), "test": leaf(2.0)}, "glow": {"test": leaf(3.0)}}
    assert by_vectors(scores) == {
        "dev": {"plain": leaf(1.0)},
        "test": {"plain": leaf(2.0), "glow": leaf(3.0)},
    }


def test_names_are_no_markup_of_rich(results):
    """A task is named after a user's file, which may contain brackets and colons."""
    name = "[red]a[/] :smile: \\[b"
    renamed = {"results": {name: {"test": {"[bold]v": leaf(50.0)}}}}
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    console.print(rich_table(renamed, title=name, width=200))
    text = console.file.getvalue()
    assert text.count(name) == 2 and "[bold]v" in text
