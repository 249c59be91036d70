"""Output of a cell of Jupyter that ends in a flow or in `fit(...)`."""

from html.parser import HTMLParser

import jax
import numpy as np
import pytest

from flowjax import bijectors, fit, flows


@pytest.fixture(scope="module")
def result():
    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    return fit(flows.realnvp(3, depth=2, width=4), x, key=0, steps=20, validation=0.2)


def test_the_html_has_the_likelihoods_and_a_curve(result):
    html = result._repr_html_()
    assert len(html) < 20_000 and "20 steps" in html
    assert f"{result.likelihood['nll_nats']:.2f}" in html
    assert f"{result.likelihood['validation_gaussian_nll_nats']:.2f}" in html
    (points,) = [dict(attrs)["points"] for tag, attrs in tags_of(html) if tag == "polyline"]
    count = sum("nll_nats" in row for row in result.metrics)
    assert len(points.split()) == count > 1
    heights = [float(point.split(",")[1]) for point in points.split()]
    assert 0 <= min(heights) and max(heights) <= 60


def test_a_closed_form_has_no_curve():
    x = np.random.default_rng(0).normal(size=(300, 3))
    assert "svg" not in fit(flows.whitening(3), x, key=0)._repr_html_()


def tags_of(html):
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append((tag, attrs))
    parser.feed(html)
    return found


def test_flows_and_bijectors_print_no_addresses():
    flow = flows.glow(4, depth=1, width=4, coupling="affine")
    composed = flows.build(bijectors.chain(bijectors.actnorm(), bijectors.reverse()), 4)
    for thing in (flow, composed, composed.bijector, bijectors.actnorm(), flow.base):
        text = repr(thing)
        assert " at 0x" not in text and "\n" not in text and len(text) < 500
    assert repr(flow).startswith("Flow(glow, dim=4") and "coupling='affine'" in repr(flow)
    assert repr(composed.bijector) == "Bijector(actnorm; reverse)"
    assert repr(flow._replace(recipe=type(flow.recipe)())) == "Flow(flow, dim=4)"
    assert jax.tree.structure(flow) != jax.tree.structure(composed)  # still a tuple of functions
