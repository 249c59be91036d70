"""Data-parallel training: the loop, checkpoints, optimizers and learning-rate schedules.

`train` is the loop of `flowjax.fit`. For a hand-written training loop, see the example of
`make_step`.

`loop.py` defines `train`, `dispatch.py` chooses the number of steps of one call and reads the
batches, and `step.py` defines the pure step of one device.
"""

from flowjax.training.checkpoint import Checkpoints
from flowjax.training.dispatch import ExampleSource
from flowjax.training.evaluation import evaluate
from flowjax.training.identity import run_identity
from flowjax.training.loop import Chunk, NonFinite, Stopped, train
from flowjax.training.optimizers import default_optimizer, freeze, optimizer_from
from flowjax.training.released import adam_uncorrected
from flowjax.training.step import Loss, Precision, TrainState, init_state, make_step

__all__ = [
    "Checkpoints",
    "Chunk",
    "ExampleSource",
    "Loss",
    "NonFinite",
    "Precision",
    "Stopped",
    "TrainState",
    "adam_uncorrected",
    "default_optimizer",
    "evaluate",
    "freeze",
    "init_state",
    "make_step",
    "optimizer_from",
    "run_identity",
    "train",
]


def __dir__() -> list[str]:
    return sorted(__all__)
