"""GELU and dropout have a form for TPUs; the CPU computes that of Flax, bit by bit."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from flowjax.encoder.activations import gelu, gelu_by_erf
from flowjax.encoder.dropout import Dropout, keep_mask


def flax_gelu(x):
    return nn.gelu(x, approximate=False)


def gradient(f):
    return jax.grad(lambda x: f(x).astype(jnp.float32).sum())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("of", [lambda f: f, gradient], ids=["value", "gradient"])
def test_the_forms_agree(dtype, of):
    x = jnp.linspace(-12, 12, 4001).astype(dtype)
    found, wanted, tpu = (jax.jit(of(f))(x) for f in (gelu, flax_gelu, gelu_by_erf))
    assert found.dtype == tpu.dtype == x.dtype and np.array_equal(found, wanted)
    most = {"float32": 1e-6, "bfloat16": 0.04}[dtype]
    np.testing.assert_allclose(np.float32(tpu), np.float32(wanted), atol=most)


@pytest.mark.parametrize(("platform", "name"), [("tpu", "erf"), ("cuda", "erfc"), ("cpu", "erfc")])
def test_the_form_of_the_platform_is_lowered(platform, name):
    x = jax.ShapeDtypeStruct((4, 8), jnp.float32)
    text = export.export(jax.jit(gradient(gelu)), platforms=[platform])(x).mlir_module()
    assert ("erfc" in text) == (name == "erfc") and "erf" in text


class Masks(nn.Module):
    """Two dropouts, whose keys depend on the names and the order of the modules."""

    kind: type

    @nn.compact
    def __call__(self, x):
        return self.kind(0.3)(x, deterministic=False) + self.kind(0.0)(
            self.kind(0.1)(x, False), False
        )


def test_dropout_is_that_of_flax_outside_of_tpus():
    x = jnp.ones((8, 16))
    found, wanted = (
        Masks(kind).apply({}, x, rngs={"dropout": jax.random.key(3)})
        for kind in (Dropout, nn.Dropout)
    )
    assert np.array_equal(found, wanted)
    assert np.array_equal(Dropout(0.5).apply({}, x, deterministic=True), x)


def test_dropout_uses_the_generator_of_the_hardware_on_a_tpu():
    key = jax.eval_shape(lambda: jax.random.key(0))
    texts = {
        platform: export.export(
            jax.jit(lambda key: keep_mask(key, 0.9, (8, 16))), platforms=[platform]
        )(key).mlir_module()
        for platform in ("tpu", "cuda", "cpu")
    }
    assert [("rng_bit_generator" in text) for text in texts.values()] == [True, False, False]
