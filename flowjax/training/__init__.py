"""Data-parallel training: the loop, checkpoints, optimizers and learning-rate schedules.

`loop.py` holds `train`, `dispatch.py` decides how many steps one call runs and reads their
batches, `step.py` is the pure step of one device.
"""

from flowjax.training.checkpoint import Checkpoints
from flowjax.training.dispatch import ExampleSource
from flowjax.training.evaluation import evaluate
from flowjax.training.loop import Chunk, NonFinite, Stopped, train
from flowjax.training.optimizers import default_optimizer, freeze
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
    "train",
]
