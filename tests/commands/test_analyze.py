"""Tests of `flowjax analyze`: the report, its metrics, and one line for each error."""

import csv
import gzip
import json
from types import SimpleNamespace

import numpy as np
import pytest
from html_reader import Reader

from flowjax.calibration.held import SampledSource
from flowjax.commands.analyze import fitted_config, fitted_sentences, fitted_tasks
from flowjax.commands.evaluate import SAMPLE_NOTE, load_tasks
from flowjax.commands.main import main
from flowjax.commands.report_inputs import ranked_words, run_vectors, task_vectors
from flowjax.compare import compare
from flowjax.errors import FlowjaxError
from flowjax.evaluation import Pairs, PairTask, isotropy_report, load_pairs
from flowjax.model import BertFlow
from flowjax.report import measures
from flowjax.report.blocks import MISSING
from flowjax.report.inputs import ReportedModel


@pytest.fixture(scope="module")
def analyzed(tiny_run, tmp_path_factory):
    run, _, pairs = tiny_run
    out = tmp_path_factory.mktemp("reports") / "deep" / "report"
    argv = ["analyze", run, "--out", out, "--rows", 300, "--tasks", pairs]
    assert main([str(a) for a in argv]) == 0
    return out


@pytest.fixture(scope="module")
def data(analyzed):
    return json.loads((analyzed / "report.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def page(analyzed):
    return Reader((analyzed / "index.html").read_text("utf-8"))


def fails(capsys, *argv):
    """Runs a command that must fail with exit code 2 and returns its line of error."""
    capsys.readouterr()
    assert main([str(a) for a in argv]) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("flowjax analyze:")]
    assert len(lines) == 1 and "Traceback" not in error, error
    return lines[0]


def test_the_folder_has_the_files_that_it_lists(analyzed, data):
    assert sorted(data["files"]) == sorted(p.name for p in analyzed.iterdir())
    assert {"index.html", "isotropy.csv", "baselines.csv", "lexical.csv", "words.csv"} <= {
        *data["files"]
    }
    for file in analyzed.glob("*.png"):
        assert file.read_bytes().startswith(b"\x89PNG")


def test_the_page_has_no_external_addresses(analyzed, page):
    assert page.addresses
    for address in page.addresses:
        assert address.startswith(("data:", "#")), address[:60]
        assert not address.startswith("#") or address[1:] in page.ids
    assert len(page.ids) == len(set(page.ids))
    assert "://" not in (analyzed / "index.html").read_text("utf-8")


def test_the_tables_of_page_json_and_csv_agree(analyzed, page, data):
    assert set(page.tables) == set(data["tables"])
    for name, table in data["tables"].items():
        head, *body = page.tables[name]
        assert len(body) == len(table["rows"])
        with (analyzed / f"{name}.csv").open(newline="") as file:
            saved = list(csv.DictReader(file))
        for cells, row, line in zip(body, table["rows"], saved, strict=True):
            assert len(cells) == len(head)
            numbers = [v for v in row.values() if isinstance(v, float)]
            for cell in cells[1:]:
                digits = cell.partition(".")[2]
                if digits and cell != MISSING:
                    assert cell in {f"{v:z.{len(digits)}f}" for v in numbers}
            for key, value in row.items():
                assert line[key] == ("" if value is None else str(value))


@pytest.fixture(scope="module")
def model(tiny_run):
    return BertFlow.load(tiny_run[0])


def test_isotropy_is_measured_on_the_vectors_of_the_run(tiny_run, model, data):
    rows = {row["vectors"]: row for row in data["tables"]["isotropy"]["rows"]}
    exact = rows.pop("exact Gaussian sample")
    assert list(rows) == ["plain", "standardize", "whitening", "glow"]
    assert rows["plain"]["isoscore"] < exact["isoscore"] < 1
    some = run_vectors(model, tiny_run[0]).take(300)
    for name, map_ in (("plain", lambda x: x), ("glow", model.transform)):
        for key, value in isotropy_report(map_(some.vectors)).items():
            assert rows[name][key] == pytest.approx(value, rel=1e-6), key
    assert rows["plain"]["mean_cosine"] > rows["glow"]["mean_cosine"]


def test_baselines_agree_with_evaluate(tiny_run, model, data):
    """Each method has one value on all pages: the same transformation computes it."""
    results = compare(model, [load_pairs(tiny_run[2])])["results"]["pairs"]["test"]
    rows = {r["method"]: r["pairs_test"] for r in data["tables"]["baselines"]["rows"]}
    same = {"plain": "plain", "standardize (SN)": "standardize", "whitening": "whitening"}
    for method, name in {**same, "glow (fitted flow)": "glow"}.items():
        assert rows[method] == pytest.approx(results[name]["spearman"], abs=1e-9), method
    assert {"NATSV k=1", "NATSV k=10", "SN + NATSV k=1", "SN + NATSV k=6"} < {*rows}
    lexical = {r["measure"]: r for r in data["tables"]["lexical"]["rows"]}
    assert lexical["gold"]["gold"] == pytest.approx(100.0)
    assert lexical["glow"]["gold"] == pytest.approx(results["glow"]["spearman"], abs=1e-6)


def test_a_baseline_that_cannot_be_fitted_is_noted():
    few = np.random.default_rng(0).normal(size=(40, 60))
    model = ReportedModel("bert", "mean", "glow", {"glow": lambda x: x}, [], {})
    table = measures.baseline_table(few, [], model)
    assert "whitening: not defined for these vectors" in " ".join(table.notes)


def test_a_report_is_about_the_text_of_the_run_by_default(tiny_run, tmp_path, capsys):
    """The page of a run on a user's text does not have the embedded pairs."""
    out = tmp_path / "report"
    argv = ["analyze", str(tiny_run[0]), "--out", str(out), "--rows", "50", "--format", "svg"]
    assert main(argv) == 0
    images = {p.name for p in out.iterdir() if p.suffix in (".png", ".svg")}
    assert images == {"cone_1.svg", "cone_2.svg", "random_cosines.svg", "spectrum.svg"}
    data = json.loads((out / "report.json").read_text("utf-8"))
    assert set(data["tables"]) == {"isotropy", "words"}
    texts = tiny_run[1].read_text("utf-8").splitlines()
    assert {row["query"] for row in data["neighbours"]["neighbours"]} <= {*texts}
    assert "embedded sample" not in (out / "index.html").read_text("utf-8")
    assert "Mean cosine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fit", "names"),
    [("sample", "sample"), ("stsb,sickr", "stsb,sickr"), ("mine.txt", ""), ("stsb,a.txt", "")],
)
def test_the_default_tasks_are_those_of_the_fit(tmp_path, fit, names):
    (tmp_path / "config.toml").write_text(f'[data]\nfit = "{fit}"\n')
    assert fitted_tasks(fitted_config(tmp_path)) == names
    assert fitted_tasks(None) == ""


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    names = []
    for folder in ("lcqmc", "atec"):
        path = tmp_path / folder / "test.tsv.gz"
        path.parent.mkdir()
        path.write_bytes(gzip.compress(b"a\tb\t1\nc\td\t0\n"))
        names.append(str(path))
    tasks = load_tasks(",".join(names), None, "3,1,2", "tab")
    assert [task.name for task in tasks] == ["lcqmc/test", "atec/test"]
    assert [list(task.pairs("test").gold) for task in tasks] == [[1, 0], [1, 0]]
    assert load_tasks(names[0], None, "3,1,2")[0].name == "test"
    with pytest.raises(FlowjaxError, match="expected different names"):
        load_tasks(f"{names[0]},{names[0]}", None, "3,1,2")
    with pytest.raises(FlowjaxError, match=r"--columns, --delimiter: expected a file in --tasks"):
        load_tasks("sample", None, None, ";")


