"""Tokenizers that transformers reads: the fallback for classes and files that flowjax does not.

Examples are the `vocab.json` and `merges.txt` of a byte-level BPE, and classes without a fast
version, such as `BertJapaneseTokenizer`. transformers takes seconds to import, so the module
imports it only when a tokenizer needs it.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from flowjax.errors import FlowjaxError

# Vocabulary files of tokenizers that only transformers reads.
FILES = (
    *("vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model"),
    *("bpe.codes", "unigram.json"),
)
# Texts whose ids identify the options of a tokenizer.
_TEXTS = ("A man plays\tthe Guitar, isn't it?", "Señor Müller 漢字かな交じり文 12,345.6")
# Number of words of the vocabulary in the check of a tokenizer.
PROBES = 50


def auto_tokenizer(folder: Path) -> Any:
    """Loads a tokenizer with `transformers.AutoTokenizer`, without code from the folder.

    Args:
        folder: Hugging Face model folder.

    Returns:
        A `tokenizers.Tokenizer`, or a `SlowTokenizer` for a class without a fast version.

    Raises:
        FlowjaxError: transformers cannot load the tokenizer, for example because a package for
            its language is not installed, or the tokenizer does not know its own vocabulary.
    """
    with _without_advice():
        from transformers import AutoTokenizer

        try:
            found: Any = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except BaseException as error:  # a panic of Rust derives from BaseException only
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            reason = textwrap.shorten(str(error) or type(error).__name__, 250)
            raise FlowjaxError(
                f"{folder}: expected a tokenizer that transformers can load, got "
                f"{type(error).__name__}: {reason}"
            ) from None
    tokenizer = found.backend_tokenizer if found.is_fast else SlowTokenizer(found)
    check_vocabulary(tokenizer, found.unk_token_id, folder)
    return tokenizer


def check_vocabulary(tokenizer: Any, unknown: int | None, folder: Path) -> None:
    """Raises FlowjaxError if a tokenizer maps all words of its vocabulary to unknown.

    Some classes of transformers ignore a vocabulary file that they do not expect.

    Args:
        tokenizer: tokenizer from `auto_tokenizer`.
        unknown: id of the unknown token, or None.
        folder: folder of the tokenizer, for the error.
    """
    words = [word for word in tokenizer.get_vocab() if word.isalpha()][:PROBES]
    ids = [tokenizer.encode(word, add_special_tokens=False).ids for word in words]
    if not words or all(set(row) <= {unknown} for row in ids):
        raise FlowjaxError(
            f"{folder}: expected a tokenizer that knows the words of its vocabulary, got one that "
            f"knows none of {len(words)}; write tokenizer.json where the tokenizer works, with "
            "transformers.AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)"
        )


class Encoding(NamedTuple):
    """Token ids of a text."""

    ids: list[int]


class SlowTokenizer:
    """Tokenizer of transformers in Python, with those methods of `tokenizers.Tokenizer` in use.

    Attributes:
        tokenizer: tokenizer of transformers.
        lower_case: True lower-cases the text first.
    """

    def __init__(self, tokenizer: Any, lower_case: bool = False) -> None:
        self.tokenizer, self.lower_case = tokenizer, lower_case

    @property
    def unknown(self) -> int | None:
        """Id of unknown tokens, or None."""
        found: int | None = self.tokenizer.unk_token_id
        return found

    def encode(self, text: str, add_special_tokens: bool = True) -> Encoding:
        """Returns the token ids of a text."""
        text = text.lower() if self.lower_case else text
        options = {"add_special_tokens": add_special_tokens, "verbose": False}
        return Encoding(self.tokenizer.encode(text, **options))

    def encode_batch_fast(
        self, texts: Sequence[str], add_special_tokens: bool = True
    ) -> list[Encoding]:
        """Returns the token ids of each text."""
        return [self.encode(text, add_special_tokens) for text in texts]

    def get_vocab(self) -> dict[str, int]:
        """Returns the id of each token."""
        return dict(self.tokenizer.get_vocab())

    def get_vocab_size(self) -> int:
        """Returns the number of tokens."""
        return len(self.get_vocab())

    def get_added_tokens_decoder(self) -> dict[int, Any]:
        """Returns the tokens that were added to the vocabulary, by id."""
        return dict(self.tokenizer.added_tokens_decoder)

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a token, or None."""
        return self.get_vocab().get(token)

    def num_special_tokens_to_add(self, is_pair: bool) -> int:
        """Returns the number of special tokens of a text, or of a pair of texts."""
        return int(self.tokenizer.num_special_tokens_to_add(is_pair))

    def to_str(self) -> str:
        """Returns the class, the vocabulary and the ids of a few texts, for digests."""
        kind, rows = type(self.tokenizer).__qualname__, self.encode_batch_fast(_TEXTS)
        vocabulary = sorted(self.get_vocab().items(), key=lambda item: item[1])
        return f"{kind} {self.lower_case} {vocabulary} {rows}"

    def save(self, path: str) -> None:
        """Writes the files of the tokenizer to the folder of `path`.

        The class has no `tokenizer.json`.
        """
        self.tokenizer.save_pretrained(Path(path).parent)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Leaves out the advice of transformers to install torch, which tokenizers do not need."""
    name = "TRANSFORMERS_NO_ADVISORY_WARNINGS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
