"""Checkpoint files of BERT encoders, read into parameters and written.

- `folder.py`: reads and writes a model folder, `config.json` and weights.
- `formats.py`: selects the weights file of a folder and reads its shards.
- `params.py`: converts tensors under Hugging Face's names to parameters.
- `layout.py`: table of tensor names and their places in the parameters.
- `safetensors_file.py`, `flax_file.py`, `torch_file.py` (with `torch_pickle.py`),
  `tensorflow_file.py`: one format each.
"""

from flowjax.encoder.weights.folder import load_pretrained, save_pretrained, saved_files
from flowjax.encoder.weights.formats import FORMATS, read_tensors
from flowjax.encoder.weights.layout import names
from flowjax.encoder.weights.params import to_params

__all__ = [
    "FORMATS",
    "load_pretrained",
    "names",
    "read_tensors",
    "save_pretrained",
    "saved_files",
    "to_params",
]


def __dir__() -> list[str]:
    return sorted(__all__)
