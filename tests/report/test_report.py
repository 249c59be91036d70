"""Blocks, HTML and files of a report, and the page of `flowjax evaluate --report`."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from html_reader import Reader

from flowjax.commands.main import main
from flowjax.errors import FlowjaxError
from flowjax.evaluation.intervals import Place
from flowjax.plots._style import drawn
from flowjax.report import (
    Column,
    Fact,
    Neighbours,
    Page,
    Plot,
    Section,
    Table,
    check_folder,
    render,
    write_report,
)
from flowjax.report.figures import forest, neighbours_of
from flowjax.report.files import table_csv
from flowjax.report.inputs import RunVectors
from flowjax.report.results import main_scores, result_facts, result_tables

NASTY = "<script>alert('a & b')</script> \"quoted\" ${css} ünï"


def small_page(**changes):
    columns = [Column("name", "name", left=True), Column("rho", "rho", 2)]
    rows = [{"name": NASTY, "rho": -0.0}, {"name": "b", "rho": 12.345}, {"name": "c"}]
    rows[1] |= {"rho_low": 11.0, "rho_high": 13.37}
    figure = drawn(lambda ax: ax.plot([0, 1]))
    blocks = [
        Table("numbers", NASTY, columns, rows, notes=[NASTY], marks=[(1, "rho")]),
        Plot("dots", figure, NASTY, NASTY),
        Plot("two", [figure, figure], NASTY, NASTY),
        Neighbours("near", NASTY, [{"query": NASTY, "x": [(NASTY, 1.0)], "y": []}], ("x", "y")),
    ]
    fields = {
        "title": NASTY,
        "about": [(NASTY, NASTY)],
        "facts": [Fact(NASTY, [(NASTY, "1"), ("flow", "2")], NASTY)],
        "sections": [Section("one", NASTY, NASTY, blocks)],
        "command": NASTY,
        "data": {},
    }
    return Page(**(fields | changes))


def test_text_is_escaped_everywhere():
    html, files = render(small_page())
    page = Reader(html)
    assert "<script" not in html
    assert page.text.count(NASTY) >= 12
    assert page.tables["numbers"] == [
        ["name", "rho"], [NASTY, "0.00"], ["b", "12.35 [11.0, 13.4]"], ["c", "\N{EN DASH}"]
    ]  # fmt: skip
    assert html.count('class="best"') == 1
    assert set(files) == {"dots.png", "two_1.png", "two_2.png"}


def test_values_are_printed_with_the_digits_of_their_column():
    assert Column("x", "x", 2).show(63.456) == "63.46"
    assert Column("x", "x", 2).show(-0.001) == "0.00"
    assert Column("x", "x").show(12345) == "12,345"
    assert Column("x", "x", 2).show(None) == "\N{EN DASH}"


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_figures_of_a_report_have_the_chosen_format(kind, tmp_path):
    page = write_report(small_page(), tmp_path / "report", image=kind).read_text("utf-8")
    data = (tmp_path / "report" / f"two_2.{kind}").read_bytes()
    assert data.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    shown = {"png": "image/png", "svg": "image/svg+xml", "pdf": "image/png"}[kind]
    assert page.count(f"data:{shown};base64,") == 3  # browsers show no PDF in a page
    assert f"<code>.{kind}</code> files" in page
    with pytest.raises(FlowjaxError, match="image: expected"):
        write_report(small_page(), tmp_path / "other", image="gif")


def test_write_and_overwrite(tmp_path):
    out = tmp_path / "report"
    assert write_report(small_page(), out) == out / "index.html"
    names = {"index.html", "report.json", "numbers.csv", "dots.png", "two_1.png", "two_2.png"}
    assert {p.name for p in out.iterdir()} == names
    assert json.loads((out / "report.json").read_text("utf-8"))["title"] == NASTY
    with pytest.raises(FlowjaxError, match="a folder with a report"):
        write_report(small_page(), out)
    (out / "mine.txt").write_text("kept")
    write_report(small_page(sections=[]), out, overwrite=True)
    assert {p.name for p in out.iterdir()} == {"index.html", "report.json", "mine.txt"}


@pytest.mark.parametrize("named", [["../kept.txt"], ["/kept.txt", "..", ""], [7]])
def test_a_damaged_report_cannot_remove_files_outside_its_folder(tmp_path, named):
    (tmp_path / "kept.txt").write_text("kept")
    out = tmp_path / "report"
    write_report(small_page(), out)
    files = [*named, *(file.name for file in out.iterdir())]
    (out / "report.json").write_text(json.dumps({"flowjax": "1", "files": files}))
    write_report(small_page(), out, overwrite=True)
    assert (tmp_path / "kept.txt").exists()


def test_files_of_the_user_are_neither_removed_nor_replaced(tmp_path):
    out = tmp_path / "other"
    out.mkdir()
    (out / "report.json").write_text('{"files": ["thesis.md"]}')  # of other software
    (out / "thesis.md").write_text("years of work")
    with pytest.raises(FlowjaxError, match="a folder with other files than a report"):
        write_report(small_page(), out, overwrite=True)
    assert (out / "thesis.md").exists()
    out = tmp_path / "report"
    write_report(small_page(sections=[]), out)
    (out / "numbers.csv").write_text("mine")
    with pytest.raises(FlowjaxError, match=r"to replace, got numbers\.csv; move that file"):
        write_report(small_page(), out, overwrite=True)
    assert (out / "numbers.csv").read_text() == "mine"


def test_cells_of_csv_are_no_formulas():
    texts = ["=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(1)", "\tx", "a=b", "-"]
    rows = [{"=name": text, "n": -1.5} for text in texts]
    table = Table("t", "t", [Column("=name", "n")], rows)
    head, *body = csv.reader(table_csv(table).splitlines())
    assert head == ["'=name", "n"] and {number for _, number in body} == {"-1.5"}
    for text, (cell, _) in zip(texts, body, strict=True):
        assert cell == text if text == "a=b" else cell == f"'{text}"


def test_folders_that_cannot_hold_a_report(tmp_path):
    for text in ("{", "[" * 100_000, "[]", "{}", '{"files": 3}'):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(FlowjaxError, match="other files than a report"):
            check_folder(tmp_path, overwrite=True)
    (tmp_path / "report.json").unlink()
    (tmp_path / "file").write_text("x")
    with pytest.raises(FlowjaxError, match=r"^--report .*got a file"):
        check_folder(tmp_path / "file", overwrite=True, flag="--report")
    with pytest.raises(FlowjaxError, match="other files than a report"):
        check_folder(tmp_path, overwrite=True)
    (tmp_path / "empty").mkdir()
    assert check_folder(tmp_path / "empty", overwrite=False) == tmp_path / "empty"


def test_results_with_subsets_and_auc():
    def scores(x):
        return {"pairs": 10, "spearman": x, "pearson": x + 1}

    def grouped(x):
        parts = {name: scores(x) for name in ("all", "mean", "wmean")}
        return {**parts, "wmean": scores(x + 5), "subsets": {"MSRpar": scores(x + 9)}}

    results = {
        "results": {
            "sts12": {"test": {"plain": grouped(50.0), "glow": grouped(60.0)}},
            "qnli": {
                "dev": {"plain": {"pairs": 7, "auc": 70.0}, "glow": {"pairs": 7, "auc": 71.0}}
            },
        }
    }
    rng = np.random.default_rng(0)
    noise = rng.normal(size=500)
    drawn_ = {"plain": 50 + noise, "glow": 60 + noise}
    places = {Place("test", a, "spearman"): drawn_ for a in ("all", "mean", "wmean")}
    auc = {Place("dev", "-", "auc"): {"plain": 70 + noise, "glow": 71 - noise}}
    resampled = {"sts12": places, "qnli": auc}
    tables = {table.name: table for table in result_tables(results, resampled, "glow")}
    assert list(tables) == ["spearman", "auc", "pearson", "spearman_subsets"]
    assert [row["where"] for row in tables["spearman"].rows] == [
        "sts12 test all", "sts12 test mean", "sts12 test wmean"
    ]  # fmt: skip
    assert tables["spearman"].marks == [(i, "glow") for i in range(3)]
    assert tables["spearman"].rows[0]["gain"] == tables["spearman"].rows[0]["gain_low"] == 10
    assert tables["auc"].marks == []  # larger, but the interval of the difference has 0
    assert tables["spearman_subsets"].rows[0]["where"] == "sts12 test MSRpar"
    assert tables["spearman_subsets"].rows[0]["glow"] == 69.0
    mains = list(main_scores(results, resampled, ("plain", "glow")))
    facts = result_facts(mains, "glow")
    assert [(f.label, *f.values) for f in facts] == [
        ("Spearman x 100, sts12 test wmean", ("plain", "55.00"), ("glow", "65.00")),
        ("AUC x 100, qnli dev", ("plain", "70.00"), ("glow", "71.00")),
    ]
    assert "glow is better than plain: +10.0 [+10.0, +10.0]" in facts[0].hint
    assert "no clear difference between glow and plain: +1.0 [" in facts[1].hint
    # The figure shows the values of the tiles.
    axes = forest(mains, ("plain", "glow")).figure.axes[0]
    assert [c.lines[0].get_xdata().tolist() for c in axes.containers] == [[55, 70], [65, 71]]
    assert [t.get_text().replace("\n", " ") for t in axes.get_yticklabels()] == [
        "sts12 test wmean (Spearman)", "qnli dev (AUC)"
    ]  # fmt: skip


def test_a_subset_of_vectors_keeps_their_sentences():
    vectors = np.arange(10.0)[:, None] * np.ones(3)
    run = RunVectors(vectors, [str(i) for i in range(10)], "10 vectors")
    some = run.take(4)
    assert [int(s) for s in some.sentences] == some.vectors[:, 0].astype(int).tolist()
    assert sorted(set(some.sentences)) == list(some.sentences) and len(some.sentences) == 4
    assert "4 of 10 vectors" in some.description
    assert run.take(10).description == "10 vectors"


def test_evaluate_writes_a_page(tiny_run, tmp_path, capsys):
    pairs = tmp_path / "my pairs #1.tsv"
    rows = [f"{i % 6}\tPerson {i} walks home.\tSomebody {i % 9} goes home." for i in range(40)]
    pairs.write_text("score\tsentence1\tsentence2\n" + "\n".join(rows) + "\n")
    out, file = tmp_path / "report", tmp_path / "results.json"
    argv = [
        "evaluate",
        str(tiny_run[0]),
        "--tasks",
        f"{tiny_run[2]},{pairs}",
        "--report",
        str(out),
    ]
    assert main([*argv, "--json", str(file)]) == 0
    assert str(out / "index.html") in capsys.readouterr().out
    saved = json.loads((out / "report.json").read_text("utf-8"))
    assert saved["results"] == json.loads(file.read_text())["results"]
    page = Reader((out / "index.html").read_text("utf-8"))
    kinds = ("plain", "standardize", "whitening", "glow", "gain")
    for row, cells in zip(
        saved["tables"]["spearman"]["rows"], page.tables["spearman"][1:], strict=True
    ):
        expected = [
            f"{row[k]:z.2f} [{row[k + '_low']:z.1f}, {row[k + '_high']:z.1f}]" for k in kinds
        ]
        assert cells == [row["where"], *expected, str(row["pairs"])]
        assert all(row[f"{kind}_low"] <= row[kind] <= row[f"{kind}_high"] for kind in kinds)
    for address in page.addresses:
        assert address.startswith("data:") or address[1:] in page.ids, address[:60]
    names = {p.stem for p in out.glob("*.png")}
    assert names == {
        "cone_1", "cone_2", "cosines_pairs", "cosines_my-pairs-1", "spectrum", "forest",
        "curves_1", "curves_2", "curves_3",
    }  # fmt: skip
    for words in ("learning rate", "Seed", "Versions", "400 sentences", "of these sentences"):
        assert words in page.text, words
    assert len(saved["neighbours"]["neighbours"]) == 5
    assert main(argv) == 2
    assert "--report" in capsys.readouterr().err


def test_importing_the_report_loads_no_matplotlib():
    code = (
        "import sys, flowjax.report.analysis, flowjax.report.evaluation\n"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_queries_are_sentences_whose_nearest_sentences_differ():
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(40, 3))
    texts = [f"sentence number {i} of a few words" for i in range(40)]
    (section,) = neighbours_of(texts, {"plain": plain, "glow": plain * [1, 1, 9]}, "40 sentences")
    (block,) = section.blocks
    assert len(block.rows) == 5
    assert all(row["plain"][0][0] != row["glow"][0][0] for row in block.rows)
    assert "have another nearest sentence" in section.text and "differ" in block.caption
    (section,) = neighbours_of(texts, {"plain": plain, "glow": 2 * plain}, "40 sentences")
    assert "all of 40 sentences keep" in section.text and "differ" not in section.blocks[0].caption
    plain[0] = 0.0
    assert neighbours_of(texts, {"plain": plain}, "") == []
