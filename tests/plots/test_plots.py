"""Figures: files, labels, drawn values, and errors for invalid input."""

import sys

import numpy as np
import pytest

from flowjax import plots
from flowjax.errors import FlowjaxError


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def figures(rng):
    gold = rng.integers(0, 6, 200).astype(float)
    before, after = 0.8 + 0.02 * gold + rng.normal(0, 0.05, (2, 200))
    x = rng.normal(size=(200, 9)) * np.geomspace(1, 0.01, 9) + 3.0
    rows = [{"step": i, "loss": 5.0 / (i + 1)} for i in range(300)]
    return {
        "scatter": plots.similarity_scatter(gold, before, after, title="STS-B"),
        "histogram": plots.cosine_histogram(before, after - 0.8),
        "projection": plots.projection_2d(x, x / x.std(axis=0), names=("BERT", "flow")),
        "coloured": plots.projection_2d(x, x, values=gold, label="score"),
        "spectrum": plots.spectrum(x, x / x.std(axis=0)),
        "loss": plots.loss_curves(rows),
        "lexical": plots.lexical_scatter(rng.integers(0, 30, 200), {"gold": gold, "flow": after}),
        "density": plots.density_2d(lambda z: -(z**2).sum(axis=1) / 2 - np.log(2 * np.pi)),
        "grid": plots.warped_grid(np.tanh, points=x[:, :2]),
    }


def test_dollar_signs_are_no_formulas(rng, tmp_path):
    x, name = rng.normal(size=(50, 3)), "$\\frac{$ costs $5"
    figures = [
        plots.similarity_scatter(x[:, 0], x[:, 1], x[:, 2], names=(name, name), title=name),
        plots.cosine_histogram(x[:, 0], x[:, 1], names=(name, name), of=name, title=name),
        plots.projection_2d(x, x, values=x[:, 0], label=name, names=(name, name), title=name),
        plots.spectrum(x, x, names=(name, name), title=name),
        plots.lexical_scatter(x[:, 0], {name: x[:, 1]}, title=name),
        plots.loss_curves([{"step": i, name: i} for i in range(5)], keys=[name], unit=name),
    ]
    for i, figure in enumerate(figures):
        plots.save(figure, tmp_path / f"{i}.png", dpi=30)  # Matplotlib parses text when it draws


def test_all_figures_are_saved(figures, tmp_path):
    for name, figure in figures.items():
        path = plots.save(figure, tmp_path / "deep" / f"{name}.png", dpi=50)
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) > 3000
    for suffix in (".svg", ".pdf"):
        assert plots.save(figures["spectrum"], tmp_path / f"x{suffix}").stat().st_size > 3000
    with pytest.raises(FlowjaxError, match=r"expected a suffix \.png, .*got '\.jpeg2000'"):
        plots.save(figures["loss"], tmp_path / "x.jpeg2000")


def test_equal_figures_give_equal_bytes(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 4))
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    one, two = (plots.save(plots.projection_2d(x, x), path).read_bytes() for path in paths)
    assert one == two


def test_pyplot_is_not_used(figures):
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_every_axis_is_labelled(figures):
    for name, figure in figures.items():
        panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
        assert all(axes.get_xlabel() for axes in panels), name
        assert panels[0].get_ylabel(), name


def test_scatter_titles_have_spearman():
    gold = np.arange(20.0)
    figure = plots.similarity_scatter(gold, -gold, np.sqrt(gold), names=("a", "b"))
    assert [axes.get_title() for axes in figure.axes] == [
        "a: Spearman -100.0",
        "b: Spearman 100.0",
    ]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_histogram_bars_sum_to_a_hundred_percent(rng):
    axes = plots.cosine_histogram(rng.random(77), rng.random(33) - 1).axes[0]
    outlines = [p for p in axes.patches if hasattr(p, "get_xy") and np.ndim(p.get_xy()) == 2]
    assert len(outlines) == 2
    bars = [p.get_height() for p in axes.patches if np.ndim(p.get_xy()) == 1]
    assert sum(bars) == pytest.approx(200.0)


