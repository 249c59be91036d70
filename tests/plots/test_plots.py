"""All figures: axes, style, sizes, formats and input errors; one table of functions."""

import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from grids import grid
from matplotlib.figure import Figure

from flowjax import plots
from flowjax.errors import FlowjaxError
from flowjax.plots._style import GREY, LOOKS, drawn, looks

rng = np.random.default_rng(7)
X = rng.normal(size=(300, 9)) * np.geomspace(1, 0.05, 9) + 3.0
CLOUDS = {"plain": X, "whitening": X - X.mean(axis=0), "glow": (X - 3) / X.std(axis=0)}
METRICS = [
    {"step": i, "loss": 5.0 / (i + 1), "bits_per_dim": 2 - i / 99, "grad_norm": 1.0 + i}
    for i in range(120)
]


def gaussian(z):
    return -(z**2).sum(axis=1) / 2 - np.log(2 * np.pi)


def cosines():
    return {name: (rng.normal(0.4, 0.1, 500), rng.normal(0.7, 0.1, 99)) for name in CLOUDS}


def scores(names=("plain", "whitening", "glow"), tasks=("stsb test", "sts12 test wmean")):
    return {name: {t: (50 + i, 48 + i, 53 + i) for t in tasks} for i, name in enumerate(names)}


GAINS = np.array([[1.0, 0.5, 1.5], [2.0, 1.5, 2.5]])
# Name: function of `ax`, and its number of panels.
DRAW = {
    "cone": (lambda ax=None: plots.cone({"plain": X, "glow": CLOUDS["glow"]}, ax=ax), 2),
    "cosines": (lambda ax=None: plots.pair_cosines(cosines(), dim=9, ax=ax), 1),
    "spectrum": (lambda ax=None: plots.spectrum(CLOUDS, ax=ax), 1),
    "forest": (lambda ax=None: plots.forest(scores(), ax=ax), 1),
    "gain": (
        lambda ax=None: plots.gain_by_power(
            {"glow": [0, 1], "whitening": [0, 1]},
            {"glow": GAINS, "whitening": GAINS - 1},
            fixed={"centred": GAINS[0]},
            ax=ax,
        ),
        1,
    ),
    "loss": (lambda ax=None: plots.loss_curves(METRICS, ax=ax), 1),
    "fit": (lambda ax=None: plots.fit_curves(METRICS, ax=ax), 2),
    "density": (lambda ax=None: plots.density_2d(gaussian, points=X[:, :2] - 3, ax=ax), 1),
    "grid": (lambda ax=None: plots.warped_grid(np.tanh, points=X[:9, :2] - 3, ax=ax), 2),
}


@pytest.fixture(autouse=True)
def closed():
    with mpl.rc_context():
        yield
    plt.close("all")


@pytest.fixture(params=DRAW)
def case(request):
    return DRAW[request.param]


def test_every_public_function_is_in_the_table():
    drawing = {*plots.__all__} - {"save", "nearest_neighbours", "spectra"}
    assert len(drawing) == len(DRAW)


def test_figures_are_drawn_on_given_axes_without_pyplot(case):
    draw, panels = case
    figure = Figure(layout="constrained")
    given = figure.subplots(1, panels)
    found = draw(given)
    assert np.ravel(found).tolist() == np.ravel(given).tolist()
    assert not plt.get_fignums()
    with pytest.raises(FlowjaxError, match=rf"^ax: expected {panels} Axes, got 3"):
        draw(figure.subplots(1, 3))


def test_figures_without_axes_belong_to_pyplot_and_have_the_default_size(case):
    """Jupyter shows the open figures of pyplot at the end of a cell."""
    plt.rcParams.update({"figure.figsize": (5.6, 3.1), "font.size": 7.0, "axes.grid": True})
    found = np.ravel(case[0]())
    figure = found[0].figure
    assert plt.get_fignums() == [figure.number]
    assert figure.get_size_inches()[0] == pytest.approx(5.6)
    for axes in found:
        assert axes.xaxis.label.get_size() == pytest.approx(7.0)
        assert axes.get_xlabel() and (axes.get_ylabel() or axes.get_yticklabels())


