"""Configs: frozen dataclasses, read from TOML.

Each field is also a flag with its dotted name: `--train.learning-rate 1e-4`. The docstrings of the
fields are the help texts of the flags.
"""

from flowjax.config.files import NONE, read_config, write_config
from flowjax.config.finetune import (
    FinetuneConfig,
    FinetuneData,
    FinetuneEncoder,
    FinetuneObjective,
    FinetuneTrain,
)
from flowjax.config.fit import DataConfig, EncoderConfig, FitArrayConfig, FitConfig, TrainConfig
from flowjax.config.flow import FlowConfig
from flowjax.config.pretrain import PretrainConfig, PretrainData, PretrainModel, PretrainTrain

__all__ = [
    "NONE",
    "DataConfig",
    "EncoderConfig",
    "FinetuneConfig",
    "FinetuneData",
    "FinetuneEncoder",
    "FinetuneObjective",
    "FinetuneTrain",
    "FitArrayConfig",
    "FitConfig",
    "FlowConfig",
    "PretrainConfig",
    "PretrainData",
    "PretrainModel",
    "PretrainTrain",
    "TrainConfig",
    "read_config",
    "write_config",
]


def __dir__() -> list[str]:
    return sorted(__all__)
