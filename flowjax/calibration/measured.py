"""Measures of candidate transformations on held-out vectors and related pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from flowjax.calibration.candidates import Candidate, transformed
from flowjax.calibration.criterion import contributions, gains, measure_of, preference, score
from flowjax.calibration.inputs import Inputs
from flowjax.calibration.select import PLAIN
from flowjax.encoder.similarity import unit
from flowjax.evaluation.isotropy import isoscore_of_variances
from flowjax.evaluation.retrieval import per_pair, random_cosines
from flowjax.flows.arrays import ArrayCalls

# Random pairs whose cosines are measured.
RANDOM_PAIRS = 10_000
# Gaussian samples of the band of the spectrum; one for dimensions whose spectrum takes long.
_SAMPLES, _SEVERAL_DIM = 5, 1100


class Measured(NamedTuple):
    """Measures of all candidates.

    Attributes:
        rows: for each candidate a dict: `vectors`, its name; `recall@1`, `recall@10`, `mrr`, `auc`
            and `score` in percent; `difference`, `low` and `high`, the gain of the score over that
            of plain vectors in percent, with its paired 95 % bootstrap interval; `choose`, the
            score on the pairs that choose; `random_mean`, `random_sd` and `random_q99` of the
            cosines of random pairs; `isoscore`; and `log_prob_per_dim` in nats. Retrieval is
            absent without pairs.
        gaussian: `random_mean`, `random_sd`, `random_q99` and `isoscore` of a sample of the
            standard Gaussian with the shape of the held-out vectors.
        cosines: cosines of random pairs and of related pairs (or None) for each candidate.
        spectra: eigenvalues of the covariance divided by their mean for each candidate.
        band: lowest and highest of these eigenvalues, by rank, in Gaussian samples.
    """

    rows: list[dict[str, Any]]
    gaussian: dict[str, float]
    cosines: dict[str, tuple[np.ndarray, np.ndarray | None]]
    spectra: dict[str, np.ndarray]
    band: tuple[np.ndarray, np.ndarray]


def measured(candidates: Sequence[Candidate], inputs: Inputs, seed: int) -> Measured:
    """Returns the measures of candidates.

    Args:
        candidates: candidates, plain vectors first.
        inputs: held-out vectors and pairs.
        seed: integer seed of random pairs, Gaussian samples and the bootstrap.
    """
    pairs = [*inputs.choose.values(), *inputs.measure.values()]
    found = Measured([], {}, {}, {}, (np.zeros(0), np.zeros(0)))
    plain: dict[str, np.ndarray] = {}
    flat = [inputs.held, *(side for both in pairs for side in both)]
    for candidate, (held, *sides) in transformed(candidates, flat):
        both = list(zip(sides[::2], sides[1::2], strict=True))
        choose, measure = both[: len(inputs.choose)], both[len(inputs.choose) :]
        row: dict[str, Any] = {"vectors": candidate.name}
        if measure:
            parts = {kind: per_pair(*b) for kind, b in zip(inputs.measure, measure, strict=True)}
            own = {kind: part[measure_of(kind)] for kind, part in parts.items()}
            plain = own if candidate.name == PLAIN else plain
            interval = gains({candidate.name: own}, plain, seed)[candidate.name]
            for name in next(iter(parts.values())):
                row[name] = float(np.concatenate([part[name] for part in parts.values()]).mean())
            row |= {"score": score(own)}
            row |= dict(zip(("difference", "low", "high"), interval, strict=True))
            row |= {
                "choose": preference(contributions(dict(zip(inputs.choose, choose, strict=True))))
            }
        random = random_cosines(held, RANDOM_PAIRS, seed)
        related = np.concatenate([_cosine(*pair) for pair in measure]) if measure else None
        found.cosines[candidate.name] = random, related
        found.spectra[candidate.name] = _spectrum(held)
        found.rows.append(row | _isotropy(random, found.spectra[candidate.name]))
    _add_likelihoods(found.rows, candidates, inputs)
    return found._replace(**_gaussian(inputs.held.shape, seed))


def _cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    cosines: np.ndarray = np.einsum("nd,nd->n", unit(left), unit(right))
    return cosines


def _isotropy(random: np.ndarray, spectrum: np.ndarray) -> dict[str, float]:
    return {
        "random_mean": float(random.mean()),
        "random_sd": float(random.std()),
        "random_q99": float(np.quantile(random, 0.99)),
        "isoscore": isoscore_of_variances(spectrum),
    }


def _spectrum(vectors: np.ndarray) -> np.ndarray:
    x = vectors - vectors.mean(axis=0, dtype=np.float64)
    values = np.maximum(np.linalg.eigvalsh(x.T @ x)[::-1], 0.0)  # faster than an SVD
    scaled: np.ndarray = values / values.mean()
    return scaled


def _gaussian(shape: tuple[int, ...], seed: int) -> dict[str, Any]:
    """Returns the entries of `Measured` for samples of the standard Gaussian."""
    rng = np.random.default_rng(seed)
    samples = [
        rng.standard_normal(shape) for _ in range(_SAMPLES if shape[1] <= _SEVERAL_DIM else 1)
    ]
    spectra = np.stack([_spectrum(sample) for sample in samples])
    measures = _isotropy(random_cosines(samples[0], RANDOM_PAIRS, seed), spectra[0])
    return {"gaussian": measures, "band": (spectra.min(axis=0), spectra.max(axis=0))}


def _add_likelihoods(
    rows: list[dict[str, Any]], candidates: Sequence[Candidate], inputs: Inputs
) -> None:
    """Adds the mean held-out log-density per dimension, in nats.

    Plain and centred vectors have the density of a Gaussian with equal variances, centred at 0 and
    at the mean. All powers of a recipe have the same density.
    """
    dim = inputs.fit.shape[1]
    mean = inputs.fit.mean(axis=0)
    known = {
        PLAIN: _spherical(inputs.fit, inputs.held),
        "centred": _spherical(inputs.fit - mean, inputs.held - mean),
    }
    for row, candidate in zip(rows, candidates, strict=True):
        family = candidate.name.partition("^")[0]
        if family not in known:
            values = ArrayCalls(candidate.flow).log_prob(candidate.params, inputs.held)
            known[family] = float(values.mean(dtype=np.float64)) / dim
        row["log_prob_per_dim"] = known[family]


def _spherical(fit: np.ndarray, held: np.ndarray) -> float:
    """Returns the held-out log-density per dimension of a Gaussian with equal variances."""
    variance = float(np.mean(np.square(fit, dtype=np.float64)))
    return -0.5 * float(
        np.log(2 * np.pi * variance) + np.mean(np.square(held, dtype=np.float64)) / variance
    )