def test_the_embedded_pairs_are_not_called_judgements_of_several_persons():
    (task,) = load_tasks("sample", None)
    assert task.notes == (SAMPLE_NOTE,) and "a single annotator" in SAMPLE_NOTE


def test_words_are_ranked_by_count_or_by_token_id(model, data, monkeypatch):
    assert "by count in the 400 sentences" in " ".join(data["tables"]["words"]["notes"])
    norms = [row["norm"] for row in data["tables"]["words"]["rows"]]
    assert all(norm > 0 for norm in norms)
    found = {}
    monkeypatch.setattr(measures, "frequency_table", lambda x, **_: found.update(x=x) or [])
    encoder = model.encoder
    table = encoder.params["embeddings"]["word_embeddings"]["embedding"]
    assert "Rank is the token id" in measures.word_table(ranked_words(encoder, None)).notes[0]
    np.testing.assert_array_equal(found["x"], table[5:])  # all but the five special tokens
    measures.word_table(ranked_words(encoder, ["a cat, a dog, a cat, a", "a dog, a cat"]))
    first = [encoder.tokenizer.token_to_id(word) for word in ("a", ",", "cat", "dog")]
    np.testing.assert_array_equal(found["x"][:4], np.asarray(table)[first])


def test_the_sentences_of_a_run_are_found_by_its_config(tiny_run, tmp_path):
    lines = tiny_run[1].read_text("utf-8").splitlines()
    assert list(fitted_sentences(fitted_config(tiny_run[0]))) == lines
    assert fitted_sentences(fitted_config(tmp_path)) is None
    (tmp_path / "config.toml").write_text('[data]\nfit = "gone.txt"\n')
    assert fitted_sentences(fitted_config(tmp_path)) is None


