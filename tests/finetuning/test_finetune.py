"""Complete runs: resumed and whole, the selection, the written folder, and errors."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

import flowjax
from flowjax import training
from flowjax.commands.main import main
from flowjax.config import (
    FinetuneConfig,
    FinetuneData,
    FinetuneEncoder,
    FinetuneObjective,
    FinetuneTrain,
)
from flowjax.finetuning.finetune import finetune
from flowjax.finetuning.preparation import prepare
from flowjax.finetuning.selection import Best


@pytest.fixture(scope="module")
def files(tmp_path_factory, sentences):
    """Sentences, labelled pairs, and the folder of a small STS-B."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "text.txt").write_text("\n".join(sentences) + "\n")
    names = ("entailment", "neutral", "contradiction")
    pairs = zip(sentences[:150], sentences[150:], strict=True)
    rows = [
        {"sentence1": a, "sentence2": b, "label": names[i % 3]} for i, (a, b) in enumerate(pairs)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "stsb").mkdir()
    for split in ("train", "dev", "test"):
        lines = [
            f"main\tx\t2012\t{i}\t{i % 6}\t{sentences[i]}\t{sentences[i + 30]}" for i in range(30)
        ]
        (folder / "stsb" / f"sts-{split}.csv").write_text("\n".join(lines) + "\n")
    return folder


def config(tiny_encoder, files, objective, data, **train):
    return FinetuneConfig(
        FinetuneEncoder(str(tiny_encoder), max_length=20),
        FinetuneObjective(objective),
        FinetuneData(str(files / data), dir=str(files), heldout=100),
        FinetuneTrain(**{"batch_size": 16, "learning_rate": 1e-2, "checkpoint_every": 4} | train),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_encoder, files):
    """A whole run of simcse with dropout, and the same run stopped and resumed.

    `(folder, rows of metrics, report)` of each.
    """
    out = tmp_path_factory.mktemp("runs")
    wanted = config(tiny_encoder, files, "simcse", "text.txt", steps=12, validate_every=3)
    inputs = prepare(wanted.resolved())
    found = {}
    for name in ("whole", "resumed"):
        rows = []
        if name == "resumed":
            with pytest.raises(training.Stopped):
                finetune(
                    wanted,
                    out / name,
                    inputs=inputs,
                    log=rows.append,
                    stop=lambda rows=rows: rows[-1]["step"] >= 4,
                )
            assert 4 <= rows[-1]["step"] < 12
        report = finetune(wanted, out / name, inputs=inputs, log=rows.append)
        found[name] = out / name, rows, report
    return found


def test_a_resumed_run_equals_an_uninterrupted_one(runs):
    (a, rows_a, report_a), (b, rows_b, report_b) = runs["whole"], runs["resumed"]
    one, two = (load_file(folder / "model" / "model.safetensors") for folder in (a, b))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert report_a | {"seconds": 0} == report_b | {"seconds": 0}
    measured = [
        {r["step"]: r["retrieval"] for r in rows if "retrieval" in r} for rows in (rows_a, rows_b)
    ]
    assert measured[0] == measured[1] and set(measured[0]) == {3, 6, 9, 12}


def test_the_selected_checkpoint_is_the_best_without_labels(runs):
    _, rows, report = runs["whole"]
    measured = {row["step"]: row["retrieval"] for row in rows if "retrieval" in row}
    best = max(measured, key=measured.get)
    assert report["selected_by"] == "retrieval" and report["selected_step"] == best
    assert report["after"]["retrieval"] == pytest.approx(measured[best])
    assert all("stsb_dev" in row for row in rows if "retrieval" in row)  # only monitored
    assert report["examples"] == 270 and report["left_out"] == {"held out": 30}


