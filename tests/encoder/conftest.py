"""Fixtures: the folder of golden models, and a small encoder with a tokenizer."""

import shutil
import string
from pathlib import Path

import pytest

GOLDENS = Path(__file__).parents[1] / "goldens" / "encoder"
WORDS = "the a cat dog man plays guitar sat on in is of and music ran red sun two by it".split()
# 97 entries, the vocabulary size of the golden BERT.
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
VOCAB += [*string.ascii_lowercase, *(f"##{c}" for c in string.ascii_lowercase)]
VOCAB += [w for w in WORDS if len(w) > 1]
VOCAB += [f"[unused{i}]" for i in range(97 - len(VOCAB))]


@pytest.fixture(scope="session")
def goldens():
    return GOLDENS


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """Folder of the golden BERT with a `vocab.txt` of words, letters and continuations."""
    folder = tmp_path_factory.mktemp("encoder")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDENS / "bert" / name, folder)
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n", "utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    return folder


@pytest.fixture
def formats(tmp_path):
    """Copy of the golden formats that a test may damage."""
    return Path(shutil.copytree(GOLDENS / "formats", tmp_path / "formats"))
