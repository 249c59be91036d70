"""`flowjax.check`: recommendation, table, page and text for sentences and for vectors."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import flowjax
from flowjax import flows
from flowjax.calibration.criterion import KINDS
from flowjax.calibration.inputs import divide, in_blocks
from flowjax.commands import fit
from flowjax.commands.check import Args, fit_command
from flowjax.commands.flags import parse_flags
from flowjax.commands.main import main
from flowjax.errors import FlowjaxError

sys.path.insert(0, str(Path(__file__).parents[1]))
from html_reader import Reader

DIM = 24


@dataclasses.dataclass
class Words:
    """Encoder: mean of word vectors; `nuisance` is the spread of two unrelated directions."""

    nuisance: float
    name: str = "words"

    def encode(self, texts):
        rows = []
        for text in texts:
            rng = np.random.default_rng([len(text), *text.encode()[:40]])
            words = [
                np.random.default_rng(list(w.encode())).normal(size=DIM) for w in text.split()
            ]
            row = np.mean(words, axis=0)
            row[:2] += self.nuisance * (1 + rng.normal(size=2))
            rows.append(row)
        return np.array(rows, np.float32)


def texts(documents=240, sentences=4):
    """Documents of sentences that share words with their neighbours, with blank lines."""
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(documents):
        topic = rng.integers(0, 3000, 8)
        for _ in range(sentences):
            words = [*rng.choice(topic, 7), *rng.integers(0, 3000, 4)]
            lines.append(" ".join(f"w{w}" for w in words))
        lines.append("")
    return lines


TEXTS = texts()
FLOW = flows.glow(DIM, levels=1, depth=1, width=4)


@pytest.fixture(scope="module")
def found():
    return flowjax.check(TEXTS, Words(3.0), flow=FLOW, steps=10)


def test_a_calibration_is_recommended_if_unrelated_directions_dominate(found):
    verdict = found.verdict
    assert found.recommended.partition("^")[0] in ("whitening", "glow", "standardized")
    assert found.recommended == verdict.best and 0 < verdict.low < verdict.difference
    assert verdict.low < verdict.difference < verdict.high
    row = next(row for row in found.table if row["vectors"] == found.recommended)
    assert (row["difference"], row["low"]) == (verdict.difference, verdict.low)
    assert found.advice.startswith("Use ") and f"{verdict.low:+.1f}" in found.advice
    assert repr(found).count("\n") == 0 and found.advice in repr(found)
    assert set(found.inputs.measure) == {"neighbours"}


def test_plain_vectors_are_kept_if_they_are_isotropic():
    found = flowjax.check(TEXTS, Words(0.0), flow="whitening")
    assert found.recommended == "plain" and found.advice.startswith("Keep the plain vectors")
    assert found.verdict.low <= 0
    # Not a second time as "whitening", with other values.
    assert {row["vectors"].partition("^")[0] for row in found.table} == {
        *("plain", "centred", "standardized", "whitening")
    }
    assert "whitening" not in {row["vectors"] for row in found.table}


def test_table_compares_with_plain_vectors_and_with_an_exact_gaussian(found):
    rows = {row["vectors"]: row for row in found.table}
    assert rows["plain"]["difference"] == 0
    assert {"centred", "standardized", "whitening^0.5", "glow^0", "glow^1"} <= set(rows)
    assert rows["whitening^0.1"]["log_prob_per_dim"] == rows["whitening^1"]["log_prob_per_dim"]
    # A plain mean far from the origin: high cosines before, zero after.
    assert rows["plain"]["random_mean"] > 0.3 > abs(rows["centred"]["random_mean"]) * 3
    gaussian = found.measured.gaussian
    assert abs(gaussian["random_mean"]) < 0.02 and gaussian["isoscore"] < 1
    assert rows["plain"]["isoscore"] < rows["whitening^1"]["isoscore"] < gaussian["isoscore"] + 0.1
    assert rows["whitening^1"]["log_prob_per_dim"] > rows["plain"]["log_prob_per_dim"]


def test_text_fits_80_columns_and_json_has_everything(found):
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(f"* {found.recommended}") for line in lines)
    facts = json.loads(json.dumps(found.to_dict()))
    assert facts["recommended"] == found.recommended and facts["about"]["Seed"] == "0"
    assert "jax" in facts["about"]["Versions"] and "240 documents" in facts["about"]["Data"]


def test_page_follows_from_the_values(found, tmp_path):
    index = found.save(tmp_path / "page")
    text = index.read_text("utf-8")
    page = Reader(text)
    assert found.advice in page.text and "prefers-color-scheme: dark" in text
    table = page.tables["check"]
    assert len(table) == len(found.table) + 2 and table[-1][0] == "exact Gaussian"
    assert [row[0] for row in table if row[0].endswith(" (use)")] == [f"{found.recommended} (use)"]
    for name in ("gain.png", "cosines.png", "spectra.png", "check.csv", "report.json"):
        assert (tmp_path / "page" / name).stat().st_size > 500
    with pytest.raises(FlowjaxError, match="use --overwrite"):
        found.save(tmp_path / "page")
    found.save(tmp_path / "page", overwrite=True)


def test_the_seed_determines_everything():
    one, two = (flowjax.check(TEXTS, Words(3.0), flow="whitening", most=600) for _ in range(2))
    assert one.to_dict() == two.to_dict()
    other = flowjax.check(TEXTS, Words(3.0), flow="whitening", most=600, seed=1)
    assert other.table != one.table and "random sample" in dict(one.about)["Data"]


def test_sentences_without_documents_and_unrelated_neighbours():
    lines = [line for line in TEXTS if line]
    plain = flowjax.check(lines, Words(3.0), flow="whitening")
    assert set(plain.inputs.measure) == set(KINDS) and plain.recommended != "plain"
    np.random.default_rng(1).shuffle(lines)
    mixed = [x for i, line in enumerate(lines) for x in ([line, ""] if i % 4 == 3 else [line])]
    found = flowjax.check(mixed, Words(3.0), flow="whitening")
    assert set(found.inputs.measure) == set(KINDS)
    assert "as similar as random ones" in dict(found.about)["Data"], found.about


def test_arrays_with_and_without_pairs(tmp_path):
    rows = Words(3.0).encode([line for line in TEXTS if line])
    np.save(tmp_path / "rows.npy", rows)
    alone = flowjax.check(array=tmp_path / "rows.npy", flow="whitening")
    assert alone.recommended is None and "No recommendation" in alone.advice
    assert "score" not in alone.table[0]
    assert "help on these vectors?" in alone.save(tmp_path / "alone").read_text("utf-8")
    assert max(map(len, str(alone).splitlines())) <= 80
    near = flowjax.check(array=rows, documents=np.arange(len(rows)) // 4, flow="whitening")
    assert near.recommended not in (None, "plain")
    assert set(flowjax.check(array=rows, neighbours=True, flow="whitening").inputs.measure)
    pairs = rows[::2], rows[1::2]
    for array in (None, rows.astype(np.float64)):
        given = flowjax.check(array=array, pairs=pairs, flow="whitening")
        assert given.recommended not in (None, "plain") and given.save(
            tmp_path / str(array is None)
        )


def test_division_is_by_document():
    documents = in_blocks([range(i * 5, i * 5 + 5) for i in range(60)])
    parts = divide(documents, seed=3)
    assert sorted(len(rows) for part in parts for rows in part) == [5] * 60
    assert [round(sum(map(len, part)) / 300, 1) for part in parts] == [0.6, 0.2, 0.2]
    assert parts != divide(documents, seed=4)
    assert len(in_blocks([range(1000)])) == 50


ROWS = np.random.default_rng(0).normal(size=(400, 6))
BROKEN = np.where(np.arange(400)[:, None] == 7, np.nan, ROWS)
PAIR = (ROWS[:, :5], ROWS[:, :5])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "expected text, an array or pairs, got none"),
        ({"sentences": ["One.", "Two."]}, "at least 200 different sentences, got 2"),
        ({"sentences": ["Equal sentence."] * 900}, "at least 200 different sentences, got 1"),
        (
            {"sentences": [" ".join(f"S {i} is." for i in range(90))]},
            "different sentences, got 90",
        ),
        ({"sentences": TEXTS, "array": ROWS}, "expected text or vectors, got both"),
        ({"sentences": TEXTS, "neighbours": True}, "expected an array, got none"),
        ({"array": BROKEN}, "array: expected finite numbers, got nan at row 7"),
        ({"array": ROWS[0]}, "expected rows of shape"),
        ({"array": ROWS[:, :1]}, "expected at least 2 dimensions"),
        ({"array": ROWS[:50]}, "at least 200 different rows, got 50"),
        ({"array": np.ones((900, 3))}, "got all rows equal"),
        ({"array": ROWS, "pairs": PAIR}, "expected dimension 6 like array, got 5"),
        ({"pairs": (ROWS, ROWS[:-1])}, "expected arrays of one shape"),
        ({"pairs": (ROWS,)}, "expected two arrays"),
        ({"array": ROWS, "pairs": (ROWS[:50], ROWS[:50])}, "at least 80 pairs, got 50"),
        ({"array": ROWS, "documents": np.zeros(3)}, "documents: expected 400 numbers, got 3"),
        ({"array": ROWS, "seed": -1}, "seed: expected an integer"),
        ({"array": ROWS, "flow": "nonsense"}, "nonsense"),
        ({"sentences": TEXTS, "encoder": 3}, "expected a name, a folder or an object"),
    ],
)
def test_bad_input_is_one_clear_line(options, expected):
    with pytest.raises(FlowjaxError, match=expected) as error:
        flowjax.check(**{"encoder": Words(1.0), **options})
    assert "\n" not in str(error.value)


def test_command(tmp_path, capsys):
    np.save(tmp_path / "left.npy", ROWS.astype(np.float32))
    np.save(tmp_path / "right.npy", ROWS + 0.1)
    (tmp_path / "short.txt").write_text("One.\nTwo.\n")
    (tmp_path / "binary.txt").write_bytes(b"\x00\xff" * 99)
    sides = ["--pairs", str(tmp_path / "left.npy"), str(tmp_path / "right.npy")]
    quick = [*sides, "--flow", "whitening"]
    out = str(tmp_path / "page")
    assert main(["check", *quick, "--out", out]) == 0
    printed = capsys.readouterr().out
    assert "plain" in printed and printed.endswith("index.html\n")
    assert "check --pairs" in (tmp_path / "page" / "report.json").read_text("utf-8")
    assert main(["check", *quick, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recommended"]
    line = fit_command(Args("a.txt", pooling="cls", column="t"), "glow", {"latent_power": 0.5})
    config = parse_flags(fit.Args, "flowjax fit", line.split()[2:])
    assert (config.flow.name, config.flow.options()["latent_power"]) == ("glow", 0.5)
    assert (config.encoder.pooling, config.data.column) == ("cls", "t")
    for argv in (
        [],
        ["no-such-file.txt"],
        [str(tmp_path / "short.txt")],
        [str(tmp_path / "binary.txt")],
        ["sample", *sides],
        ["sample", "--flow", "nonsense"],
        [str(tmp_path / "left.npy")],
        ["--array", str(tmp_path / "short.txt")],
        [*quick, "--out", out],
        sides[:2],
        ["sample", "--encoder", "/no/such/folder"],
    ):
        assert main(["check", *argv, "--quiet"]) == 2, argv
        error = capsys.readouterr().err
        assert error.startswith("flowjax check: ") and error.count("\n") == 1, error
