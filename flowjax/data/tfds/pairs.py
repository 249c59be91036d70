"""TFDS builders of the benchmark tasks in `flowjax.evaluation.TASKS`.

`flowjax.evaluation` reads the files, so a data set has the same pairs as the result of
`load_task`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from flowjax.data.tfds.common import InputOrderBuilder, downloaded, one_folder
from flowjax.errors import FlowjaxError
from flowjax.evaluation.locate import find_task, load_task
from flowjax.evaluation.registry import TASKS


class _Pairs(InputOrderBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Base class of the TFDS builders of sentence pairs.

    `tasks` maps each config name ("" for a builder without configs) to its key in `TASKS`.
    """

    VERSION = tfds.core.Version("1.0.0")
    tasks: ClassVar[dict[str, str]]

    @property
    def _task(self) -> str:
        return self.tasks[self.builder_config.name if self.builder_config else ""]

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text
        features = {
            "sentence1": text(),
            "sentence2": text(),
            "score": np.float64,
            "subset": text(),
        }
        return self.in_order(features, TASKS[self._task].description)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        spec, folder = TASKS[self._task], self.manual_folder(dl_manager)
        if folder is not None:
            try:
                find_task(self._task, folder)
            except FlowjaxError:
                if self.manual_only:
                    raise
                folder = None  # the shared default manual folder lacks this data set
        if folder is None:
            folder = downloaded(dl_manager, spec.url)
            if spec.unpack is not None:
                spec.unpack(folder)
            folder = one_folder(folder, spec.files.values())
        splits = load_task(self._task, folder).splits
        return {name: self._generate_examples(_rows(x)) for name, x in splits.items()}


def _rows(subsets: Any) -> Iterator[dict[str, Any]]:
    names = ("sentence1", "sentence2", "score")
    for subset, pairs in subsets.items():
        for row in zip(pairs.sentences1, pairs.sentences2, pairs.gold.tolist(), strict=True):
            yield dict(zip(names, row, strict=True), subset=subset)


def _make_classes() -> dict[str, type[_Pairs]]:
    """Returns a builder class for each builder name in `TASKS`."""
    found: dict[str, dict[str, str]] = {}
    for task, spec in TASKS.items():
        if spec.builder:
            name, _, config = spec.builder.partition("/")
            found.setdefault(name, {})[config] = task
    classes = {}
    for name, tasks in found.items():
        make = tfds.core.BuilderConfig
        configs = [make(name=c, description=TASKS[t].description) for c, t in tasks.items() if c]
        # TFDS names a builder after its class.
        kind = "".join(word.capitalize() for word in name.split("_"))
        body = {"tasks": tasks, "BUILDER_CONFIGS": configs, "__module__": __name__}
        classes[name] = type(kind, (_Pairs,), body)
    return classes


CLASSES = _make_classes()