def test_without_a_store_the_embedded_sample_is_encoded(tiny_run):
    class Encoder:
        def encode(self, texts):
            return np.zeros((len(texts), 2), np.float32)

    class Model:
        encoder, fitted_on = Encoder(), {}

    found = run_vectors(Model(), tiny_run[0] / "model")
    assert len(found.vectors) == len(found.sentences) > 1000
    assert "embedded sample" in found.description


def test_sentences_of_another_store_are_ignored(tiny_run):
    folder, text, _ = tiny_run
    lines = text.read_text("utf-8").splitlines()
    model = SimpleNamespace(fitted_on={})
    assert run_vectors(model, folder, lines).sentences == lines
    assert run_vectors(model, folder, lines[::-1]).sentences is None
    assert run_vectors(model, folder).sentences is None


def test_held_out_sentences_of_a_selection_are_not_called_in_sample(tiny_run):
    """Exactly the sentences that the selection held out, also within another task."""
    folder, text, _ = tiny_run
    lines = text.read_text("utf-8").splitlines()
    held = SampledSource(lines, 3).held()
    rest = len(lines) - len(held.rows)
    assert 0 < rest < len(lines)
    encoder = SimpleNamespace(encode=lambda texts: np.zeros((len(texts), 2), np.float32))
    facts = {"sentences": len(lines), "examples": rest, "selection": {}}
    model = SimpleNamespace(fitted_on=facts, seed=3, encoder=encoder)
    assert run_vectors(model, folder).seen == (rest / len(lines), 1 - rest / len(lines))
    first, second = held.sentences[0], next(s for s in lines if s not in held.sentences)
    task = PairTask("t", {"test": {"t": Pairs((first,), ("A new sentence.",), [1.0])}})
    (found,) = task_vectors(model, [task], fitted_on=lines)
    assert found.seen == (0.0, 0.5)
    task = PairTask("t", {"test": {"t": Pairs((first,), (second,), [1.0])}})
    (found,) = task_vectors(model, [task], fitted_on=lines)
    assert found.seen == (0.5, 0.5)
    del facts["selection"]
    assert run_vectors(model, folder).seen == (1.0, 0.0)
    assert task_vectors(model, [task], fitted_on=lines)[0].seen == (1.0, 0.0)


def test_an_existing_report_is_kept_without_overwrite(tiny_run, analyzed, capsys):
    before = (analyzed / "index.html").read_bytes()
    line = fails(capsys, "analyze", tiny_run[0], "--out", analyzed)
    assert "a folder with a report" in line and "--overwrite" in line
    assert (analyzed / "index.html").read_bytes() == before


@pytest.mark.slow
def test_the_same_run_gives_the_same_page(tiny_run, analyzed):
    before = (analyzed / "index.html").read_text("utf-8")
    run, _, pairs = tiny_run
    argv = ["analyze", run, "--out", analyzed, "--rows", 300, "--tasks", pairs, "--overwrite"]
    assert main([str(a) for a in argv]) == 0
    assert (analyzed / "index.html").read_text("utf-8").replace(" --overwrite", "") == before


def test_an_error_gives_one_line(tiny_run, tmp_path, capsys):
    run, out = tiny_run[0], tmp_path / "new"
    assert "expected a model folder" in fails(capsys, "analyze", tmp_path / "no", "--out", out)
    assert "--tasks nosuch" in fails(capsys, "analyze", run, "--out", out, "--tasks", "nosuch")
    assert "--data-dir" in fails(capsys, "analyze", run, "--out", out, "--tasks", "stsb")
    assert "--rows: expected an integer of at least 2, got 1" in fails(
        capsys, "analyze", run, "--out", out, "--rows", "1"
    )
    twice = fails(capsys, "analyze", run, "--out", out, "--tasks", "sample,sample")
    assert "different names" in twice
    assert not out.exists()
    (tmp_path / "file").write_text("x")
    assert "got a file" in fails(capsys, "analyze", run, "--out", tmp_path / "file")
    assert "other files than a report" in fails(capsys, "analyze", run, "--out", tmp_path)
    assert fails(capsys, "analyze")
