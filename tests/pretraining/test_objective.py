"""Training loss and optimizer of the pretraining: AdamW as in its definition, keys, dropout."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.config import PretrainConfig, PretrainTrain
from flowjax.pretraining import objective

RATE, DECAY, LIMIT = 0.01, 0.1, 1.0


def narrow(tree):
    return jax.tree.map(jnp.float32, tree)


def test_the_optimizer_is_clipped_adamw_that_decays_matrices_only():
    train = PretrainTrain(steps=9, learning_rate=RATE, weight_decay=DECAY, clip_norm=LIMIT,
                          warmup_steps=0, decay_steps=0)  # fmt: skip
    optimizer = objective.make_optimizer(PretrainConfig(train=train))
    rng = np.random.default_rng(0)
    params = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)}
    state = optimizer.init(narrow(params))
    first = {name: np.zeros_like(p) for name, p in params.items()}
    second = {name: np.zeros_like(p) for name, p in params.items()}
    for step, size in enumerate((1, 0.01, 100), 1):  # norms below and above the limit
        grads = {name: size * rng.normal(size=p.shape) for name, p in params.items()}
        updates, state = optimizer.update(narrow(grads), state, narrow(params))
        norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
        for name in params:
            grad = grads[name] * min(1, LIMIT / norm)
            first[name] = 0.9 * first[name] + 0.1 * grad
            second[name] = 0.98 * second[name] + 0.02 * grad**2
            mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.98**step)
            decay = DECAY * params[name] if name == "kernel" else 0
            expected = -RATE * (mean / (np.sqrt(square) + 1e-6) + decay)
            np.testing.assert_allclose(updates[name], expected, rtol=1e-4, atol=1e-7)
            params[name] = params[name] + expected


def test_the_loss_trains_with_a_key_per_row_and_validation_has_fixed_keys(monkeypatch):
    calls = []

    def record(model, params, ids, keys, masking, *, train=False):
        calls.append((train, keys))
        return jnp.float32(0), {}

    monkeypatch.setattr(objective, "masked_lm_loss", record)
    batch = {"ids": jnp.zeros((2, 4), int), "rows": jnp.array([7, 3])}
    key = jax.random.key(5)
    objective.make_loss(None, None)({}, None, batch, key)
    (train, keys) = calls.pop()
    wanted = [jax.random.fold_in(key, row) for row in (7, 3)]
    assert train and [bool(a == b) for a, b in zip(keys, wanted)] == [True, True]

    found = []
    monkeypatch.setattr(objective, "evaluate", lambda loss, *_, **__: found.append(loss) or {})
    inputs = SimpleNamespace(heldout=np.zeros((4, 4), int), model=None, masking=None)
    objective.heldout_metrics(inputs, {}, limit=4)
    for other in (1, 2):
        found[0]({}, None, batch, jax.random.key(other))
    (train, keys), (_, again) = calls
    assert not train and bool((keys == again).all()) and bool(keys[0] != keys[1])
    assert objective.heldout_metrics(SimpleNamespace(heldout=None), {}, limit=4) == {}
