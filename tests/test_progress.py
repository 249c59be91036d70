"""Progress of long work: counts, rates and the displays on a terminal, in Jupyter and in a log."""

import io
import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from flowjax import progress
from flowjax.encoder import corpus
from flowjax.progress import Count, track, track_steps


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.seconds)
    return now


def test_the_rate_omits_the_first_report(clock):
    """The first report includes the compilation; steps/s x batch size is the rate of examples."""
    count = Count("fitting", 1000, "steps")
    clock.seconds += 50
    count.add(10)
    assert count.rate == pytest.approx(10 / 50)  # nothing better is known yet
    clock.seconds += 2
    count.add(90, "1.5 bits/dim")
    assert count.rate == pytest.approx(45)
    assert str(count) == "fitting: 100 of 1,000 steps, 45 steps/s, 0:20 left, 1.5 bits/dim"
    clock.seconds += 20
    count.add(900)
    assert str(count) == "fitting: 1,000 of 1,000 steps, 45 steps/s, 1:12"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.7, "1:00"), (3599.9, "1:00:00")])
def test_clock(seconds, text):
    assert progress.clock(seconds) == text


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("total", "shown"), [(1000, "1,000/1,000"), (None, "1,000")])
def test_a_bar_on_a_terminal_shows_count_and_rate(total, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with track("embedding", total, unit="sentences", show_progress_bar=True) as advance:
        advance(400)
        advance(600, "fast")
    text = screen.getvalue()
    assert "embedding" in text and shown in text and "sentences/s" in text


def test_a_second_bar_does_not_fail(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Screen())
    options = {"unit": "steps", "show_progress_bar": True}
    with track("outer", 2, **options) as outer, track("inner", 2, **options) as inner:
        outer(1)
        inner(2)


def test_a_short_fit_shows_no_bar(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    with track("fitting", 2, unit="steps") as advance:
        advance(1)
        clock.seconds += 1
        advance(1)
    assert not screen.getvalue()


@pytest.fixture
def jupyter(monkeypatch):
    """List of the outputs of a cell; each is a list of its contents, one for each update."""
    outputs = []

    def display(bundle, *, raw, display_id):
        assert raw and display_id
        outputs.append(shown := [bundle])
        return SimpleNamespace(update=lambda new, raw: shown.append(new))

    shell = SimpleNamespace(kernel=object())
    module = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return outputs


def test_a_bar_in_jupyter_is_replaced_by_a_line(jupyter, clock):
    with track("fitting <a>", 4, unit="steps", show_progress_bar=True) as advance:
        clock.seconds += 1
        advance(1)
        clock.seconds += 1
        advance(3)
    (shown,) = jupyter
    assert 'value="1" max="4"' in shown[1]["text/html"]
    assert "<progress" not in shown[-1]["text/html"]
    assert shown[-1]["text/plain"] == "fitting <a>: 4 of 4 steps, 3.0 steps/s, 0:02"
    assert "fitting &lt;a&gt;" in shown[-1]["text/html"]


def test_a_bar_in_jupyter_that_was_not_requested_disappears(jupyter, clock):
    with track("fitting", 4, unit="steps") as advance:
        clock.seconds += 3
        advance(1)
    assert jupyter[0][0]["text/plain"].startswith("fitting: 1 of 4 steps")
    assert jupyter[0][-1] == {"text/plain": "", "text/html": ""}


def test_a_failure_in_jupyter_leaves_the_last_count(jupyter, clock):
    with pytest.raises(KeyboardInterrupt):
        with track("fitting", 9, unit="steps", show_progress_bar=True) as advance:
            advance(3)
            raise KeyboardInterrupt
    assert jupyter[0][-1]["text/plain"].startswith("fitting: 3 of 9 steps, ")
    assert "left" not in jupyter[0][-1]["text/plain"]


def test_lines_if_a_bar_is_requested_without_a_terminal(capsys):
    with track("fitting", 2, unit="steps", show_progress_bar=True) as advance:
        advance(2)
    assert capsys.readouterr().err.startswith("fitting: 2 of 2 steps, ")


def test_steps_of_a_resumed_fit_and_the_end_by_on_step(caplog, monkeypatch):
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    options = {"on_step": lambda row: row["step"] > 50}
    with (
        caplog.at_level(logging.INFO, "flowjax"),
        track_steps("fitting", 60, lambda row: f"loss {row['loss']}", **options) as on_step,
    ):
        assert on_step({"step": 40, "loss": 2}) is False
        assert on_step({"step": 60, "loss": 1}) is True
    assert caplog.messages[-1].startswith("fitting: 60 of 60 steps, ")
    assert caplog.messages[-1].endswith("loss 1")


class Vectors:
    """Encoder whose vectors are the lengths of the sentences."""

    dim, name, max_seq_length, weights_hash = 1, "lengths", 64, "0"

    def encode(self, texts):
        return np.array([[float(len(text))] for text in texts], np.float32)


def test_the_number_of_sentences_is_known_in_memory_in_a_store_and_after_a_kill(
    tmp_path, monkeypatch
):
    from flowjax.data.sentences import open_source
    from flowjax.encoder import adapter

    totals = []
    real = adapter.track

    def spy(label, total, **options):
        totals.append(total)
        return real(label, total, **options)

    monkeypatch.setattr(adapter, "track", spy)
    monkeypatch.setattr(corpus, "CHUNK", 4)
    monkeypatch.setattr(adapter, "_CHUNK", 4)
    encoder = adapter.EncoderAdapter(Vectors())
    texts = [f"Sentence {i}." for i in range(10)]
    (file := tmp_path / "s.txt").write_text("\n".join([*texts, "", " "]))
    source = open_source(file)
    corpus.embed_in_memory(encoder, source)
    corpus.embed_in_store(encoder, source, tmp_path / "all")
    corpus.embed_in_store(encoder, source, tmp_path / "part", share=(1, 2), wait=False)
    corpus.embed_in_store(encoder, source, tmp_path / "part", share=(0, 2), wait=False)
    corpus.embed_in_memory(encoder, open_source(iter(texts)))
    assert totals == [10, 10, 4, 6, None]
