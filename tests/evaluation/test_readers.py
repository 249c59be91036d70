"""Readers of labelled pairs: values, counts, and errors of damaged files."""

import pytest
from toy_files import SICK_HEADER, stsb_line, write

from flowjax.evaluation import load_task
from flowjax.evaluation.readers import read_qnli, read_sick, read_sts_year, read_stsb


def test_stsb_never_unquotes_and_allows_licence_columns(tmp_path):
    text = stsb_line(4.2, '"Half a quote', 'he said "no"', "\tsource one\tsource two")
    text += stsb_line(0, "a\u2028b \u0085 c", "d")  # line separators inside a sentence
    pairs = read_stsb(write(tmp_path / "sts-dev.csv", text))
    assert pairs.sentences1 == ('"Half a quote', "a\u2028b \u0085 c")
    assert pairs.sentences2 == ('he said "no"', "d")
    assert pairs.gold.tolist() == [4.2, 0.0]


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    text = "\ufeff" + SICK_HEADER + "1\ta b\tc d\t4.5\tNEUTRAL\n"
    pairs = read_sick(write(tmp_path / "SICK_train.txt", text.replace("\n", "\r\n")))
    assert (pairs.sentences1, pairs.sentences2, pairs.gold.tolist()) == (("a b",), ("c d",), [4.5])


def test_qnli_labels(tmp_path):
    text = "index\tquestion\tsentence\tlabel\n0\tq\ts\tentailment\n1\tq\tt\tnot_entailment\n"
    assert read_qnli(write(tmp_path / "dev.tsv", text)).gold.tolist() == [1.0, 0.0]
    bad = write(tmp_path / "bad.tsv", text + "2\tq\tu\tneutral\n")
    with pytest.raises(ValueError, match=r"bad\.tsv: line 4: .*got 'neutral'"):
        read_qnli(bad)


def test_sts_year_skips_all_counts_blank_gold_and_notes_missing_input(tmp_path):
    write(tmp_path / "STS.input.b.txt", "a\tb\nc\td\textra\tcolumns\ne\tf\n")
    write(tmp_path / "STS.gs.b.txt", "1\n\n2.5\n")
    write(tmp_path / "STS.input.a.news.txt", "x\ty\nz\tw\n")
    write(tmp_path / "STS.gs.a.news.txt", "0\n5\n")
    write(tmp_path / "STS.gs.ALL.txt", "0\n")
    write(tmp_path / "STS.gs.SMT.txt", "3\n")
    subsets, notes = read_sts_year(tmp_path)
    assert list(subsets) == ["a.news", "b"]
    assert subsets["b"].sentences1 == ("a", "e")
    assert subsets["b"].unscored == (("c", "d"),)
    assert subsets["b"].skipped == 1
    assert len(notes) == 2
    assert any("SMT" in note for note in notes)
    assert any("b: 1 of 3 pairs" in note for note in notes)


def test_sts_year_blank_lines_at_the_end_are_pairs_without_score(tmp_path):
    write(tmp_path / "STS.input.x.txt", "a\tb\nc\td\ne\tf\n")
    write(tmp_path / "STS.gs.x.txt", "1\n\n\n")
    assert read_sts_year(tmp_path)[0]["x"].skipped == 2


def test_sts_year_without_gold(tmp_path):
    write(tmp_path / "STS.input.x.txt", "a\tb\n")
    with pytest.raises(ValueError, match=r"expected gold scores in STS\.gs\.x\.txt"):
        read_sts_year(tmp_path)
    write(tmp_path / "STS.gs.x.txt", "")
    with pytest.raises(ValueError, match=r"STS\.gs\.x\.txt: expected lines of text, got an empty"):
        read_sts_year(tmp_path)
    write(tmp_path / "STS.gs.x.txt", " \n")
    with pytest.raises(ValueError, match="expected pairs with gold scores, got none"):
        read_sts_year(tmp_path)
    write(tmp_path / "STS.input.y.txt", "a\tb\n")
    write(tmp_path / "STS.gs.y.txt", "3\n")
    subsets, notes = read_sts_year(tmp_path)
    assert list(subsets) == ["y"]
    assert notes == ["x: 1 of 1 pairs have no gold score and are skipped"]

    write(tmp_path / "STS.input.x.txt", "a b\n")
    write(tmp_path / "STS.gs.x.txt", "1\n")
    with pytest.raises(
        ValueError, match="line 1: expected a score and two sentences, got 2 cells"
    ):
        read_sts_year(tmp_path)


def test_sts_year_line_counts_must_agree(tmp_path):
    write(tmp_path / "STS.input.x.txt", "a\tb\nc\td\n")
    write(tmp_path / "STS.gs.x.txt", "1\n")
    message = r"STS\.gs\.x\.txt: expected 2 gold scores .*STS\.input\.x\.txt, got 1"
    with pytest.raises(ValueError, match=message):
        read_sts_year(tmp_path)
    write(tmp_path / "STS.input.x.txt", "a\tb\n\n \n")
    for gold in ("1\n", "1\n\n", "1\n\n\n"):  # a blank line at the end is no pair
        write(tmp_path / "STS.gs.x.txt", gold)
        assert read_sts_year(tmp_path)[0]["x"].gold.tolist() == [1.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (
            b"main\tx\t2016\t1\t5\tabc\t\xff\xfe\n",
            "line 1: expected UTF-8 text, got byte 0xff at position 21",
        ),
        (b"only\tthree\tcolumns\n", "line 1: expected a score and two sentences, got 0 cells"),
        (stsb_line("five", "a", "b").encode(), "line 1: expected a number as the score, got 'fi"),
        (stsb_line("nan", "a", "b").encode(), "line 1: expected a number"),
        (stsb_line(1, "a", " ").encode(), "line 1: expected two sentences, got an empty sentence"),
    ],
)
def test_errors_of_damaged_files_have_the_place(tmp_path, content, message):
    (tmp_path / "sts-test.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_task("stsb", tmp_path)
    assert "sts-test.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