@pytest.mark.parametrize("width", [3.3, 6.4, 10.0])
def test_no_text_collides_or_leaves_the_figure(case, width):
    """Sizes: one column of a paper, the default of Matplotlib, and a wide figure."""
    plt.rcParams.update({"figure.figsize": (width, 0.75 * width)})
    plt.rcParams["font.size"] = 8.0 if width < 4 else 10.0
    found = np.ravel(case[0]())
    figure = found[0].figure
    figure.canvas.draw()
    canvas = figure.bbox
    boxes = [
        text.get_window_extent()
        for axes in found
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label)
        if text.get_text()
    ]
    legends = [axes.get_legend().get_window_extent() for axes in found if axes.get_legend()]
    for box in boxes + legends:
        assert box.x0 >= canvas.x0 - 1 and box.x1 <= canvas.x1 + 1, (box, canvas)
        assert box.y0 >= canvas.y0 - 1 and box.y1 <= canvas.y1 + 1, (box, canvas)
    everything = boxes + legends
    for i, one in enumerate(everything):
        assert not any(one.overlaps(other) for other in everything[i + 1 :])


@pytest.mark.parametrize("kind", grid(["png", "svg", "pdf"], slow=["svg"]))
def test_figures_are_saved_in_each_format(case, kind, tmp_path):
    figure = case[0]()
    data = plots.save(figure, tmp_path / "deep" / f"x.{kind}", dpi=40).read_bytes()
    assert len(data) > 2000
    assert data.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    if kind == "pdf":
        assert b"/Type3" not in data and b"/FontFile2" in data  # TrueType


@pytest.mark.parametrize(("kind", "same"), [("png", False), ("svg", True), ("pdf", True)])
def test_the_resolution_is_that_of_raster_images_only(kind, same, tmp_path):
    files = [
        plots.save(DRAW["cone"][0](), tmp_path / f"{dpi}.{kind}", dpi=dpi).read_bytes()
        for dpi in (40, 90)
    ]
    assert (files[0] == files[1]) == same


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(FlowjaxError, match=r"expected a suffix \.png, .*got '\.jpeg2000'"):
        plots.save(plots.forest(scores()), tmp_path / "x.jpeg2000")


def test_equal_figures_give_equal_bytes(case, tmp_path):
    mpl.rcParams["svg.hashsalt"] = "x"
    global rng
    files = []
    for name in ("one", "two"):
        rng = np.random.default_rng(0)
        files.append(plots.save(case[0](), tmp_path / f"{name}.png", dpi=40).read_bytes())
    assert files[0] == files[1]


def test_dollar_signs_are_no_formulas(tmp_path):
    x, name = X[:60], "$\\frac{$ costs $5"
    draws = [
        lambda ax: plots.cone({name: x}, ax=ax),
        lambda ax: plots.pair_cosines({name: (x[:, 0], x[:, 1])}, related=name, ax=ax),
        lambda ax: plots.spectrum({name: x}, ax=ax),
        lambda ax: plots.forest({name: {name: (1, 0, 2)}}, xlabel=name, ax=ax),
        lambda ax: plots.gain_by_power({name: [0, 1]}, {name: GAINS}, ax=ax),
        lambda ax: plots.loss_curves([{"step": i, name: i} for i in range(5)], keys=[name], ax=ax),
    ]
    for draw in draws:
        plots.save(drawn(draw), tmp_path / "x.png", dpi=30)  # text is parsed when it is drawn


def test_kinds_differ_in_grey():
    """Line styles and markers differ, and a power has the look of its recipe."""
    assert len({str(look.linestyle) for look in LOOKS}) == len({k.marker for k in LOOKS}) == 6
    kinds = looks(["plain", "standardize", "whitening", "glow^0.5", "glow"])
    assert kinds["glow^0.5"] == kinds["glow"] != kinds["standardize"]
    assert looks(["glow", "whitening"])["whitening"] == kinds["whitening"]
    assert looks(["centred", "glow"])["glow"] == kinds["glow"]
    assert len(set(looks(["whitening", "whitening^0.9", "plain"]).values())) == 3


