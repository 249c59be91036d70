"""Folder of a fine-tuned encoder, which flowjax, transformers and sentence-transformers read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowjax.encoder.modules import write_settings
from flowjax.encoder.pretrained import Parts
from flowjax.encoder.weights import save_pretrained
from flowjax.files.replace import replacing_folder


def export(
    folder: Path, parts: Parts, params: Any, report: Mapping[str, Any], *, dtype: str
) -> None:
    """Writes the encoder, its settings with `modules.json`, a report and a model card.

    Args:
        folder: path of the new folder; an earlier folder is replaced.
        parts: parts of the encoder at the start; the settings are those of the result.
        params: trained parameters; parameters that were not trained, such as an unused pooler, are
            those of `parts`.
        report: facts about the run, for `finetune.json` and the model card.
        dtype: data type of the saved weights, float32 or float16.
    """
    with replacing_folder(folder) as new:
        save_pretrained({**parts.params, **params}, parts.config, new, dtype=np.dtype(dtype))
        parts.tokenizer.save(str(new / "tokenizer.json"))
        write_settings(new, parts.settings, parts.config.hidden_size)
        (new / "finetune.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
        (new / "README.md").write_text(model_card(report, parts), "utf-8")


def model_card(report: Mapping[str, Any], parts: Parts) -> str:
    """Returns the text of the model card."""
    lines = [f"| {name} | {_text(value)} |" for name, value in report.items()]
    return "\n".join(
        [
            "---",
            "library_name: sentence-transformers",
            "pipeline_tag: sentence-similarity",
            "---",
            "",
            f"# Sentence encoder, fine-tuned by flowjax ({report['objective']})",
            "",
            f"Pooling {parts.settings.pooling}, at most {parts.settings.max_length} tokens.",
            "",
            "| fact | value |",
            "|---|---|",
            *lines,
            "",
        ]
    )


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(one)}" for key, one in value.items()) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
