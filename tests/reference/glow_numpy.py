"""BERT-flow's released flow, transcribed in plain NumPy float64 from what its code was read to do.

Independent of the library: nothing of flowjax is imported, gradients are written by hand, and
the reading is that of TensorFlow's variables, not of ours. Facts: the image 1 x 1 x dim is never
squeezed; a level is depth x [actnorm, channel reversal, additive coupling]; between levels the
second half of the channels leaves with a fixed N(0, 1); every log-scale is stored divided by 3;
the coupling's net is conv-actnorm-relu twice, then a convolution with b and exp(3 logs).

Variables are a dict of arrays, level / step / name:
`"0/1/actnorm/b"`, `"0/1/nn/conv1/W"`, `"0/1/nn/conv1/actnorm/logs"`, `"0/1/nn/zeros/logs"`, ...
"""

from __future__ import annotations

import numpy as np

FACTOR = 3.0


def glorot(rng, n):
    """Returns what TensorFlow gives an unset variable of shape (1, n)."""
    limit = np.sqrt(6.0 / (1 + n))
    return rng.uniform(-limit, limit, n)


def make_variables(rng, dim, levels, depth, width):
    """Returns the variables as the code leaves them before the first step."""
    v = {}
    for level in range(levels):
        half = dim // 2
        for step in range(depth):
            at = f"{level}/{step}"
            v[f"{at}/actnorm/b"], v[f"{at}/actnorm/logs"] = glorot(rng, dim), glorot(rng, dim)
            for conv, size in (("conv1", half), ("conv2", width)):
                v[f"{at}/nn/{conv}/W"] = rng.normal(0, 0.05, (size, width))
                v[f"{at}/nn/{conv}/actnorm/b"] = glorot(rng, width)
                v[f"{at}/nn/{conv}/actnorm/logs"] = glorot(rng, width)
            v[f"{at}/nn/zeros/W"] = np.zeros((width, dim - half))
            v[f"{at}/nn/zeros/b"] = np.zeros(dim - half)
            v[f"{at}/nn/zeros/logs"] = np.zeros(dim - half)
        dim = half
    return v


def scaled(v, name, x):
    """Returns (x + b) * exp(3 logs), and what its gradient needs."""
    out = (x + v[f"{name}/b"]) * np.exp(FACTOR * v[f"{name}/logs"])
    return out, (name, out)


def scaled_backward(v, g, cache, d_out):
    name, out = cache
    d_x = d_out * np.exp(FACTOR * v[f"{name}/logs"])
    g[f"{name}/b"] = d_x.sum(axis=0)
    g[f"{name}/logs"] = g.get(f"{name}/logs", 0) + FACTOR * (d_out * out).sum(axis=0)
    return d_x


def net(v, at, x):
    caches = []
    for conv in ("conv1", "conv2"):
        name = f"{at}/nn/{conv}"
        before = x
        x, norm = scaled(v, f"{name}/actnorm", x @ v[f"{name}/W"])
        caches.append((name, before, norm, x))
        x = np.maximum(x, 0)
    out, last = scaled(v, f"{at}/nn/zeros", x @ v[f"{at}/nn/zeros/W"])
    return out, (caches, x, last)


def net_backward(v, g, at, cache, d_out):
    caches, x, last = cache
    d = scaled_backward(v, g, last, d_out)
    g[f"{at}/nn/zeros/W"] = x.T @ d
    d = d @ v[f"{at}/nn/zeros/W"].T
    for name, before, norm, active in reversed(caches):
        d = scaled_backward(v, g, norm, d * (active > 0))
        g[f"{name}/W"] = before.T @ d
        d = d @ v[f"{name}/W"].T
    return d


def forward(v, x, levels, depth):
    """Returns (z, log_det per row, caches): z is concat(eps level 1, eps level 2, ..., top)."""
    eps, caches, log_det = [], [], np.zeros(len(x))
    for level in range(levels):
        for step in range(depth):
            at = f"{level}/{step}"
            x, norm = scaled(v, f"{at}/actnorm", x)
            log_det = log_det + FACTOR * v[f"{at}/actnorm/logs"].sum()
            x = x[:, ::-1]
            half = x.shape[1] // 2
            first, second = x[:, :half], x[:, half:]
            shift, inside = net(v, at, first)
            x = np.concatenate([first, second + shift], axis=1)
            caches.append((at, norm, inside, half))
        if level < levels - 1:
            half = x.shape[1] // 2
            eps.append(x[:, half:])
            x = x[:, :half]
    return np.concatenate([*eps, x], axis=1), log_det, caches


def loss_and_gradients(v, x, levels, depth):
    """Returns the mean loss in bits per dimension, and its gradient by hand."""
    n, dim = x.shape
    z, log_det, caches = forward(v, x, levels, depth)
    log_normal = -0.5 * (np.log(2 * np.pi) + z**2).sum(axis=1)
    loss = -(log_det + log_normal).mean() / (np.log(2) * dim)

    unit = 1 / (n * np.log(2) * dim)
    sizes = [dim // 2**level for level in range(levels)]
    left, at_z = [], 0
    for size in sizes[:-1]:
        left.append(z[:, at_z : at_z + size - size // 2] * unit)
        at_z += size - size // 2
    d, g = z[:, at_z:] * unit, {}
    for index in reversed(range(levels * depth)):
        at, norm, inside, half = caches[index]
        if index % depth == depth - 1 and index // depth < levels - 1:
            d = np.concatenate([d, left[index // depth]], axis=1)
        d_first, d_second = d[:, :half], d[:, half:]
        d = np.concatenate([d_first + net_backward(v, g, at, inside, d_second), d_second], axis=1)
        d = d[:, ::-1]
        g[f"{at}/actnorm/logs"] = np.full(d.shape[1], -FACTOR * n * unit)  # of the log-det
        d = scaled_backward(v, g, norm, d)
    return loss, g


def train(v, batches, levels, depth, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-6, decay=0.01):
    """Returns the variables and losses after BERT's AdamWeightDecay, one step per batch."""
    v = dict(v)
    m, s = ({k: np.zeros_like(a) for k, a in v.items()} for _ in range(2))
    losses = []
    for x in batches:
        loss, g = loss_and_gradients(v, x, levels, depth)
        losses.append(loss)
        norm = np.sqrt(sum((a**2).sum() for a in g.values()))
        for k in v:
            clipped = g[k] / max(norm, 1.0)  # tf.clip_by_global_norm with norm 1
            m[k] = b1 * m[k] + (1 - b1) * clipped
            s[k] = b2 * s[k] + (1 - b2) * clipped**2
            v[k] = v[k] - lr * (m[k] / (np.sqrt(s[k]) + eps) + decay * v[k])
    return v, np.array(losses)