def test_the_cone_has_the_origin_and_one_scale():
    x = rng.normal(size=(500, 4)) * [0.5, 5.0, 0.1, 0.1] + [90.0, 0.0, 0.0, 0.0]
    cone, white = plots.cone({"plain": x, "centred": x - x.mean(axis=0)})
    points = cone.collections[0].get_offsets()
    assert points[:, 0].mean() == pytest.approx(90, abs=0.5)  # the mean is not subtracted
    assert points[:, 1].std() == pytest.approx(5, rel=0.1)
    np.testing.assert_allclose(white.collections[0].get_offsets().mean(axis=0), 0, atol=1e-6)
    for axes in (cone, white):
        axes.figure.canvas.draw()
        assert axes.get_aspect() == 1.0
        (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert low < 0 < high and bottom < 0 < top
        assert axes.texts[0].get_text() == "origin"
    assert cone.get_title() == "plain\nmean cosine of all pairs 1.00"
    kinds = ("plain", "whitening", "whitening^0.7")
    alone, _ = plots.cone({"plain": x, "whitening^0.7": x - x.mean(axis=0)})[::-1]
    (grouped,) = plots.cone({"whitening^0.7": x - x.mean(axis=0)}, kinds=kinds)
    for axes, names in ((alone, ("plain", "whitening^0.7")), (grouped, kinds)):
        expected = mpl.colors.to_rgb(looks(names)["whitening^0.7"].color)
        assert tuple(axes.collections[0].get_facecolor()[0][:3]) == expected


def test_the_spectrum_of_white_vectors_is_flat_and_the_band_is_of_the_same_size():
    x = np.linalg.qr(rng.normal(size=(100, 5)))[0]
    x = np.concatenate([x, -x])
    axes = plots.spectrum({"plain": x * [8, 4, 2, 1, 0], "white": x})
    plain, white = (line.get_ydata() for line in axes.lines)
    np.testing.assert_allclose(white, 1.0, atol=1e-9)
    assert np.isnan(plain[-1])  # no variance, not drawn
    np.testing.assert_allclose(plain[:-1] / plain[0], [1, 1 / 4, 1 / 16, 1 / 64])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() < 1 < band.max() < 1.6


def test_the_null_band_has_the_quantiles_of_isotropic_vectors():
    axes = plots.pair_cosines({"plain": np.linspace(-1, 1, 99)}, dim=400)
    low, high = (f(axes.patches[0].get_extents().intervalx) for f in (min, max))
    data = axes.transData.inverted()
    low, high = (data.transform((x, 0))[0] for x in (low, high))
    u = rng.normal(size=(2, 4000, 400))
    found = (u[0] * u[1]).sum(1) / np.linalg.norm(u[0], axis=1) / np.linalg.norm(u[1], axis=1)
    assert np.mean((found > low) & (found < high)) == pytest.approx(0.95, abs=0.015)


def test_a_forest_has_a_marker_with_its_interval_for_each_score():
    table = scores(("plain", "glow"), ("a", "b", "c"))
    del table["glow"]["b"]
    axes = plots.forest(table)
    markers = [c.lines[0] for c in axes.containers]
    assert [m.get_xdata().tolist() for m in markers] == [[50] * 3, [51] * 2]
    assert np.round(markers[1].get_ydata()).tolist() == [0, 2]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b", "c"]
    bottom, top = axes.get_ylim()
    assert bottom > 2 and top < 0  # the first task is at the top


def test_fit_curves_name_what_was_measured_and_draw_no_learning_rate():
    rows = [{"step": i, "bits_per_dim": 2.0 - i, "learning_rate": 0.1} for i in range(3)]
    rows[-1] |= {"validation_bits_per_dim": 1.0, "finished_gaussian_bits_per_dim": 0.5}
    (axes,) = plots.fit_curves(rows)
    labels = [t.get_text() for t in axes.get_legend().get_texts()]
    assert [" ".join(text.split()) for text in labels] == [
        "training batches, before latents are whitened",
        "held-out examples, finished flow",
        "training examples, Gaussian",
    ]


def test_loss_curves_accept_missing_keys_and_count_values_that_are_not_finite():
    rows = [{"step": i, "loss": 1.0 + i} for i in range(10)]
    rows[4]["loss"] = float("nan")
    rows[9]["validation_loss"] = 3.0
    labels = [t.get_text() for t in plots.loss_curves(rows).get_legend().get_texts()]
    assert labels == ["loss (1 not finite, not shown)", "validation_loss"]


@pytest.mark.parametrize("n", [100, 1000])
def test_the_end_of_a_smoothed_curve_is_not_the_last_value(n):
    """The mean at the ends varies less than a single value, and straight lines are kept."""
    straight = [{"step": i, "loss": 3.0 * i} for i in range(n)]
    smooth = plots.loss_curves(straight).lines[1].get_ydata()
    np.testing.assert_allclose(smooth, 3.0 * np.arange(n), atol=1e-8)
    ends = []
    for seed in range(60):
        noise = np.random.default_rng(seed).normal(size=n)
        rows = [{"step": i, "loss": float(v)} for i, v in enumerate(noise)]
        curve = plots.loss_curves(rows, ax=Figure().subplots()).lines[1].get_ydata()
        ends.append(curve[-1])
    window = 2 * (n // 40) + 1
    assert np.std(ends) < 1.25 * 2 / np.sqrt(window)


def test_nearest_neighbours():
    sentences = ["a", "b", "a", "c", "d"]
    x = np.array([[1, 0], [1, 0.1], [1, 0], [1, 0.5], [0, 1]], float)
    kinds = {"plain": x, "flow": x @ [[0, 1], [1, 0]]}
    (row,) = plots.nearest_neighbours(sentences, kinds, [0], k=2)
    assert [s for s, _ in row["plain"]] == ["b", "c"]  # the other "a" is skipped
    assert [s for s, _ in row["flow"]] == ["b", "c"]
    assert row["plain"][0][1] == pytest.approx(1 / np.sqrt(1.01))
    with pytest.raises(FlowjaxError, match="flow: expected 5 rows, got shape"):
        plots.nearest_neighbours(sentences, {"plain": x, "flow": x[:3]}, [0])


def test_points_do_not_hide_the_density():
    axes = plots.density_2d(gaussian, points=X[:, :2] - 3)
    points, density = axes.collections[:2]
    assert points.get_zorder() <= density.get_zorder()
    assert density.cmap(1.0)[3] == 1.0 and density.cmap(0.0)[3] == 0.0
    assert not axes.get_title() and not axes.texts  # all of the mass is shown


def test_warped_grid_draws_the_image_of_the_grid():
    panels = plots.warped_grid(lambda z: 2 * z + 1, limits=((0, 1), (0, 1)), lines=3, resolution=5)
    vertical = [axes.collections[0].get_segments() for axes in panels]
    assert len(vertical[0]) == 3
    np.testing.assert_allclose(vertical[1], 2 * np.array(vertical[0]) + 1, atol=1e-6)


ONES, NAN = np.ones((5, 3)), float("nan")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.cone({"a": ONES}), "a: expected different rows, got all rows equal"),
        (lambda: plots.cone({"a": np.eye(3)[:, :1]}), "at least 2 rows and dimensions"),
        (lambda: plots.cone(ONES), r"vectors: expected a dict such as .*got ndarray"),
        (lambda: plots.cone({}), "vectors: expected a dict .*got an empty dict"),
        (lambda: plots.pair_cosines({"a": [NAN]}), "a: expected finite numbers, got NaN"),
        (lambda: plots.pair_cosines({"a": [0.1, 0.2]}, dim=0), "dim: expected an integer"),
        (lambda: plots.spectrum({"a": ONES}), "a: expected different rows"),
        (lambda: plots.spectra({"a": np.zeros(3)}, (np.ones(3), np.ones(3))), "a: expected diff"),
        (lambda: plots.forest({"a": {}}), "scores: expected at least one task, got none"),
        (lambda: plots.forest({"a": {"t": (1, 2, 3)}}), r"a, t: .*in its interval, got 1 and \["),
        (lambda: plots.forest({"a": {"t": (1, NAN, 3)}}), "a, t: expected finite"),
        (lambda: plots.gain_by_power({"a": [1]}, {"a": GAINS}), r"a: expected shape \(3,\)"),
        (lambda: plots.loss_curves([{"step": 1}]), "expected a key that contains loss, got"),
        (lambda: plots.loss_curves([{"step": 0, "loss": float("inf")}]), "finite loss, got none"),
        (lambda: plots.loss_curves(METRICS, keys=["accuracy"]), r"expected \['accuracy'\]"),
        (lambda: plots.fit_curves([{"step": 0}]), r"metrics of a fit, got \['step'\]"),
        (lambda: plots.density_2d(lambda z: z), r"log_prob: expected shape \(40000,\)"),
        (lambda: plots.density_2d(lambda z: np.full(len(z), NAN)), "NaN"),
        (lambda: plots.warped_grid(np.tanh, points=np.ones((4, 3))), r"expected shape \(n, 2\)"),
        (lambda: plots.warped_grid(lambda z: z + np.inf), "forward: expected finite values"),
    ],
)
def test_bad_input(draw, message):
    """An error is raised before a figure is made."""
    with pytest.raises(FlowjaxError, match=message):
        draw()
    assert not plt.get_fignums()