def test_projection_marks_the_origin(rng):
    x = rng.normal(size=(500, 4)) * [9.0, 5.0, 0.1, 0.1] + [90.0, 0.0, 0.0, 0.0]
    panel, white = plots.projection_2d(x, x - x.mean(axis=0)).axes
    origin = np.array(panel.lines[0].get_xydata()[0])
    assert np.linalg.norm(origin) == pytest.approx(90, abs=2)
    np.testing.assert_allclose(white.lines[0].get_xydata()[0], 0, atol=1e-9)
    assert panel.get_xlabel() == "PC 1 (76 % of variance)"


def test_spectrum_of_white_vectors_is_flat(rng):
    x = np.linalg.qr(rng.normal(size=(100, 5)) - 0)[0]
    x = np.concatenate([x, -x])
    axes = plots.spectrum(x * [8, 4, 2, 1, 0], x).axes[0]
    plain, white = (line.get_ydata() for line in axes.lines[:2])
    np.testing.assert_allclose(white, 1.0, atol=1e-9)
    assert np.isnan(plain[-1])  # no variance, not drawn
    np.testing.assert_allclose(plain[:-1] / plain[0], [1, 1 / 4, 1 / 16, 1 / 64])


def test_fit_curves_name_what_was_measured():
    rows = [{"step": i, "bits_per_dim": 2.0 - i} for i in range(3)]
    rows[-1] |= {"validation_bits_per_dim": 1.0, "finished_gaussian_bits_per_dim": 0.5}
    labels = [t.get_text() for t in plots.fit_curves(rows).axes[0].get_legend().get_texts()]
    assert labels == [
        "training batches, before latents are whitened",
        "held-out examples, finished flow",
        "training examples, Gaussian",
    ]


def test_loss_curves_accept_missing_keys_and_count_values_that_are_not_finite():
    rows = [{"step": i, "loss": 1.0 + i} for i in range(10)]
    rows[4]["loss"] = float("nan")
    rows[9]["validation_loss"] = 3.0
    labels = [t.get_text() for t in plots.loss_curves(rows).axes[0].get_legend().get_texts()]
    assert labels == ["loss (1 not finite, not shown)", "validation_loss"]
    with pytest.raises(FlowjaxError, match="expected a key that contains loss, got"):
        plots.loss_curves([{"step": 1}])
    with pytest.raises(FlowjaxError, match=r"expected \['accuracy'\]"):
        plots.loss_curves(rows, keys=["accuracy"])
    with pytest.raises(FlowjaxError, match="expected rows with step and a finite loss, got none"):
        plots.loss_curves([{"step": 0, "loss": float("inf")}])


def test_running_mean_is_centred_and_keeps_straight_lines():
    rows = [{"step": i, "loss": 3.0 * i} for i in range(200)]
    smooth = plots.loss_curves(rows).axes[0].lines[1]
    np.testing.assert_allclose(smooth.get_ydata(), 3.0 * np.arange(200), atol=1e-9)


def test_the_axis_of_a_constant_curve_ignores_rounding():
    rows = [{"step": i, "learning_rate": 0.1} for i in range(300)]
    (axes,) = plots.fit_curves(rows).axes
    assert axes.get_ylim() == pytest.approx((0.09, 0.11))


def test_nearest_neighbours(rng):
    sentences = ["a", "b", "a", "c", "d"]
    x = np.array([[1, 0], [1, 0.1], [1, 0], [1, 0.5], [0, 1]], float)
    (row,) = plots.nearest_neighbours(sentences, x, x @ [[0, 1], [1, 0]], [0], k=2)
    assert [s for s, _ in row["plain"]] == ["b", "c"]  # the other "a" is skipped
    assert [s for s, _ in row["flow"]] == ["b", "c"]
    assert row["plain"][0][1] == pytest.approx(1 / np.sqrt(1.01))
    with pytest.raises(FlowjaxError, match="flow: expected 5 rows, got shape"):
        plots.nearest_neighbours(sentences, x, x[:3], [0])


