"""GELU: one function in two forms, one for TPUs; the CPU computes the form of Flax, bit by bit."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from flowjax.encoder.activations import gelu, gelu_by_erf


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
