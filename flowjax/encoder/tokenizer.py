"""Tokenizers: loading from a model folder, and training of WordPiece tokenizers.

The module uses the `tokenizers` library, because `transformers.AutoTokenizer` takes seconds to
import; `auto_tokenizer.py` calls it for other classes and files.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjax.data.sentences import checked
from flowjax.encoder.auto_tokenizer import FILES as AUTO_FILES
from flowjax.encoder.auto_tokenizer import SlowTokenizer, auto_tokenizer
from flowjax.encoder.vocab_file import OtherTokenizer, check_class, read_vocab
from flowjax.errors import FlowjaxError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Tokenizer files of a model folder; `tokenizer.json` suffices if it exists.
FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)


def load_tokenizer(folder: str | Path, *, lower_case: bool = False) -> Tokenizer:
    """Loads the tokenizer of a model folder.

    `tokenizer.json` and a WordPiece `vocab.txt` are read here; `transformers.AutoTokenizer` loads
    other files, and classes that need other software. The tokenizer neither pads nor truncates,
    because `batching.py` pads and `SentenceEncoder` truncates.

    Args:
        folder: Hugging Face model folder; see `vocab_file.read_vocab` for `vocab.txt`.
        lower_case: True lower-cases the text before the normalisation of the tokenizer.

    Returns:
        A `tokenizers.Tokenizer` that adds the special tokens of the model, such as `[CLS]` and
        `[SEP]`; a `SlowTokenizer` with the same methods for a class without a fast version.

    Raises:
        FlowjaxError: The folder contains no file of a tokenizer, a file is damaged, or
            transformers cannot load the tokenizer.
    """
    from tokenizers import Tokenizer, normalizers

    file = Path(folder) / "tokenizer.json"
    if not file.exists():
        file = file.with_name("vocab.txt")
    other: Any = None
    try:
        if not file.exists():
            raise OtherTokenizer(
                f"{folder}: expected tokenizer.json or vocab.txt, got neither; write the first "
                "with transformers.AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)"
            )
        check_class(Path(folder))
    except OtherTokenizer as error:
        other = _other_tokenizer(Path(folder), error)
    if isinstance(other, SlowTokenizer):
        other.lower_case = lower_case
        return other  # type: ignore[return-value]
    with _guarded(file):
        if other is not None:
            tokenizer: Tokenizer = other
        elif file.suffix == ".json":
            tokenizer = Tokenizer.from_file(str(file))
        else:
            tokenizer = read_vocab(file)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if lower_case:
            first, rest = normalizers.Lowercase(), tokenizer.normalizer
            tokenizer.normalizer = normalizers.Sequence([first, rest] if rest else [first])
        with _without_stderr():  # Rust prints a backtrace before Python gets the exception
            tokenizer.encode("A text")
    return tokenizer


def _other_tokenizer(folder: Path, error: FlowjaxError) -> Any:
    """Returns the tokenizer that transformers loads; raises `error` with the reason otherwise."""
    if not any((folder / name).exists() for name in ("tokenizer.json", "vocab.txt", *AUTO_FILES)):
        raise error
    try:
        return auto_tokenizer(folder)
    except FlowjaxError as reason:
        raise FlowjaxError(f"{error}; {reason}") from None


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Returns the id of unknown tokens; None for a tokenizer without it, such as byte-level BPE.

    Example:
        >>> unknown_id(train_wordpiece(["a cat"], 30))
        1
    """
    if isinstance(tokenizer, SlowTokenizer):
        return tokenizer.unknown
    try:
        # The models have no common attribute; U+F0000 is a private character, in no vocabulary.
        found = tokenizer.model.tokenize("\U000f0000")
    except Exception:  # the model needs an unknown token and has none
        return None
    return found[0].id if len(found) == 1 else None


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], first: int = 0) -> list[list[int]]:
    """Returns the token ids of each text.

    Args:
        tokenizer: tokenizer of `load_tokenizer`.
        texts: strings.
        first: index of the first text in error messages.

    Raises:
        FlowjaxError: A text is not a string or has a lone surrogate, or the tokenizer fails.
    """
    try:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
    except BaseException as error:
        for _ in checked(texts, first):  # raises the error of the first invalid text
            pass
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            reason = _reason(error)
            raise FlowjaxError(f"tokenizer: expected valid files, got: {reason}") from None
        raise


def train_wordpiece(lines: Iterable[str], vocab_size: int) -> Tokenizer:
    """Trains an uncased WordPiece tokenizer with BERT's normalisation and special tokens.

    The `tokenizers` library may choose a different vocabulary for the same text in another run.

    Args:
        lines: lines of text, read once.
        vocab_size: largest number of entries, including the five special tokens.

    Returns:
        A tokenizer like that of Google's uncased BERT; the id of `[PAD]` is 0.

    Example:
        >>> tokenizer = train_wordpiece(["a cat", "a cat sat"], 30)
        >>> tokenizer.encode("A cat").tokens
        ['[CLS]', 'a', 'cat', '[SEP]']
    """
    from tokenizers import BertWordPieceTokenizer
    from tokenizers.processors import BertProcessing

    trainer = BertWordPieceTokenizer(lowercase=True)
    trainer.train_from_iterator(lines, vocab_size, limit_alphabet=400, show_progress=False)
    tokenizer: Tokenizer = trainer._tokenizer
    ids = tokenizer.get_vocab()
    last, first = ((token, ids[token]) for token in ("[SEP]", "[CLS]"))
    tokenizer.post_processor = BertProcessing(last, first)
    return tokenizer


@contextmanager
def _guarded(file: Path) -> Iterator[None]:
    """Converts the errors of the tokenizers library to a `FlowjaxError` of one line."""
    try:
        yield
    except FlowjaxError:
        raise
    except BaseException as error:
        # The library raises plain Exceptions; a panic of Rust derives from BaseException only.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise FlowjaxError(f"{file}: expected a tokenizer, got: {_reason(error)}") from None


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Discards what native code writes to standard error."""
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _reason(error: BaseException) -> str:
    return textwrap.shorten(str(error) or type(error).__name__, 200)
