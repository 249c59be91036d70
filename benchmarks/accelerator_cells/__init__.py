"""Measurements of `benchmarks/accelerator.py`: one generator of results per cell."""

from accelerator_cells.encoders import encoder, masked_lm, sentences, torch_encoder
from accelerator_cells.flow_cells import epoch, functions, mappings
from accelerator_cells.machine import machine, tests

# Cells in the order of their value, with their largest fractions of the total time.
CELLS = {
    "machine": (machine, 0.15),
    "encoder": (encoder, 0.25),
    "torch_encoder": (torch_encoder, 0.15),
    "epoch": (epoch, 0.3),
    "masked_lm": (masked_lm, 0.25),
    "functions": (functions, 0.25),
    "mappings": (mappings, 0.2),
    "sentences": (sentences, 0.15),
    "tests": (tests, 0.5),
}
