"""TensorFlow Datasets without TensorFlow: builders of this project, and any prepared data set.

The builders write ArrayRecord, which `as_data_source` reads at random. `tfds:NAME` names a
prepared data set wherever sentences are read. `import flowjax.data.tfds` does not load
tensorflow_datasets.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from flowjax.errors import FlowjaxError
from flowjax.evaluation.registry import TASKS

# Module of each builder name; its `CLASSES` has the builder class.
BUILDERS = {spec.builder.partition("/")[0]: "pairs" for spec in TASKS.values() if spec.builder} | {
    "nli_sentences": "nli",
    "text_lines": "lines",
}


def need_tfds() -> Any:
    """Returns the module `tensorflow_datasets`.

    Raises:
        FlowjaxError: it is not installed; the message has the command that installs it.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        advice = "pip install tensorflow-datasets importlib_resources"
        raise FlowjaxError(f"tfds: expected tensorflow-datasets: {error}; {advice}") from None
    return tensorflow_datasets


def builder(name: str, data_dir: str | Path | None = None) -> Any:
    """Returns a builder of this project.

    Args:
        name: a key of `BUILDERS`, with a config after a slash for `sts_pairs` and
            `nli_sentences`: `sts_pairs/sts12`.
        data_dir: folder of the prepared data sets; TFDS's default if None.

    Raises:
        FlowjaxError: the name or the config is unknown.
    """
    need_tfds()
    base, _, config = name.partition("/")
    if base not in BUILDERS:
        raise FlowjaxError(f"{name}: expected one of {', '.join(BUILDERS)}")
    make = importlib.import_module(f"flowjax.data.tfds.{BUILDERS[base]}").CLASSES[base]
    names = [f"{base}/{c.name}" for c in make.BUILDER_CONFIGS] or [base]
    if name not in names:
        raise FlowjaxError(f"{name}: expected {' or '.join(names)}")
    return make(data_dir=data_dir, file_format="array_record", config=config or None)


def prepare(
    name: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None
) -> Any:
    """Prepares a data set of this project without TensorFlow, unless it is prepared already.

    Args:
        name: see `builder`.
        data_dir: see `builder`.
        manual_dir: folder with the files; None downloads them.

    Returns:
        The builder. `prepare("stsb_pairs").as_data_source(split="train")` reads the data set.

    Raises:
        FlowjaxError: the name is unknown, or files are missing or damaged.
    """
    made = builder(name, data_dir)
    tfds = need_tfds()
    if manual_dir is not None and not Path(manual_dir).is_dir():
        raise FlowjaxError(f"{manual_dir}: expected the folder with the files of {name}")
    made.manual_only = manual_dir is not None
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    made.download_and_prepare(download_config=config)
    return made
