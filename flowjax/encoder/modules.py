"""Settings in a folder of sentence-transformers: pooling, length, normalisation, prompts.

Such a folder has a `modules.json`, which lists the steps from tokens to a sentence vector.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from flowjax.encoder.pooling import POOLINGS
from flowjax.encoder.projection import Projection, read_dense, write_dense
from flowjax.errors import FlowjaxError, check_choice
from flowjax.files.json import field, inner_path, parse_json, read_object, typed

MODULES = "modules.json"
PROMPTS = "config_sentence_transformers.json"
# Files with the maximum length; old versions of sentence-transformers wrote one name per family.
LENGTHS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "xlm-roberta")
)
# Pooling and length of the paper (arXiv 2011.05864), for folders without settings.
POOLING: Final = "first_last"
LENGTH: Final = 64
# Class of the module of `flowjax.sentence_transformers`.
CALIBRATION = "Calibration"
# Classes of the supported modules, each with a comma.
_ORDER = re.compile("Transformer,Pooling,(Dense,)*(Normalize,)?(Calibration,)?")
# Suffix of a pooling's name in a config if means omit the special tokens.
_INNER = " without special tokens"


class Settings(NamedTuple):
    """Settings of an encoder that its folder contains.

    Attributes:
        pooling: one of `pooling.POOLINGS`.
        max_length: largest number of tokens per sentence; None if the folder has no length.
        normalize: True if vectors have length 1.
        special_tokens: True if means include `[CLS]` and `[SEP]`.
        lower_case: True if the text is lower-cased before the tokenizer.
        prompts: prefixes of sentences, by name.
        default_prompt: name of the prompt that sentence-transformers adds to every sentence.
        encoder: path of the encoder's files, relative to the folder.
        dense: linear layers between pooling and normalisation.
        calibration: path of a flow that `flowjax.sentence_transformers.Calibration` saved as the
            last module, relative to the folder; "" if there is none.
    """

    pooling: str = POOLING
    max_length: int | None = LENGTH
    normalize: bool = False
    special_tokens: bool = True
    lower_case: bool = False
    prompts: Mapping[str, str] = {}
    default_prompt: str | None = None
    encoder: str = ""
    dense: tuple[Projection, ...] = ()
    calibration: str = ""


def read_settings(folder: str | Path, pooling: str = "auto") -> Settings:
    """Returns the settings of a model folder; the settings of the paper without `modules.json`.

    Args:
        folder: model folder of Hugging Face or sentence-transformers.
        pooling: `"auto"`, or the name of a pooling that replaces the folder's pooling and the
            modules after it.

    Raises:
        FlowjaxError: A file is damaged, or the folder has a module or a pooling that flowjax does
            not support. The message names the module.
    """
    folder = Path(folder)
    if not (folder / MODULES).exists():
        return Settings(POOLING if pooling == "auto" else pooling)
    steps = read_steps(folder)
    pooled: dict[str, Any] = {"pooling": pooling}
    if pooling == "auto":
        kinds = [kind for kind, _ in steps]
        if not _ORDER.fullmatch("".join(f"{kind}," for kind in kinds)):
            raise FlowjaxError(
                f"{folder / MODULES}: expected the modules Transformer, Pooling, Dense, Normalize "
                f"and Calibration in this order, got {', '.join(kinds)[:200]}; give a pooling, "
                "such as mean, to use the encoder without the other modules"
            )
        pooled = {
            **_pooling(folder / steps[1][1]),
            "dense": tuple(read_dense(folder / path) for kind, path in steps if kind == "Dense"),
            "normalize": "Normalize" in kinds,
            "calibration": steps[-1][1] if kinds[-1] == CALIBRATION else "",
        }
    encoder = next((path for kind, path in steps if kind == "Transformer"), "")
    prompts, default = _prompts(folder / PROMPTS)
    length, lower_case = _length(folder / encoder)
    return Settings(
        **pooled,
        max_length=length,
        lower_case=lower_case,
        prompts=prompts,
        default_prompt=default,
        encoder=encoder,
    )


def read_steps(folder: Path) -> list[tuple[str, str]]:
    """Returns the class name and the path of each module in `modules.json`.

    Raises:
        FlowjaxError: The file is damaged, or a path leaves the folder.
    """
    file = folder / MODULES
    steps = []
    try:
        rows = typed(parse_json(file.read_bytes(), file), list, file)
    except OSError as error:
        raise FlowjaxError(f"{file}: expected a readable file, got: {error.strerror}") from None
    for row in rows:
        entry = typed(row, dict, f"{file}: module")
        path = inner_path(entry.get("path") or "", f"{file}: path")
        steps.append((field(entry, "type", str, file).rpartition(".")[2], path))
    return steps


def is_calibrated(folder: str | Path) -> bool:
    """Returns True for a folder of sentence-transformers with a `Calibration` as last module."""
    folder = Path(folder)
    return (folder / MODULES).exists() and [k for k, _ in read_steps(folder)][-1:] == [CALIBRATION]


def write_settings(folder: str | Path, settings: Settings, dim: int) -> None:
    """Writes settings in the format of sentence-transformers.

    sentence-transformers reads the folder if it has the pooling, `cls` or `mean` over all tokens,
    and raises an error for the other poolings.

    Args:
        folder: folder of the encoder's files.
        settings: settings to write.
        dim: dimension of the vectors.
    """
    folder = Path(folder)
    kinds = ["Transformer", "Pooling", *["Dense"] * len(settings.dense)]
    kinds += ["Normalize"] if settings.normalize else []
    paths = ["", *(f"{i}_{kind}" for i, kind in enumerate(kinds) if i)]
    modules = [
        {
            "idx": i,
            "name": str(i),
            "path": paths[i],
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]
    mode: dict[str, Any] = {"word_embedding_dimension": dim}
    if settings.pooling in ("cls", "mean") and settings.special_tokens:
        mode["pooling_mode_cls_token"] = settings.pooling == "cls"
        mode["pooling_mode_mean_tokens"] = settings.pooling == "mean"
    else:
        mode["pooling_mode"] = settings.pooling + ("" if settings.special_tokens else _INNER)
    files: dict[str, Any] = {
        MODULES: modules,
        "1_Pooling/config.json": mode,
        LENGTHS[0]: {"max_seq_length": settings.max_length, "do_lower_case": False},
        PROMPTS: {
            "prompts": dict(settings.prompts),
            "default_prompt_name": settings.default_prompt,
        },
    }
    for path in paths[1:]:
        (folder / path).mkdir(parents=True, exist_ok=True)
    for layer, path in zip(settings.dense, paths[2:], strict=False):
        write_dense(layer, folder / path)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _pooling(folder: Path) -> dict[str, Any]:
    """Returns the pooling and the special tokens in the config of a `Pooling` module."""
    file = folder / "config.json"
    values = read_object(file)
    mode = values.get("pooling_mode")
    if mode is None:
        flags = [key for key, value in values.items() if key.startswith("pooling_mode_") and value]
        mode = [key.removeprefix("pooling_mode_").removesuffix("_tokens") for key in flags]
    modes = [mode] if isinstance(mode, str) else typed(mode, list, f"{file}: pooling_mode")
    found = ["cls" if one == "cls_token" else str(one) for one in modes] or ["mean"]
    pooling = found[0].removesuffix(_INNER)
    if len(found) > 1 or pooling not in POOLINGS:
        raise FlowjaxError(
            f"{file}: expected one pooling among {', '.join(POOLINGS)}, got "
            f"{' and '.join(found)[:80]}; give a pooling to replace it"
        )
    if not field(values, "include_prompt", bool, file, True):
        raise FlowjaxError(
            f"{file}: expected include_prompt true, got false; give a pooling to replace it"
        )
    return {"pooling": pooling, "special_tokens": pooling == found[0]}


def _length(folder: Path) -> tuple[int | None, bool]:
    """Returns the maximum length and whether the text is lower-cased."""
    file = next((folder / name for name in LENGTHS if (folder / name).exists()), None)
    length, lower_case = None, False
    if file:
        values = read_object(file)
        length = field(values, "max_seq_length", int, file, None)
        lower_case = field(values, "do_lower_case", bool, file, False)
    tokenizer = folder / "tokenizer_config.json"
    if length is None and tokenizer.exists():
        # Tokenizers without a limit have the integer 10**30, in some files as a float.
        most = field(read_object(tokenizer), "model_max_length", float, tokenizer, None)
        length = int(most) if most is not None else None
    return length, lower_case


def _prompts(file: Path) -> tuple[dict[str, str], str | None]:
    values = read_object(file) if file.exists() else {}
    prompts = field(values, "prompts", dict, file, {})
    for name, text in prompts.items():
        typed(text, str, f"{file}: prompts: {name}")
    default = field(values, "default_prompt_name", str, file, None)
    if default is not None:
        check_choice(f"{file}: default_prompt_name", default, prompts)
    # An empty prompt replaces a default prompt; without a default prompt, it has no effect.
    return {name: text for name, text in prompts.items() if text or default}, default
