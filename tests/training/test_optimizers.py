"""All optimizers of optax and optax.contrib, in the training loop."""

import inspect
import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from grids import grid
from optax import contrib

from flowjax import training
from flowjax.data.arrays import ArraySource
from flowjax.errors import FlowjaxError
from flowjax.parallel import devices
from flowjax.training.adapted import adapted
from flowjax.training.optimizers import freeze

RATE = 1e-3
BY_RATE = (
    "adabelief adadelta adafactor adagrad adam adamax adamaxw adamw adan amsgrad fromage lamb "
    "lars lion nadam nadamw novograd optimistic_adam_v2 optimistic_gradient_descent radam rmsprop "
    "rprop sgd sign_sgd signum sm3 yogi polyak_sgd"
)
CONTRIB_BY_RATE = (
    "acprop ademamix adopt cocob dadapt_adamw dog dowg galore madgrad momo momo_adam muon prodigy "
    "simplified_ademamix schedule_free_adamw schedule_free_sgd sophia"
)
OTHERS = {
    "add_noise": lambda: optax.chain(optax.add_noise(0.1, 0.5, key=0), optax.sgd(RATE)),
    "noisy_sgd": lambda: optax.noisy_sgd(RATE, key=jax.random.key(0)),
    "lbfgs": lambda: optax.lbfgs(),
    "backtracking": lambda: optax.chain(
        optax.sgd(RATE), optax.scale_by_backtracking_linesearch(5, store_grad=True)
    ),
    "MultiSteps": lambda: optax.MultiSteps(optax.adam(RATE), 2),
    "apply_if_finite": lambda: optax.apply_if_finite(optax.adam(RATE), 3),
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.adam)(RATE),
    "reduce_on_plateau": lambda: optax.chain(optax.adam(RATE), contrib.reduce_on_plateau()),
    "sam": lambda: contrib.sam(optax.sgd(RATE), optax.sgd(0.01)),
    "sam, opaque": lambda: contrib.sam(optax.sgd(RATE), optax.sgd(0.01), opaque_mode=True),
    "mechanize": lambda: contrib.mechanize(optax.sgd(RATE)),
    "split_real_and_imaginary": lambda: contrib.split_real_and_imaginary(optax.adam(RATE)),
    "dict state": lambda: optax.named_chain(("a", optax.trace(0.9)), ("b", optax.sgd(RATE))),
    "Python numbers in the state": lambda: optax.GradientTransformation(
        lambda params: {"count": 0, "scale": 0.5},
        lambda g, s, p=None: (g, {"count": s["count"] + 1, "scale": s["scale"] * np.float32(1)}),
    ),
}
TABLE = {name: lambda name=name: getattr(optax, name)(RATE) for name in BY_RATE.split()}
TABLE |= {name: lambda name=name: getattr(contrib, name)(RATE) for name in CONTRIB_BY_RATE.split()}
TABLE |= OTHERS
for module, name in ((optax, "signum"), (contrib, "galore"), (contrib, "madgrad")):
    if not hasattr(module, name):  # the oldest optax
        del TABLE[name]
# Extra arguments must be averaged over the devices.
SEVERAL = ["lbfgs", "sophia", "sam, opaque"]
ALONE = [*SEVERAL, "polyak_sgd", "momo", "momo_adam", "reduce_on_plateau", "backtracking", "sam"]
ALONE += ["add_noise", "prodigy"]

ROWS = np.random.default_rng(0).normal(size=(48, 3)).astype(np.float32)


def params():
    """Returns parameters that share one buffer, as in a tree that a user built."""
    zeros = jnp.zeros((2,))
    return {"frozen": {"m": jnp.ones(3)}, "w": jnp.full((3, 2), 0.1), "b": zeros, "c": zeros}


def loss(params, resident, batch, key):
    x = resident["x"][batch["rows"]] + jax.lax.stop_gradient(params["frozen"]["m"])
    y = jnp.tanh(x @ params["w"]) + params["b"] + params["c"]
    return ((y - x.sum(-1, keepdims=True)) ** 2).mean() + 3, {}


