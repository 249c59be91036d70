"""WordPiece tokenizers from `vocab.txt`, with the options in transformers' JSON files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjax.errors import FlowjaxError, warn
from flowjax.files.json import field, read_object, typed

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Families of transformers whose tokenizer reads `vocab.txt` as WordPiece.
_WORDPIECE = (
    *("Bert", "ConvBert", "DistilBert", "DPRContextEncoder", "DPRQuestionEncoder", "Electra"),
    *("LayoutLM", "Lxmert", "MPNet", "MobileBert", "RetriBert", "SqueezeBert"),
)
# Families whose tokenizer is described completely by `tokenizer.json`.
_COMPLETE = (
    *(*_WORDPIECE, "Albert", "Bart", "BigBird", "Camembert", "Deberta", "GPT2", "Herbert"),
    *("Longformer", "PreTrained", "RemBert", "Roberta", "XLMRoberta"),
)
_SPECIAL = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


class OtherTokenizer(FlowjaxError):
    """Error of a folder whose tokenizer flowjax does not read itself."""


def check_class(folder: Path) -> None:
    """Raises OtherTokenizer if a model folder names a tokenizer class that needs other software.

    Such classes, for example `BertJapaneseTokenizer`, split words with MeCab or SentencePiece
    before WordPiece; without that step most tokens would be unknown.
    """
    complete = (folder / "tokenizer.json").exists()
    known = {f"{family}Tokenizer" for family in (_COMPLETE if complete else _WORDPIECE)}
    for name in ("tokenizer_config.json", "config.json"):
        file = folder / name
        kind = field(read_object(file) if file.exists() else {}, "tokenizer_class", str, file, "")
        # A fast tokenizer is always complete in its tokenizer.json.
        fast = complete and (kind.endswith("Fast") or kind == "TokenizersBackend")
        if kind and not fast and kind.removesuffix("Fast") not in known:
            expected = "a tokenizer" if complete else "a WordPiece tokenizer"
            raise OtherTokenizer(
                f"{file}: tokenizer_class: expected {expected} of a known class, such as "
                f"BertTokenizer, got {kind[:80]}"
            )


def read_vocab(file: Path) -> Tokenizer:
    """Returns the WordPiece tokenizer of a vocabulary file with one entry per line.

    The options are read as transformers reads them, from `tokenizer_config.json`,
    `special_tokens_map.json` and `added_tokens.json` in the same folder. `do_lower_case` is true
    unless a file sets it.

    Raises:
        FlowjaxError: A file is damaged, or the vocabulary lacks a special token.
    """
    from tokenizers import AddedToken, BertWordPieceTokenizer

    # Only line feeds separate entries, because other line separators may be entries. Files with
    # Windows line ends have a carriage return after each entry; with it, no word would match.
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FlowjaxError(f"{file}: expected UTF-8, got {error}") from None
    entries = [line.removesuffix("\r") for line in text.split("\n")]
    while entries and not entries[-1]:
        entries.pop()
    vocab = {entry: i for i, entry in enumerate(entries)}
    options = _read_options(file.parent)
    config = file.with_name("tokenizer_config.json")
    added = _added_tokens(file.parent, options)
    # A token of the vocabulary file keeps its id.
    vocab = {token.content: i for i, token in added.items()} | vocab
    special: dict[str, Any] = {}
    for kind in _SPECIAL:
        value = options.get(kind) or f"[{kind.removesuffix('_token').upper()}]"
        special[kind] = token = _content(value, f"{config}: {kind}")
        if token not in vocab and kind not in ("pad_token", "mask_token"):
            raise FlowjaxError(f"{file}: expected an entry {token} ({kind}), got none")
    if not field(options, "do_basic_tokenize", bool, config, True):
        raise FlowjaxError(f"{config}: do_basic_tokenize: expected true, got false")
    lowercase = field(options, "do_lower_case", bool, config, True)
    if lowercase and "do_lower_case" not in options:
        _warn_cased(file, entries)
    # BERT strips accents if and only if it lower-cases, unless the config sets `strip_accents`.
    tokenizer: Tokenizer = BertWordPieceTokenizer(
        vocab,
        lowercase=lowercase,
        strip_accents=field(options, "strip_accents", bool, config, lowercase),
        handle_chinese_chars=field(options, "tokenize_chinese_chars", bool, config, True),
        **special,
    )._tokenizer
    tokenizer.add_special_tokens([t for t in added.values() if t.special])
    for plain in added.values():
        content = plain.content
        if plain.special or content in special.values():
            continue
        if lowercase and content != content.lower():
            # Matched before the text is lower-cased, so that the token keeps its spelling.
            plain = AddedToken(content, normalized=False, lstrip=plain.lstrip, rstrip=plain.rstrip)
        tokenizer.add_tokens([plain])
    extra = field(options, "additional_special_tokens", list, config, [])
    names = [_content(t, f"{config}: additional_special_tokens") for t in extra]
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in names if t in vocab])
    return tokenizer


def _read_options(folder: Path) -> dict[str, Any]:
    """Returns the options of `tokenizer_config.json` and `special_tokens_map.json`, if present."""
    options: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).exists():
            options |= read_object(folder / name)
    return options


def _added_tokens(folder: Path, options: dict[str, Any]) -> dict[int, Any]:
    """Returns the tokens that were added to the vocabulary, as `AddedToken`, by id."""
    from tokenizers import AddedToken

    found: dict[int, Any] = {}
    file = folder / "added_tokens.json"
    for token, i in (read_object(file) if file.exists() else {}).items():
        if token:
            found[_id(i, f"{file}: {token[:40]!r}")] = AddedToken(token, normalized=True)
    file = folder / "tokenizer_config.json"
    decoder = field(options, "added_tokens_decoder", dict, file, {})
    for number, value in decoder.items():
        entry = typed(value, dict, f"{file}: added_tokens_decoder")
        index = int(number) if number.isascii() and number.isdecimal() else number
        if content := field(entry, "content", str, file):
            special = field(entry, "special", bool, file, False)
            flags = {
                flag: field(entry, flag, bool, file, False)
                for flag in ("single_word", "lstrip", "rstrip")
            }
            flags["normalized"] = field(entry, "normalized", bool, file, not special)
            found[_id(index, f"{file}: added_tokens_decoder")] = AddedToken(
                content, special=special, **flags
            )
    return found


def _id(value: Any, name: str) -> int:
    index: int = typed(value, int, name)
    if not 0 <= index < 1 << 31:
        raise FlowjaxError(f"{name}: expected an id of 0 to {(1 << 31) - 1}, got {index}")
    return index


def _content(value: Any, name: str) -> str:
    """Returns the text of a token; newer files store a dict of options instead of the text."""
    return typed(value.get("content") if isinstance(value, dict) else value, str, name)


def _warn_cased(file: Path, entries: list[str]) -> None:
    """Warns if the vocabulary seems to be cased and no file sets `do_lower_case`."""
    words = [entry for entry in entries if not re.match(r"[\[<]", entry)]
    capitals = sum(bool(re.match("[A-Z]", word)) for word in words)
    if capitals > 0.05 * len(words):
        warn(
            f"{file}: {capitals} of {len(words)} entries have a capital, but the text is "
            "lower-cased, because tokenizer_config.json does not set do_lower_case; for a cased "
            'encoder, write {"do_lower_case": false} into that file',
        )
