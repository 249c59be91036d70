"""Sizes of the measurements: those of the accelerator, and small ones for tests on a CPU."""

from typing import Any

BASE = {
    "vocab_size": 30_522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
TINY = {
    "vocab_size": 30_522,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
FULL: dict[str, Any] = {
    "matmul": 8192,
    "copy": 1 << 30,  # bytes
    "bert": BASE,
    "dtypes": ("bfloat16", "float32"),
    "lengths": (128, 32, 64, 16),
    "tokens": 1 << 16,  # per call of the encoder
    "rows": 1_000_000,
    "dim": 768,
    "wide": {"depth": 12, "width": 512},
    "batches": (64, 512, 4096),
    "function_rows": 1 << 16,
    "flows": ("glow", "realnvp 12 x 512", "glow, LU, affine", "neural_spline", "whitening"),
    "trained": 2,  # the first flows
    "masked": (64, 128),  # rows and length of a batch
    "dropouts": (0.1, 0.0),
    "batch_sizes": (64, 1024, 4096),  # of `encode`
    "sentences": 20_000,
    "seconds": 1.0,  # of one measurement
    "step_seconds": 2.0,
}
SMALL: dict[str, Any] = FULL | {
    "matmul": 64,
    "copy": 1 << 16,
    "bert": TINY,
    "dtypes": ("bfloat16",),
    "lengths": (16,),
    "tokens": 256,
    "rows": 512,
    "dim": 8,
    "wide": {"depth": 2, "width": 8},
    "batches": (64,),
    "function_rows": 256,
    "flows": ("realnvp 12 x 512",),
    "masked": (8, 16),
    "dropouts": (0.1,),
    "batch_sizes": (64,),
    "sentences": 64,
    "seconds": 0.01,
    "step_seconds": 0.05,
}
