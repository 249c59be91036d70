"""Fixtures: folder of the published benchmarks, and a seeded generator."""

from pathlib import Path

import numpy as np
import pytest

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    if not REAL.is_dir():
        pytest.skip("no shared/data beside this checkout")
    return REAL


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20201105)
