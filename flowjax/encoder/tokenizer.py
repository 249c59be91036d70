"""Tokenizers: load the files of a model folder, or train a WordPiece one of our own.

The `tokenizers` library does the work. `transformers.AutoTokenizer` would too, but takes seconds
to import, and its `BertTokenizerFast(vocab_file=...)` maps every word to `[UNK]` since
transformers 5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# What a model folder may hold of a tokenizer; the first is all that is needed where it is there.
FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Loads `tokenizer.json` (of any kind), or else a WordPiece `vocab.txt`, from a model folder.

    Padding and truncation that the file may have switched on are switched off: batching does both.

    Args:
        folder: a Hugging Face model folder. A `vocab.txt` is read as `tokenizer_config.json` says
            (`do_lower_case`, `strip_accents`, `tokenize_chinese_chars`, special tokens); without
            that file, as in Google's own folders, it is cased if the vocabulary has capitals.

    Returns:
        A `tokenizers.Tokenizer` that adds `[CLS]` and `[SEP]`, or what the model has in their
        place.

    Raises:
        ValueError: neither file is there, or one is damaged.
    """
    from tokenizers import Tokenizer

    folder = Path(folder)
    json_file, vocab_file = folder / "tokenizer.json", folder / "vocab.txt"
    try:
        if json_file.exists():
            tokenizer = Tokenizer.from_file(str(json_file))
        elif vocab_file.exists():
            tokenizer = _from_vocab(vocab_file)
        else:
            raise ValueError(
                f"{folder}: expected tokenizer.json or vocab.txt, found neither (transformers' "
                f"AutoTokenizer.from_pretrained(...).save_pretrained(...) makes the first)"
            )
    except ValueError:
        raise
    except Exception as error:  # the Rust side raises bare Exceptions
        file = json_file if json_file.exists() else vocab_file
        raise ValueError(f"{file}: cannot be read as a tokenizer: {error}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def train_wordpiece(lines: Iterable[str], vocab_size: int) -> Tokenizer:
    """Trains an uncased WordPiece vocabulary with BERT's normalisation and special tokens.

    Args:
        lines: text; read once.
        vocab_size: entries, the five special tokens included.

    Returns:
        A tokenizer in the form of Google's uncased BERT; `[PAD]` is 0.

    Example:
        >>> tokenizer = train_wordpiece(["a cat", "a cat sat"], 30)
        >>> tokenizer.encode("A cat").tokens
        ['[CLS]', 'a', 'cat', '[SEP]']
    """
    from tokenizers import BertWordPieceTokenizer

    trainer = BertWordPieceTokenizer(lowercase=True)
    trainer.train_from_iterator(
        lines,
        vocab_size=vocab_size,
        min_frequency=2,
        limit_alphabet=400,
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    tokenizer = trainer._tokenizer
    _frame(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def _from_vocab(file: Path) -> Tokenizer:
    """A WordPiece tokenizer from one entry a line, with BERT's normalisation."""
    from tokenizers import BertWordPieceTokenizer

    # Only line feeds divide entries (a vocabulary may hold other line separators), and a carriage
    # return before one is no part of a word: it would turn every word into [UNK].
    try:
        entries = [line.removesuffix("\r") for line in file.read_text("utf-8").split("\n")]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: expected UTF-8, got {error}") from None
    while entries and not entries[-1]:
        entries.pop()
    vocab = {entry: i for i, entry in enumerate(entries)}
    options = _read_options(file.parent)
    special = {
        kind: _content(options.get(f"{kind}_token") or default)
        for kind, default in zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL_TOKENS, strict=True)
    }
    for kind in ("unk", "cls", "sep"):
        if special[kind] not in vocab:
            raise ValueError(f"{file}: expected an entry {special[kind]} ({kind}_token), got none")
    cased = any(re.search("[A-Z]", entry) for entry in vocab if not re.match(r"[\[<]", entry))
    lowercase = bool(options.get("do_lower_case", not cased))
    # BERT's own rule: accents go where case goes, unless the config says otherwise.
    strip = options.get("strip_accents")
    tokenizer = BertWordPieceTokenizer(
        vocab,
        lowercase=lowercase,
        strip_accents=lowercase if strip is None else strip,
        handle_chinese_chars=bool(options.get("tokenize_chinese_chars", True)),
        **{f"{kind}_token": token for kind, token in special.items()},
    )._tokenizer
    _frame(tokenizer, special["cls"], special["sep"])
    return tokenizer


def _frame(tokenizer: Tokenizer, first: str, last: str) -> None:
    """Has the tokenizer put `first` before a sentence and `last` behind it."""
    from tokenizers.processors import TemplateProcessing

    tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )


def _read_options(folder: Path) -> dict[str, Any]:
    """`tokenizer_config.json` over `special_tokens_map.json`, each where it is there."""
    options: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        file = folder / name
        if not file.exists():
            continue
        try:
            options |= json.loads(file.read_text("utf-8"))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file}: expected a JSON object: {error}") from None
    return options


def _content(token: str | dict[str, Any]) -> str:
    """A special token's text; newer files wrap it with its options."""
    return token["content"] if isinstance(token, dict) else token