def inside(axes):
    """True for each drawn value that lies within the limits of the y axis."""
    low, high = axes.get_ylim()
    values = np.concatenate([line.get_ydata() for line in axes.get_lines()])
    return (values > low) & (values < high)


@pytest.mark.parametrize("n", [1, 2, 20, 79, 80, 400])
def test_all_metrics_of_a_fit_are_inside_the_axes(n):
    """Rising curves, and gradient norms of several magnitudes."""
    noise = np.random.default_rng(n)
    rows = [
        {
            "step": 10 * i,
            "bits_per_dim": 3 * np.exp(-i / 10) + noise.normal() / 9,
            "validation_bits_per_dim": 3.0 + i / n,
            "log_base": -100.0 - noise.normal(),
            "log_det": 50.0 + i,
            "grad_norm": float(np.exp(2 * noise.normal())) * (1000 if i < 3 else 1),
        }
        for i in range(n)
    ]
    for axes in plots.fit_curves(rows):
        assert inside(axes).all(), axes.get_ylabel()


def test_the_axis_of_a_constant_curve_ignores_rounding():
    rows = [{"step": i, "grad_norm": 0.1} for i in range(300)]
    (axes,) = plots.fit_curves(rows)
    assert axes.get_ylim() == pytest.approx((0.09, 0.11))


