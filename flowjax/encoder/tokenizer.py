"""Tokenizers: loading from a model folder, and training of WordPiece tokenizers.

The module uses the `tokenizers` library. `transformers.AutoTokenizer` takes seconds to import, and
since transformers 5, `BertTokenizerFast(vocab_file=...)` maps every word to `[UNK]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjax.errors import FlowjaxError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Tokenizer files of a model folder; `tokenizer.json` suffices if it exists.
FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Loads a tokenizer from the `tokenizer.json` or the WordPiece `vocab.txt` of a model folder.

    The tokenizer neither pads nor truncates, because `batching.py` pads and `SentenceEncoder`
    truncates.

    Args:
        folder: Hugging Face model folder. `tokenizer_config.json` holds the options of a
            `vocab.txt` (`do_lower_case`, `strip_accents`, `tokenize_chinese_chars`, special
            tokens). Without that file, the tokenizer is cased if the vocabulary has capitals.

    Returns:
        A `tokenizers.Tokenizer` that adds the special tokens of the model, such as `[CLS]` and
        `[SEP]`.

    Raises:
        FlowjaxError: The folder contains neither file, or a file is damaged.
    """
    from tokenizers import Tokenizer

    file = Path(folder) / "tokenizer.json"
    if not file.exists():
        file = file.with_name("vocab.txt")
    if not file.exists():
        raise FlowjaxError(
            f"{folder}: expected tokenizer.json or vocab.txt, got neither; write the first with "
            f"transformers.AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)"
        )
    try:
        from_json = file.suffix == ".json"
        tokenizer = Tokenizer.from_file(str(file)) if from_json else _from_vocab(file)
    except FlowjaxError:
        raise
    except Exception as error:  # the tokenizers library raises plain Exceptions
        raise FlowjaxError(f"{file}: expected a tokenizer, got: {error}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


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
    tokenizer = trainer._tokenizer
    last, first = ((token, tokenizer.token_to_id(token)) for token in ("[SEP]", "[CLS]"))
    tokenizer.post_processor = BertProcessing(last, first)
    return tokenizer


def _from_vocab(file: Path) -> Tokenizer:
    """Returns the WordPiece tokenizer of a vocabulary file with one entry per line."""
    from tokenizers import BertWordPieceTokenizer

    # Only line feeds separate entries, because other line separators may be entries. Files with
    # Windows line ends have a carriage return after each entry; with it, no word would match.
    try:
        entries = [line.removesuffix("\r") for line in file.read_text("utf-8").split("\n")]
    except UnicodeDecodeError as error:
        raise FlowjaxError(f"{file}: expected UTF-8, got {error}") from None
    while entries and not entries[-1]:
        entries.pop()
    vocab = {entry: i for i, entry in enumerate(entries)}
    options = _read_options(file.parent)
    special: dict[str, Any] = {}
    for kind in ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"):
        token = options.get(kind) or f"[{kind.removesuffix('_token').upper()}]"
        # Newer files store a dict of options instead of the token's text.
        special[kind] = token = token["content"] if isinstance(token, dict) else token
        if token not in vocab and kind not in ("pad_token", "mask_token"):
            raise FlowjaxError(f"{file}: expected an entry {token} ({kind}), got none")
    cased = any(re.search("[A-Z]", entry) for entry in vocab if not re.match(r"[\[<]", entry))
    lowercase = bool(options.get("do_lower_case", not cased))
    # BERT strips accents if and only if it lower-cases, unless the config sets `strip_accents`.
    strip = options.get("strip_accents")
    return BertWordPieceTokenizer(
        vocab,
        lowercase=lowercase,
        strip_accents=lowercase if strip is None else strip,
        handle_chinese_chars=bool(options.get("tokenize_chinese_chars", True)),
        **special,
    )._tokenizer


def _read_options(folder: Path) -> dict[str, Any]:
    """Returns the options of `tokenizer_config.json` and `special_tokens_map.json`, if present."""
    options: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        file = folder / name
        try:
            options |= json.loads(file.read_text("utf-8")) if file.exists() else {}
        except (ValueError, TypeError) as error:
            raise FlowjaxError(f"{file}: expected a JSON object, got: {error}") from None
    return options
