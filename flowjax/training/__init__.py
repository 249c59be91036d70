"""The data-parallel training loop, its checkpoints, optimizers and learning-rate schedules."""

from flowjax.training.checkpoint import Checkpoints
from flowjax.training.loop import Chunk, NonFinite, Source, Stopped, evaluate, train
from flowjax.training.optimizers import adam_uncorrected, default_optimizer, freeze
from flowjax.training.step import Loss, Precision, TrainState, init_state, make_step

__all__ = [
    "Checkpoints",
    "Chunk",
    "Loss",
    "NonFinite",
    "Precision",
    "Source",
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