def test_huge_losses_of_the_first_steps_are_noted():
    rows = [{"step": i, "loss": 1e6 if i < 3 else np.cos(i)} for i in range(300)]
    axes = plots.loss_curves(rows)
    assert axes.get_ylim()[1] < 4 and "1e+06" in axes.texts[0].get_text()
    usual = [{"step": i, "loss": 9.0 if i < 3 else 1.0 + i % 2} for i in range(300)]
    axes = plots.loss_curves(usual)
    assert inside(axes).all() and not axes.texts


def test_the_style_of_reports_needs_no_pyplot():
    figure = drawn(lambda ax: [panel.plot([0, 1]) for panel in ax], 2, size=(2, 1))
    assert figure.get_size_inches().tolist() == [4, 1] and not plt.get_fignums()
    assert not figure.axes[0].spines["right"].get_visible()
    assert GREY.startswith("#") and "matplotlib" in sys.modules


@pytest.mark.slow
def test_jupyter_shows_a_figure_without_a_magic_command(monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    nbformat, nbclient = (pytest.importorskip(name) for name in ("nbformat", "nbclient"))
    pytest.importorskip("ipykernel")
    code = "from flowjax import plots\nplots.forest({'a': {'t': (1, 0, 2)}})"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    kinds = {kind for output in notebook.cells[0].outputs for kind in output.get("data", {})}
    assert "image/png" in kinds
