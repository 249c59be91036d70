"""WordPiece tokenizers: load the files of a model folder, or train one of our own.

The `tokenizers` library does the work. `transformers.AutoTokenizer` would too, but takes seconds to
import, and its `BertTokenizerFast(vocab_file=...)` maps every word to `[UNK]` since transformers 5.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Loads `tokenizer.json`, or else `vocab.txt`, from a model folder.

    Padding and truncation that the file may have switched on are switched off: batching does both.

    Args:
        folder: a Hugging Face model folder.

    Returns:
        A `tokenizers.Tokenizer` that adds `[CLS]` and `[SEP]`, or what the model has in their place.

    Raises:
        ValueError: neither file is there, or one is damaged.
    """
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    folder = Path(folder)
    json_file, vocab_file = folder / "tokenizer.json", folder / "vocab.txt"
    try:
        if json_file.exists():
            tokenizer = Tokenizer.from_file(str(json_file))
        elif vocab_file.exists():
            options = _read_options(folder / "tokenizer_config.json")
            lowercase = bool(options.get("do_lower_case", True))
            # BERT's own rule: accents go where case goes, unless the config says otherwise.
            strip = options.get("strip_accents")
            tokenizer = BertWordPieceTokenizer(
                str(vocab_file),
                lowercase=lowercase,
                strip_accents=lowercase if strip is None else strip,
                handle_chinese_chars=options.get("tokenize_chinese_chars", True),
            )._tokenizer
        else:
            raise ValueError(f"{folder}: expected tokenizer.json or vocab.txt, found neither")
    except ValueError:
        raise
    except Exception as error:  # the Rust side raises bare Exceptions
        raise ValueError(f"{folder}: cannot read the tokenizer: {error}") from None
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
    """
    from tokenizers import BertWordPieceTokenizer
    from tokenizers.processors import TemplateProcessing

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
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _read_options(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.exists() else {}
