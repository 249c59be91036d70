"""TensorFlow Datasets (TFDS) without TensorFlow: the builders of flowjax and prepared data sets.

The builders write ArrayRecord files, which `as_data_source` reads in random order. Functions that
read sentences accept `tfds:NAME`, the name of a prepared data set. `import flowjax.data.tfds` does
not import tensorflow_datasets.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from flowjax.errors import FlowjaxError
from flowjax.evaluation.registry import TASKS

__all__ = ["BUILDERS", "builder", "prepare"]

# Maps each builder name to the module whose `CLASSES` contains its class.
BUILDERS = {spec.builder.partition("/")[0]: "pairs" for spec in TASKS.values() if spec.builder} | {
    "nli_sentences": "nli",
    "sentence_vectors": "vectors",
    "text_lines": "lines",
}


def need_tfds() -> Any:
    """Returns the module `tensorflow_datasets`.

    Raises:
        FlowjaxError: TFDS is not installed; the message contains the command that installs it.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        advice = "pip install tensorflow-datasets importlib_resources"
        raise FlowjaxError(
            f"tfds: expected an installed tensorflow-datasets, got: {error}; {advice}"
        ) from None
    return tensorflow_datasets


def builder(name: str, data_dir: str | Path | None = None) -> Any:
    """Returns a TFDS `DatasetBuilder` that flowjax defines.

    Args:
        name: key of `BUILDERS`. The name of `sts_pairs` and `nli_sentences` is followed by a slash
            and a config, such as `sts_pairs/sts12`.
        data_dir: folder of the prepared data sets; the default folder of TFDS if None.

    Returns:
        The builder, which `prepare` runs.

    Raises:
        FlowjaxError: The name or the config is unknown.
    """
    need_tfds()
    base, _, config = name.partition("/")
    if base not in BUILDERS:
        raise FlowjaxError(f"builder: expected one of {', '.join(BUILDERS)}, got {name!r}")
    make = importlib.import_module(f"flowjax.data.tfds.{BUILDERS[base]}").CLASSES[base]
    names = [f"{base}/{c.name}" for c in make.BUILDER_CONFIGS] or [base]
    if name not in names:
        raise FlowjaxError(f"builder: expected {' or '.join(names)}, got {name!r}")
    return make(data_dir=data_dir, file_format="array_record", config=config or None)


def prepare(
    name: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None
) -> Any:
    """Prepares a data set that flowjax defines, without TensorFlow; does not repeat finished work.

    Args:
        name: name of the builder; see `builder`.
        data_dir: folder of the prepared data sets; see `builder`.
        manual_dir: folder with the source files; None downloads them.

    Returns:
        The builder. `prepare("stsb_pairs").as_data_source(split="train")` reads the data set.

    Raises:
        FlowjaxError: The name is unknown, or files are missing or damaged.
    """
    made = builder(name, data_dir)
    tfds = need_tfds()
    if manual_dir is not None and not Path(manual_dir).is_dir():
        raise FlowjaxError(
            f"{manual_dir}: expected a folder with the files of {name}, got no such folder"
        )
    made.manual_only = manual_dir is not None
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    made.download_and_prepare(download_config=config)
    return made


def __dir__() -> list[str]:
    return sorted(__all__)
