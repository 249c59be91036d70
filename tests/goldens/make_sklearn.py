"""Script that writes sklearn.npz: Ledoit-Wolf covariance and PCA whitening of scikit-learn.

Create an environment for this script with `pip install scikit-learn`, and run
`python tests/goldens/make_sklearn.py`. The array `versions` lists the versions of the packages.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA

if __name__ == "__main__":
    rng = np.random.default_rng(20260103)
    x = rng.standard_normal((15, 6)) @ rng.standard_normal((6, 6)) + 2
    covariance, weight = ledoit_wolf(x)
    pca = PCA(n_components=3, whiten=True).fit(x)
    np.savez_compressed(
        Path(__file__).parent / "sklearn.npz",
        x=x,
        ledoit_wolf=covariance,
        weight=weight,
        pca_z=pca.transform(x),
        versions=np.array([f"{p} {version(p)}" for p in ("scikit-learn", "numpy")]),
    )
