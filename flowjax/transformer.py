"""`FlowTransformer`: a flow as a scikit-learn transformer and density estimator."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

import jax
import numpy as np

from flowjax import flows
from flowjax.data.arrays import check_rows
from flowjax.errors import FlowjaxError, check_choice, check_integer, check_number
from flowjax.fitting.fit import fit
from flowjax.flows.arrays import ArrayCalls
from flowjax.flows.choices import FlowName
from flowjax.flows.recipe import options_of
from flowjax.types import Flow, trainable_mask

try:
    from sklearn.base import (
        BaseEstimator,
        ClassNamePrefixFeaturesOutMixin,
        DensityMixin,
        TransformerMixin,
    )
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_array, check_is_fitted, validate_data

    _BASES: tuple[Any, ...] = (
        ClassNamePrefixFeaturesOutMixin,
        TransformerMixin,
        DensityMixin,
        BaseEstimator,
    )
except ImportError:  # scikit-learn is an optional dependency
    _BASES = ()

# Options that set the power of the whitening, by the name that a recipe gives to it.
_POWERS = ("power", "latent_power")
# Smallest number of rows of a call, so that few examples need one compiled shape.
_LEAST = 64


class FlowTransformer(*_BASES):  # type: ignore[misc]
    """Flow as a scikit-learn estimator: calibrated vectors, densities and samples of any vectors.

    The default is a whitening with power 0.5: each principal axis is divided by the square root of
    its standard deviation. The whitening has a closed form, so that it needs no training, has the
    same result for every seed, and accepts data of any size and scale. It models a Gaussian
    density. `flow="glow"` and the other recipes of `flowjax.flows` model other densities and need
    many more examples than dimensions.

    The estimator computes and returns float64 for float64 data, and float32 for float32 data. The
    latter is faster.

    Attributes:
        params_: fitted parameters of `flow_`.
        flow_: the fitted `Flow`; with `params_`, it can be saved by `flowjax.save_flow`.
        likelihood_: dict of the negative log-likelihoods of the flow and of a Gaussian; empty for
            a flow without trained parameters.
        n_steps_: number of training steps, 0 for a closed form.
        n_features_in_: number of columns of the data.
        feature_names_in_: names of the columns, if the data had names.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 4)) * [1, 2, 3, 4]
        >>> transformer = FlowTransformer(power=1.0).fit(x)
        >>> transformer.transform(x).std(axis=0).round(2).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        flow: FlowName | Flow = "whitening",
        *,
        power: float | None = 0.5,
        flow_options: Mapping[str, Any] | None = None,
        steps: int | None = None,
        epochs: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation: float | None = None,
        patience: int | None = None,
        random_state: Any = None,
    ) -> None:
        """Stores the options, which `fit` checks.

        Args:
            flow: name of a recipe (a key of `flowjax.flows.RECIPES`), or a `Flow` with the
                dimension of the data.
            power: power of the whitening, see `flowjax.flows.whitening`: 0 only rotates, 1 gives
                unit variances. It has no effect on a flow without a whitening, such as
                "standardize", or on a `Flow`. None means the default of the recipe.
            flow_options: further keyword arguments of the recipe, such as `{"components": 64}`.
            steps: number of training steps, see `flowjax.fit`.
            epochs: number of passes over the data, instead of `steps`.
            batch_size: number of examples per step; None means 256.
            learning_rate: learning rate of Adam; None means the default of `flowjax.fit`.
            validation: fraction of the data that is held out, between 0 and 1.
            patience: number of validations without improvement after which the fit stops.
            random_state: integer seed, `numpy.random.RandomState` or None, for the initial
                parameters, the batches and the samples.

        Raises:
            FlowjaxError: scikit-learn is not installed.
        """
        if not _BASES:
            raise FlowjaxError(
                "FlowTransformer: expected scikit-learn 1.6 or newer, got none; install it with "
                "pip install 'bert-flowjax[sklearn]'"
            )
        self.flow = flow
        self.power = power
        self.flow_options = flow_options
        self.steps = steps
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.patience = patience
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> FlowTransformer:
        """Fits the flow on vectors by maximum likelihood.

        Args:
            X: vectors, shape (n, d).
            y: ignored.
            sample_weight: weights of the examples, shape (n,): at least 0 and not all 0.

        Returns:
            The estimator.

        Raises:
            FlowjaxError: An option is unknown or out of range, or the data cannot be fitted.

        Warns:
            UserWarning: See `flowjax.fit`, for example if there are fewer examples than columns.
        """
        X = validate_data(self, X, dtype=_FLOATS)
        calls = self._build(X.shape[1])
        with _precision(X.dtype):
            result = fit(
                calls.flow,
                X,
                key=_seed(self.random_state),
                weights=None if sample_weight is None else np.asarray(sample_weight, np.float64),
                steps=self.steps,
                epochs=self.epochs,
                batch_size=self.batch_size,
                optimizer=self.learning_rate,
                validation=self.validation,
                patience=self.patience,
                measured=_trains(calls.flow),
                show_progress_bar=False,
            )
        self.params_ = result.params
        self.likelihood_ = result.likelihood
        self.n_steps_ = result.steps
        self._calls = calls
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Returns the latents of vectors, shape (n, latent dimension).

        Args:
            X: vectors, shape (n, d).

        Returns:
            Latents, shape (n, latent dimension), in the dtype of the data.
        """
        return self._call("forward", self._checked(X))

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Returns the vectors of latents, shape (n, d).

        Dropped components (the option `components`) get their most probable values.

        Args:
            X: latents, shape (n, latent dimension).

        Returns:
            Vectors, shape (n, d).
        """
        check_is_fitted(self, "params_")
        rows = check_array(X, dtype=cast(Any, _FLOATS))
        return self._call("inverse", rows)

    def score_samples(self, X: Any) -> np.ndarray:
        """Returns the log-density of each vector, shape (n,), in nats.

        Args:
            X: vectors, shape (n, d).

        Returns:
            Log-densities, shape (n,), in nats.
        """
        return self._call("log_prob", self._checked(X))

    def score(self, X: Any, y: Any = None) -> float:
        """Returns the mean log-density of vectors, in nats.

        Args:
            X: vectors, shape (n, d).
            y: ignored.

        Returns:
            Mean log-density, in nats per example.
        """
        return float(np.mean(self.score_samples(X), dtype=np.float64))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Returns vectors drawn from the fitted density, shape (n_samples, d).

        Args:
            n_samples: number of vectors.
            random_state: integer seed or `numpy.random.RandomState`; None means the
                `random_state` of the estimator.

        Returns:
            Vectors, shape (n_samples, d).
        """
        calls, n = self._fitted(), check_integer("n_samples", n_samples, least=1)
        seed = _seed(self.random_state if random_state is None else random_state)
        dtypes = [np.asarray(leaf).dtype for leaf in jax.tree.leaves(self.params_)]
        with _precision(np.result_type(np.float32, *dtypes)):
            return np.asarray(calls.flow.sample(self.params_, jax.random.key(seed), n))

    @property
    def flow_(self) -> Flow:
        """The fitted `Flow`."""
        return self._fitted().flow

    @property
    def _n_features_out(self) -> int:
        return self.flow_.latent_dim or self.flow_.dim

    def _build(self, dim: int) -> ArrayCalls:
        """Returns the compiled functions of the flow for data of dimension `dim`."""
        if isinstance(self.flow, Flow):
            if self.flow.dim != dim:
                raise FlowjaxError(
                    f"X: expected (n, {self.flow.dim}) for the flow, got (n, {dim})"
                )
            if self.flow_options:
                raise FlowjaxError("flow_options: expected None if flow is a Flow, got options")
            return ArrayCalls(self.flow, _LEAST)
        check_choice("flow", self.flow, flows.RECIPES)
        options = dict(self.flow_options or {})
        if self.power is not None:
            power = check_number("power", self.power)
            known = options_of(self.flow)
            options |= {n: power for n in _POWERS if n in known and n not in options}
        try:
            try:
                return _made(self.flow, dim, tuple(sorted(options.items())))
            except TypeError:  # an option that is not hashable
                return ArrayCalls(flows.make(self.flow, dim, **options), _LEAST)
        except FlowjaxError as error:
            if dim > 1:
                raise
            # scikit-learn's checks require these words in errors about a single column.
            raise FlowjaxError(f"X: got n_features = 1; {error}") from None

    def _fitted(self) -> ArrayCalls:
        check_is_fitted(self, "params_")
        return self._calls

    def _checked(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "params_")
        rows: Any = validate_data(self, X, dtype=_FLOATS, reset=False)
        return np.asarray(rows)

    def _call(self, name: str, X: np.ndarray) -> np.ndarray:
        with _precision(X.dtype):
            values: np.ndarray = getattr(self._calls, name)(self.params_, check_rows(X, "X"), "X")
            return values

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state without the compiled functions, which cannot be pickled.

        Raises:
            FlowjaxError: The flow is a `Flow`, not the name of a recipe.
        """
        if isinstance(self.flow, Flow):
            raise FlowjaxError(
                "pickle: expected the name of a recipe as flow, got a Flow; save it with "
                "flowjax.save_flow(folder, transformer.flow_, transformer.params_)"
            )
        state = {**super().__getstate__()}
        state.pop("_calls", None)
        if "params_" in state:
            state["params_"] = jax.tree.map(np.asarray, state["params_"])
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "params_"):
            self._calls = self._build(self.n_features_in_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


_FLOATS = (np.float64, np.float32)


@functools.lru_cache(maxsize=32)
def _made(name: str, dim: int, options: tuple[tuple[str, Any], ...]) -> ArrayCalls:
    """Returns the functions of a recipe; equal estimators share the compiled functions."""
    return ArrayCalls(flows.make(name, dim, **dict(options)), _LEAST)


def _trains(flow: Flow) -> bool:
    """Returns True if a flow has trainable parameters."""
    shapes = jax.eval_shape(flow.init, jax.random.key(0), np.zeros((2, flow.dim), np.float32))
    return any(jax.tree.leaves(trainable_mask(shapes)))


def _precision(dtype: Any) -> AbstractContextManager[Any]:
    """Returns a context manager in which JAX computes in float64 or in float32."""
    context: AbstractContextManager[Any] = jax.enable_x64(dtype == np.float64)
    return context


def _seed(random_state: Any) -> int:
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
