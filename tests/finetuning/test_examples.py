"""Training examples from every file format, counts of rows left out, and one-line errors."""

import json

import numpy as np
import pytest

from flowjax.errors import FlowjaxError
from flowjax.finetuning.detokenize import detokenize, is_tokenized
from flowjax.finetuning.examples import mnr_examples, nli_examples, simcse_examples

PAIRS = [
    ("A man plays.", "A person plays.", "entailment"),
    ("A man plays.", "A man sleeps.", "contradiction"),
    ("A dog runs.", 'The "dog" is old.', "neutral"),
    ("A dog runs.", "It is unclear.", "-"),
]
LABELS = [0, 2, 1, -1]
SNLI = "gold_label sentence1_binary_parse sentence2_binary_parse sentence1 sentence2 captionID"
MNLI = "index promptID sentence1 sentence2 label1 gold_label"


def write(folder, kind):
    """Writes the pairs in a format and returns the source."""
    rows = [{"sentence1": a, "sentence2": b, "gold_label": label} for a, b, label in PAIRS]
    hub = [
        {"premise": a, "hypothesis": b, "label": n}
        for (a, b, _), n in zip(PAIRS, LABELS, strict=True)
    ]
    path = folder / "pairs"
    if kind == "snli.jsonl":
        path = folder / "snli_1.0_train.jsonl"
        path.write_text("".join(json.dumps(row | {"pairID": "1"}) + "\n" for row in rows))
    elif kind == "snli.txt":
        path = folder / "snli_1.0_dev.txt"
        lines = ["\t".join([label, "( a )", "( b )", a, b, "c"]) for a, b, label in PAIRS]
        path.write_text("\n".join([SNLI.replace(" ", "\t"), *lines]) + "\n")
    elif kind == "mnli.tsv":  # the rows end early
        path = folder / "train.tsv"
        head = "gold_label\tsentence1\tsentence2\tlabel1\tlabel2"
        path.write_text("\n".join([head, *("\t".join([c, a, b, c]) for a, b, c in PAIRS)]))
    elif kind == "jsonl":
        path = folder / "hub.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in hub))
    elif kind == "json":
        path = folder / "hub.json"
        path.write_text(json.dumps(hub))
    elif kind == "allnli.csv":
        path = folder / "all.csv"
        lines = [f'train,"{a}","{b.replace(chr(34), chr(34) * 2)}",{c}' for a, b, c in PAIRS]
        lines += ["dev,x,y,neutral"]
        path.write_text("\n".join(["split,sentence1,sentence2,label", *lines]))
    elif kind == "parquet":
        pytest.importorskip("pandas").DataFrame(hub).to_parquet(folder / "hub.parquet")
        path = folder / "hub.parquet"
    elif kind == "senteval":
        for name, column in zip(("s1", "s2", "labels"), zip(*PAIRS, strict=True), strict=True):
            text = "\n".join(one.replace(".", " .") for one in column)
            (folder / f"{name}.train").write_text(text + "\n")
        path = folder
    return str(path)


KINDS = "snli.jsonl snli.txt mnli.tsv jsonl json allnli.csv parquet senteval".split()


@pytest.mark.parametrize("kind", KINDS)
def test_formats_of_labelled_pairs(tmp_path, kind):
    found = nli_examples(write(tmp_path, kind))
    rows = [[found.texts[i] for i in row] for row in found.sentences]
    assert rows == [list(row[:2]) for row in PAIRS[:3]]
    assert found.extra["label"].tolist() == [0, 2, 1]
    other = {"of other splits": 1} if kind == "allnli.csv" else {}
    assert found.left_out == {"without a label": 1} | other


