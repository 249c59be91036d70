"""TensorFlow Datasets without TensorFlow: builders of this project, and any prepared data set.

The builders write ArrayRecord, which `as_data_source` reads at random. `tfds:NAME` names a
prepared data set wherever sentences are read. Importing this package loads nothing heavy.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

# Name in TFDS: the module here and its class.
BUILDERS = {
    "stsb_pairs": ("pairs", "StsbPairs"),
    "sick_pairs": ("pairs", "SickPairs"),
    "sts_pairs": ("pairs", "StsPairs"),
    "qnli_pairs": ("pairs", "QnliPairs"),
    "nli_sentences": ("nli", "NliSentences"),
    "text_lines": ("lines", "TextLines"),
}


def need_tfds() -> Any:
    """The module `tensorflow_datasets`, or a ValueError that says how to get it."""
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ValueError(
            f"tfds: expected tensorflow-datasets and importlib_resources: {error}; "
            "pip install tensorflow-datasets importlib_resources"
        ) from None
    return tensorflow_datasets


def builder(name: str, data_dir: str | Path | None = None) -> Any:
    """A builder of this project.

    Args:
        name: one of `BUILDERS`; `sts_pairs` and `nli_sentences` with a config: `sts_pairs/sts12`.
        data_dir: where data sets are; TFDS's own default if left out.

    Raises:
        ValueError: an unknown name or config.
    """
    need_tfds()
    base, _, config = name.partition("/")
    if base not in BUILDERS:
        raise ValueError(f"{name}: expected one of {', '.join(BUILDERS)}")
    module, kind = BUILDERS[base]
    make = getattr(importlib.import_module(f"flowjax.data.tfds.{module}"), kind)
    configs = [c.name for c in make.BUILDER_CONFIGS]
    if config not in (configs or [""]):
        raise ValueError(f"{name}: expected {base}{'/' if configs else ''}{' or '.join(configs)}")
    return make(
        data_dir=None if data_dir is None else str(data_dir),
        file_format="array_record",
        **({"config": config} if config else {}),
    )


def prepare(
    name: str,
    *,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
) -> Any:
    """Prepares a data set of this project, once; without TensorFlow.

    Args:
        name: see `builder`.
        data_dir: see `builder`.
        manual_dir: the folder with the files; they are downloaded if left out.

    Returns:
        The builder: `prepare("stsb_pairs").as_data_source(split="train")` reads it.

    Raises:
        ValueError: an unknown name, or files that are missing or damaged.
    """
    made = builder(name, data_dir)
    tfds = need_tfds()
    if manual_dir is not None:
        if not Path(manual_dir).is_dir():
            raise ValueError(f"{manual_dir}: expected the folder with the files of {name}")
        made.manual_only = True
    made.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            manual_dir=None if manual_dir is None else str(manual_dir), try_download_gcs=False
        )
    )
    return made
