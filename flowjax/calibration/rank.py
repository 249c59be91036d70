"""Ranking of encoders on unlabelled data by information sufficiency (FLARE, arXiv 2604.17344).

The information sufficiency of vectors U for vectors V of the same sentences is the reduction of
the entropy of V by U, `H(V) - H(V | U)`. A flow estimates `H(V)`. A conditional flow estimates
`H(V | U)`: it starts as the first flow, with a low-rank branch for U that starts at zero. The
score of an encoder is the median over all other encoders V of the reduction per dimension of V.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flowjax import flows
from flowjax.bijectors import Conditioner, mlp
from flowjax.data.arrays import check_rows
from flowjax.errors import FlowjaxError, check_integer
from flowjax.flows.build import context_moments
from flowjax.training.optimizers import default_optimizer
from flowjax.types import Flow, Params

# Rank of the branch for the context, as in FLARE.
RANK = 64
WIDTH, DEPTH = 64, 4
BATCH, LEARNING_RATE = 256, 1e-3
# Number of times that the held-out likelihood is computed during a fit.
CHECKS = 20
# Fraction of the rows on which the information is measured, and, of the other rows, on which the
# best step is selected.
TEST, VALIDATION = 0.2, 0.1
# Smallest number of rows.
LEAST = 100


class Ranking(NamedTuple):
    """Result of `rank`.

    Attributes:
        names: names of the encoders, the best first.
        scores: score of each encoder, in nats per dimension, shape (m,).
        information: information sufficiency of encoder i for encoder j, in nats per dimension of
            j, shape (m, m), in the order of `names`; NaN on the diagonal.
        rows: number of sentences that were used.
    """

    names: list[str]
    scores: np.ndarray
    information: np.ndarray
    rows: int


def rank(
    encoders: Mapping[str, Any],
    *,
    rows: int = 5000,
    steps: int = 500,
    seed: int = 0,
    on_pair: Callable[[], Any] | None = None,
) -> Ranking:
    """Ranks encoders by the information of their vectors about the vectors of the others.

    The scores depend on the set of encoders: an encoder whose vectors are a function of the
    vectors of another one gives no information that the other one lacks. Compare at least three
    encoders. The time grows with the square of their number.

    Args:
        encoders: vectors of the same sentences, shape (n, dim), by the name of the encoder; each
            encoder has its own dim.
        rows: largest number of sentences; more are sampled without replacement.
        steps: number of training steps of each flow; the parameters of the best of 20 times are
            kept.
        seed: integer seed.
        on_pair: function that is called without arguments after each fit.

    Returns:
        A `Ranking`. Differences of information are measured on held-out rows.

    Raises:
        FlowjaxError: There are fewer than two encoders, the numbers of rows differ or are too
            small, or an array is not finite.

    References:
        FLARE, https://arxiv.org/abs/2604.17344; information sufficiency,
        https://arxiv.org/abs/2406.07640. The text of FLARE that was available to the authors of
        this function fixes the estimate, the warm start, the rank of the branch and the median,
        but not the layers of the flow, the training options and the normalization. The
        normalization by the dimension of V is the one in the code of the second reference.
    """
    arrays = {name: check_rows(x, name) for name, x in encoders.items()}
    if len(arrays) < 2:
        raise FlowjaxError(f"encoders: expected at least two, got {len(arrays)}")
    sizes = {name: len(x) for name, x in arrays.items()}
    (first, n), *rest = sizes.items()
    for name, size in rest:
        if size != n:
            raise FlowjaxError(
                f"{name}: expected vectors of the same sentences, {n} rows as in {first}, got "
                f"{size} rows"
            )
    if n < LEAST:
        raise FlowjaxError(f"{first}: expected at least {LEAST} rows, got {n}")
    for name, x in arrays.items():
        if x.shape[1] < 2:
            raise FlowjaxError(f"{name}: expected at least 2 columns, got {x.shape[1]}")
    rows = check_integer("rows", rows, least=LEAST)
    steps, seed = check_integer("steps", steps, least=1), check_integer("seed", seed)
    order = np.random.default_rng(seed).permutation(n)[:rows]
    vectors = [np.asarray(x[np.sort(order)], np.float32) for x in arrays.values()]
    parts = _split(len(order), seed)
    width = max(x.shape[1] for x in vectors)
    padded = [np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in vectors]
    information = np.full((len(vectors), len(vectors)), np.nan)
    for j, target in enumerate(vectors):
        entropy = _Entropy(target, parts, width, steps, seed)
        for i, source in enumerate(padded):
            if i != j:
                information[i, j] = entropy.reduction(source)
                if on_pair:
                    on_pair()
    scores = np.nanmedian(information, axis=1)
    best = np.argsort(-scores, kind="stable")
    names = list(arrays)
    return Ranking(
        [names[i] for i in best], scores[best], information[np.ix_(best, best)], len(order)
    )


class Parts(NamedTuple):
    """Row numbers for training, for the choice of the best step, and for the measurement."""

    train: np.ndarray
    held: np.ndarray
    test: np.ndarray


def _split(n: int, seed: int) -> Parts:
    shuffled = np.random.default_rng((seed, 1)).permutation(n)
    test = round(TEST * n)
    held = test + round(VALIDATION * (n - test))
    return Parts(shuffled[held:], shuffled[test:held], shuffled[:test])


class _Entropy:
    """Marginal flow of the vectors of one encoder, and the reduction of its entropy by others.

    The marginal flow is the conditional flow with a context of zeros, on which `B` stays zero. So
    one compiled function serves all fits with the same target.
    """

    def __init__(self, x: np.ndarray, parts: Parts, width: int, steps: int, seed: int) -> None:
        """Fits the marginal flow.

        Args:
            x: vectors V, shape (n, dim).
            parts: masks of the rows for training, validation and test.
            width: width of every context.
            steps: number of training steps.
            seed: integer seed.
        """
        self._x, self._parts, self._seed = x, parts, seed
        self._call = _programs(x.shape[1], width, steps)
        zeros = np.zeros((len(x), width), np.float32)
        train = parts.train
        params = self._call.init(
            jax.random.key(seed), jnp.asarray(x[train]), jnp.asarray(zeros[train])
        )
        self._params, self._marginal = self._fit(params, zeros)

    def reduction(self, u: np.ndarray) -> float:
        """Returns `H(V) - H(V | U)` on the test rows, in nats per dimension of V.

        Args:
            u: vectors U, padded by zeros, shape (n, width).
        """
        moments = context_moments(jnp.asarray(u[self._parts.train]))
        _, log_prob = self._fit(self._params | {"context": moments}, u)
        gain: float = (log_prob - self._marginal) / self._x.shape[1]
        return gain

    def _fit(self, params: Params, u: np.ndarray) -> tuple[Params, float]:
        """Returns the fitted parameters and the mean log-density of the test rows, in nats."""
        train, held, test = ((self._x[rows], u[rows]) for rows in self._parts)
        params = self._call.train(params, train, held, jax.random.key(self._seed))
        return params, float(jnp.mean(self._call.log_prob(params, *test)))


class Programs(NamedTuple):
    """Compiled functions of a conditional flow."""

    init: Callable[..., Params]
    train: Callable[..., Params]
    log_prob: Callable[..., Any]


@lru_cache(maxsize=8)
def _programs(dim: int, width: int, steps: int) -> Programs:
    flow = flows.whitening_glow(
        dim,
        shrinkage="auto",
        levels=1,
        depth=DEPTH,
        coupling="affine",
        conditioner=low_rank(width),
    )
    return Programs(*map(jax.jit, (flow.init, partial(_train, flow, steps), flow.log_prob)))


def _train(flow: Flow, steps: int, params: Params, train: Any, held: Any, key: Any) -> Params:
    """Returns the parameters with the best likelihood of the held-out rows among `CHECKS` times.

    `flowjax.fit` would compile a program for each pair of encoders.
    """
    optimizer = default_optimizer(LEARNING_RATE, clip_norm=1.0)
    x, u = train
    batch = min(BATCH, len(x))

    def loss(params: Params, x: Any, u: Any) -> Any:
        return -jnp.mean(flow.log_prob(params, x, u))

    def step(state: Any, key: Any) -> tuple[Any, None]:
        params, moments = state
        rows = jax.random.randint(key, (batch,), 0, len(x))
        gradients = jax.grad(loss)(params, x[rows], u[rows])
        updates, moments = optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, updates), moments), None

    def check(carry: Any, keys: Any) -> tuple[Any, None]:
        state, best, least = carry
        state, _ = jax.lax.scan(step, state, keys)
        value = loss(state[0], *held)
        better = value < least
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), state[0], best)
        return (state, best, jnp.where(better, value, least)), None

    each = max(1, steps // CHECKS)
    keys = jax.random.split(key, (max(1, steps // each), each))
    start = ((params, optimizer.init(params)), params, loss(params, *held))
    (_, best, _), _ = jax.lax.scan(check, start, keys)
    return best


def low_rank(context: int, rank: int = RANK) -> Conditioner:
    """Returns an MLP conditioner with a low-rank linear branch for a context.

    The output is `mlp(x) + B A u` for the identity half x and the context u. `B` is initialised to
    zero, so that the network starts as the MLP.

    Args:
        context: dimension of the context.
        rank: number of rows of `A`.
    """

    def init(key: Any, inputs: int, outputs: int) -> Params:
        first, second = jax.random.split(key)
        base = mlp(WIDTH)(outputs).init(first, jnp.zeros((1, inputs - context)))["params"]
        down = jax.random.normal(second, (context, rank)) / context**0.5
        return {"base": dict(base), "down": down, "up": jnp.zeros((rank, outputs))}

    def apply(params: Params, features: Any) -> Any:
        x, u = jnp.split(features, [features.shape[-1] - context], axis=-1)
        net = mlp(WIDTH)(params["up"].shape[-1])
        return net.apply({"params": params["base"]}, x) + (u @ params["down"]) @ params["up"]

    return init, apply