def test_density_title_has_the_probability_mass():
    def gauss(z):
        return -(z**2).sum(axis=1) / 2 - np.log(2 * np.pi)

    half = plots.density_2d(gauss, limits=((0.0, 6.0), (-6.0, 6.0)), resolution=301)
    assert half.axes[0].get_title() == "50.0 % of the probability mass shown"
    with pytest.raises(FlowjaxError, match=r"log_prob: expected shape \(40000,\)"):
        plots.density_2d(lambda z: z)
    with pytest.raises(FlowjaxError, match="NaN"):
        plots.density_2d(lambda z: np.full(len(z), np.nan))


def test_warped_grid_draws_the_image_of_the_grid():
    figure = plots.warped_grid(lambda z: 2 * z + 1, limits=((0, 1), (0, 1)), lines=3, resolution=5)
    vertical = [axes.collections[0].get_segments() for axes in figure.axes]
    assert len(vertical[0]) == 3
    np.testing.assert_allclose(vertical[1], 2 * np.array(vertical[0]) + 1, atol=1e-6)
    with pytest.raises(FlowjaxError, match="forward: expected finite values"):
        plots.warped_grid(lambda z: np.full_like(z, np.inf))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: plots.similarity_scatter([1, 2], [1, 2, 3], [1, 2]),
            r"plain: expected shape \(2,",
        ),
        (lambda: plots.cosine_histogram([np.nan], [1.0]), "before: expected finite"),
        (lambda: plots.cosine_histogram([1.0], [1.0], names="ab"), "names: expected two"),
        (lambda: plots.projection_2d(np.ones((5, 3)), np.ones((5, 3))), "all rows equal"),
        (lambda: plots.projection_2d(np.eye(3), np.eye(3)[:, :1]), "at least 2 rows and dim"),
        (lambda: plots.spectrum(np.ones((5, 3)), np.eye(3)), "all rows equal"),
        (lambda: plots.warped_grid(np.tanh, points=np.ones((4, 3))), r"expected shape \(n, 2\)"),
    ],
)
def test_bad_input(draw, message):
    with pytest.raises(FlowjaxError, match=message):
        draw()


def inside(axes):
    """True for each drawn value that lies within the limits of the y axis."""
    low, high = axes.get_ylim()
    values = np.concatenate([line.get_ydata() for line in axes.get_lines()])
    return (values > low) & (values < high)


@pytest.mark.parametrize("n", [1, 2, 20, 79, 80, 400])
def test_all_metrics_of_a_fit_are_inside_the_axes(n):
    """Warm-up from 0, rising curves, and gradient norms of several magnitudes."""
    rng = np.random.default_rng(n)
    rows = [
        {
            "step": 10 * i,
            "bits_per_dim": 3 * np.exp(-i / 10) + rng.normal() / 9,
            "validation_bits_per_dim": 3.0 + i / n,
            "log_base": -100.0 - rng.normal(),
            "log_det": 50.0 + i,
            "grad_norm": float(np.exp(2 * rng.normal())) * (1000 if i < 3 else 1),
            "learning_rate": 0.001 * min(1.0, i / 5),
        }
        for i in range(n)
    ]
    figure = plots.fit_curves(rows)
    for axes in figure.axes:
        assert inside(axes).all(), axes.get_ylabel()
    rates = figure.axes[-1]
    assert n == 1 or rates.get_ylim()[1] < 0.0013  # 0.001 is not drawn at 0.00
    figure.canvas.draw()
    labels = [float(t.get_text().replace("\N{MINUS SIGN}", "-")) for t in rates.get_yticklabels()]
    assert n == 1 or any(0.0001 <= label <= 0.0011 for label in labels)


def test_huge_losses_of_the_first_steps_are_noted():
    rows = [{"step": i, "loss": 1e6 if i < 3 else np.cos(i)} for i in range(300)]
    (axes,) = plots.loss_curves(rows).axes
    assert axes.get_ylim()[1] < 2 and "1e+06" in axes.texts[0].get_text()
    (axes,) = plots.loss_curves(
        [{"step": i, "loss": 9.0 if i < 3 else 1.0 + i % 2} for i in range(300)]
    ).axes
    assert inside(axes).all() and not axes.texts