def same(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def run(optimizer, start, n_devices=1, steps=4, of=loss, **options):
    losses = []
    state = training.train(
        of, optimizer, training.init_state(start, optimizer), ArraySource(ROWS), steps=steps,
        batch_size=16, seed=0, mesh=devices.make_mesh(n_devices),
        on_chunk=lambda chunk, _: losses.extend(chunk.metrics["loss"].tolist()), **options,
    )  # fmt: skip
    return devices.to_host(state), losses


def together(optimizers):
    """Returns an optimizer of a dict of parameters with one optimizer per entry."""

    def init(params):
        return {name: o.init(params[name]) for name, o in optimizers.items()}

    def update(grads, state, params):
        both = {
            name: o.update(grads[name], state[name], params[name])
            for name, o in optimizers.items()
        }
        return {k: v[0] for k, v in both.items()}, {k: v[1] for k, v in both.items()}

    return optax.GradientTransformation(init, update)


def test_optimizers_without_extra_arguments():
    """All in one program, which is faster to compile."""
    optimizers = {
        name: adapted(freeze(make(), params()))
        for name, make in TABLE.items()
        if name not in ALONE
    }
    start = {name: params() for name in optimizers}

    def losses(params, resident, batch, key):
        return sum(loss(p, resident, batch, key)[0] for p in params.values()), {}

    state, _ = run(together(optimizers), start, of=losses)
    for name, after in state.params.items():
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(after)), name
        assert name == "MultiSteps" or not np.array_equal(after["b"], start[name]["b"]), name
        np.testing.assert_array_equal(after["frozen"]["m"], 1)


# One optimizer of each kind of arguments or states.
@pytest.mark.parametrize("name", grid(ALONE, slow=["polyak_sgd", "momo", "sophia"]))
def test_optimizers_with_extra_arguments_or_special_states(name, tmp_path):
    start = params()
    optimizer = freeze(TABLE[name](), start)
    with training.Checkpoints(tmp_path) as checkpoints:
        state, losses = run(optimizer, start, checkpoints=checkpoints)
        step, restored = checkpoints.restore(training.init_state(start, optimizer))
    assert step == 4 and same(restored, state) and np.isfinite(losses).all()
    assert start["w"].sum() > 0  # the caller's arrays are not freed
    if name in SEVERAL:
        np.testing.assert_allclose(run(optimizer, start, 2)[1], losses, rtol=1e-5)


def test_the_table_has_all_optimizers():
    """Fails if a new optax has an optimizer that the table lacks."""
    for module in (optax, contrib):
        for name, made in vars(module).items():
            if not inspect.isfunction(made) or name.startswith(("_", "scale_by")):
                continue
            signature = inspect.signature(made)
            returns = str(signature.return_annotation)
            if "GradientTransformation" in returns and "learning_rate" in signature.parameters:
                assert name in {*TABLE, *IMPOSSIBLE, *NAMED_OTHERWISE}, name


NAMED_OTHERWISE = ("optimistic_adam", "schedule_free")
IMPOSSIBLE = {
    "dpsgd": (lambda: contrib.dpsgd(RATE, 1.0, 1.0, 0), "batch dimension"),
    "lookahead": (lambda: optax.lookahead(optax.sgd(RATE), 5, 0.5), "update: .*fast"),
    "state that grows": (
        lambda: optax.GradientTransformation(
            lambda p: jnp.zeros(1), lambda g, s, p=None: (g, jnp.concatenate([s, s]))
        ),
        r"its state changes from shape \(1,\) to \(2,\)",
    ),
    "state of text": (
        lambda: optax.GradientTransformation(lambda p: "text", lambda g, s, p=None: (g, s)),
        "its state contains str",
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_optimizer_that_cannot_work_fails_before_the_first_step(name):
    make, message = IMPOSSIBLE[name]
    logging.getLogger("absl").setLevel(logging.ERROR)
    with pytest.raises(FlowjaxError, match=f"optimizer: expected an optax .*{message}") as caught:
        run(make(), params())
    assert "\n" not in str(caught.value)


def test_a_run_with_key_arrays_in_its_state_resumes(tmp_path):
    optimizer = TABLE["add_noise"]()
    whole, _ = run(optimizer, params(), steps=9)
    with training.Checkpoints(tmp_path) as checkpoints:
        run(optimizer, params(), steps=5, checkpoints=checkpoints)
        _, state = checkpoints.restore(training.init_state(params(), optimizer))
    last = training.train(
        loss, optimizer, state, ArraySource(ROWS), steps=9, batch_size=16, seed=0,
        mesh=devices.make_mesh(1),
    )  # fmt: skip
    assert same(devices.to_host(last), whole)