def test_the_folder_is_a_sentence_encoder(runs, tiny_encoder):
    folder = runs["whole"][0] / "model"
    encoder = flowjax.SentenceEncoder.from_pretrained(folder)
    assert (encoder.pooling, encoder.max_length) == ("cls", 20)
    start = flowjax.SentenceEncoder.from_pretrained(tiny_encoder, pooling="cls")
    texts = ["a man plays", "the dog"]
    assert abs(encoder.encode(texts) - start.encode(texts)).max() > 1e-3
    modules = json.loads((folder / "modules.json").read_text())
    assert [m["type"].rpartition(".")[2] for m in modules] == ["Transformer", "Pooling"]
    assert json.loads((folder / "finetune.json").read_text())["objective"] == "simcse"
    assert "simcse" in (folder / "README.md").read_text()


def test_sentence_transformers_loads_the_folder(runs):
    library = pytest.importorskip("sentence_transformers")
    folder = runs["whole"][0] / "model"
    texts = ["a man plays", "the dog sleeps on the ball"]
    theirs = library.SentenceTransformer(str(folder), device="cpu").encode(texts)
    ours = flowjax.SentenceEncoder.from_pretrained(folder).encode(texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def command(tiny_encoder, files, out, *flags):
    argv = ["finetune", "--encoder", tiny_encoder, "--out", out, "--encoder.max-length", "20"]
    return list(map(str, [*argv, "--train.batch-size", "16", *flags]))


def test_the_command_with_each_labelled_objective(tiny_encoder, files, tmp_path, capsys):
    data = ["--data", files / "pairs.jsonl", "--train.steps", "4"]
    options = [*data, "--objective", "nli", "--data-dir", files, "--train.select", "stsb"]
    out = tmp_path / "nli"
    assert main(command(tiny_encoder, files, out, *options)) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["selected_by"] == "stsb" and set(report["after"]) == {"stsb_dev"}
    assert main(command(tiny_encoder, files, out, *options)) == 2  # finished
    options = [*data, "--objective", "mnr", "--train.accumulate", "2", "--overwrite"]
    assert main(command(tiny_encoder, files, out, *options)) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["left_out"]["neutral"] == 50 and report["examples"] == 50
    assert main(["plot", str(out)]) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--data: expected files to train on, got none"),
        (["--data", "TEXT", "--train.batch-size", "12"], "batch_size: expected a multiple of 8"),
        (["--data", "TEXT", "--train.batch-size", "400"], "train.batch_size: expected an integer"),
        (["--data", "TEXT", "--encoder.dropout", "0"], "encoder.dropout: expected a rate above 0"),
        (["--data", "TEXT", "--encoder.max-length", "99"], "encoder.max_length: expected an int"),
        (["--data", "TEXT", "--train.select", "stsb"], "data.dir: expected the folder of STS-B"),
        (["--data", "TEXT", "--objective", "nil"], "objective.name: expected one of nli, mnr"),
        (["--data", "TEXT", "--objective", "nli"], "expected the columns sentence1"),
        (["--data", "SHORT"], "expected longer sentences or more of them for the selection"),
        (["--data", "TEXT", "--objective.temperature", "0"], "objective.temperature: expected"),
        (["--data", "none.txt"], "none.txt: expected a file of sentences, got no such file"),
    ],
)
def test_errors_have_one_line_and_leave_no_folder(
    tiny_encoder, files, tmp_path, capsys, flags, message
):
    (tmp_path / "short.txt").write_text("a dog\n" * 40)
    words = {"TEXT": files / "text.txt", "SHORT": tmp_path / "short.txt"}
    flags = [words.get(flag, flag) for flag in flags]
    assert main(command(tiny_encoder, files, tmp_path / "run", *flags)) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if message in x]
    assert len(lines) == 1 and not (tmp_path / "run").exists()


def test_values_that_are_not_finite_are_never_the_best():
    best = Best.none({"w": np.ones(2)})
    assert best.updated(float("nan"), 3, {"w": np.zeros(2)}) is best
    assert jax.tree.map(float, best._replace(params=()))[1:] == (-np.inf, 0.0)