def test_entailments_are_positives_and_contradictions_hard_negatives(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [("p", "e1", 0), ("p", "c1", 2), ("q", "e2", 0), ("p", "e3", 0), ("r", "c2", 2)]
    rows += [("p", "n", 1)]
    lines = [json.dumps({"premise": a, "hypothesis": b, "label": n}) for a, b, n in rows]
    path.write_text("\n".join(lines))
    found = mnr_examples(str(path))
    texts = [[found.texts[i] for i in row] for row in found.sentences]
    assert [row[:2] for row in texts] == [["p", "e1"], ["p", "e3"], ["q", "e2"]]
    assert [row[2] for row in texts[:2]] == ["c1", "c1"]
    assert found.extra["has_negative"].tolist() == [True, True, False]
    assert found.left_out == {"neutral": 1, "contradictions beyond one per entailment": 1}


@pytest.mark.parametrize(
    ("head", "rows", "columns", "views", "negatives"),
    [
        ("sent0,sent1,hard_neg", ["a,b,c", "d,e,f"], "", 3, [True, True]),
        ("anchor,positive,negative", ["a,b,c", "d,e,"], "", 3, [True, False]),
        ("anchor,positive", ["a,b", "d,e"], "", 2, None),
        ("x,y,z", ["a,b,c", "d,e,f"], "x,y,z", 3, [True, True]),
        ("x,y,z", ["a,b,entailment", "a,e,2"], "x,y,z", 3, [True]),
        ("x,y", ["a,b", "d,e"], "x,y", 2, None),
    ],
)
def test_triplets_and_named_columns(tmp_path, head, rows, columns, views, negatives):
    path = tmp_path / "a.csv"
    path.write_text("\n".join([head, *rows]))
    found = mnr_examples(str(path), columns=columns.split(",") if columns else ())
    assert found.sentences.shape[1] == views
    assert [found.texts[i] for i in found.sentences[0]] == list("abc")[:views] or negatives == [
        True
    ]
    if negatives is not None:
        assert found.extra["has_negative"].tolist() == negatives


def test_sentences_of_simcse_and_held_out_examples(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("One.\n\nTwo.\nThree.\n")
    found = simcse_examples(str(path))
    assert found.texts == ["One.", "Two.", "Three."] and found.left_out == {"empty": 1}
    assert found.sentences.tolist() == [[0, 0], [1, 1], [2, 2]]
    rest = found.without(np.array([1]))
    assert rest.sentences.tolist() == [[0, 0], [2, 2]]
    assert rest.left_out == {"empty": 1, "held out": 1}


JSON = '{{"sentence1": "a", "sentence2": "b", "label": {0}}}\n'


@pytest.mark.parametrize(
    ("read", "name", "text", "message"),
    [
        (
            nli_examples,
            "a.jsonl",
            JSON.format(0) + JSON.format('"maybe"'),
            "line 2: expected a lab",
        ),
        (nli_examples, "a.jsonl", JSON.format(7), "line 1: expected a label among .*, got '7'"),
        (nli_examples, "a.jsonl", JSON.format(1), "at least two classes, got neutral only"),
        (nli_examples, "a.jsonl", JSON.format('"-"'), r"pairs, got none \(1 without a label\)"),
        (nli_examples, "a.jsonl", "", "expected labelled pairs, got none"),
        (nli_examples, "a.jsonl", "[1]\n", "line 1: expected an object, got list"),
        (nli_examples, "a.jsonl", "{\n", "line 1: expected JSON"),
        (nli_examples, "a.jsonl", '{"sentence1": "a"}', "columns sentence1 or premise, .*; got s"),
        (
            nli_examples,
            "a.jsonl",
            JSON.format(0) + "{}\n",
            "line 2: expected a column 'sentence1'",
        ),
        (
            nli_examples,
            "a.tsv",
            "label\tpremise\thypothesis\n0\ta\tb\n0\ta\n",
            "line 3: expected a column",
        ),
        (nli_examples, "a.csv", "label,premise,hypothesis\n0,a,b,c\n", "at most 3 cells like"),
        (nli_examples, "a.zip", "x", "expected .jsonl, .*, got '.zip'"),
        (nli_examples, "s1.dev", "a\n", "s2.dev: expected a file beside s1.dev, got no such file"),
        (mnr_examples, "a.jsonl", JSON.format(1), r"or positives, got none \(1 neutral\)"),
        (
            mnr_examples,
            "a.csv",
            "anchor,other\na,b\n",
            "columns anchor or sent0 or query, .*; got",
        ),
        (simcse_examples, "a.txt", "\n\n", r"expected sentences, got none \(2 empty\)"),
    ],
)
def test_errors_have_one_line_with_file_and_line(tmp_path, read, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(FlowjaxError, match=message) as error:
        read(str(tmp_path / name))
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_errors_of_sources(tmp_path):
    with pytest.raises(FlowjaxError, match="expected a file with train in its name, got none"):
        nli_examples(str(tmp_path))
    with pytest.raises(FlowjaxError, match="expected a file of sentence pairs, got no such"):
        nli_examples(str(tmp_path / "none.jsonl"))
    (tmp_path / "s1.a").write_text("x\ny\n")
    (tmp_path / "s2.a").write_text("x\n")
    (tmp_path / "labels.a").write_text("neutral\nneutral\n")
    with pytest.raises(FlowjaxError, match=r"expected as many lines as in s2\.a and labels.a"):
        nli_examples(str(tmp_path / "s1.a"))
    path = write(tmp_path, "jsonl")
    with pytest.raises(FlowjaxError, match=r"data\.columns: expected the names of two sentences"):
        nli_examples(path, columns=["premise", "hypothesis"])


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("Two women , not girls , walk .", "Two women, not girls, walk."),
        ("It 's n't here ; we 'll see !", "It'sn't here; we'll see!"),
        ("do n't -LRB- or do -RRB-", "don't (or do)"),
        ("`` Yes , '' he said .", '"Yes," he said.'),
        ("I 'm gonna ; gon na go ...", "I'm gonna; gonna go..."),
        ("costs $ 5 , 10 % off", "costs $5, 10% off"),
        ("the dogs ' ball", "the dogs' ball"),
        ("A normal sentence, isn't it?", "A normal sentence, isn't it?"),
        ("it 's 3.5 km .", "it's 3.5 km."),
    ],
)
def test_detokenize(tokens, text):
    assert detokenize(tokens) == text == detokenize(text)


def test_a_tokenization_is_detected_and_can_be_set(tmp_path):
    assert is_tokenized(["A b .", "C d", "E f ."]) and not is_tokenized(["A b.", "C d .", "E?"])
    source = write(tmp_path, "senteval")
    assert nli_examples(source).texts[0] == "A man plays."
    assert nli_examples(source, joined=False).texts[0] == "A man plays ."


def test_a_prepared_tfds_data_set(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    from flowjax.data.tfds import prepare

    (tmp_path / "files").mkdir()
    write(tmp_path / "files", "senteval")
    prepare("nli_sentences/snli", data_dir=tmp_path / "sets", manual_dir=tmp_path / "files")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "sets"))
    found = nli_examples("tfds:nli_sentences/snli")
    assert found.texts[0] == "A man plays." and found.extra["label"].tolist() == [0, 2, 1]
    assert found.left_out == {"without a label": 1}
    with pytest.raises(FlowjaxError, match="expected a split among train, got 'dev'"):
        nli_examples("tfds:nli_sentences/snli/dev")
