"""Handling of signals in one process: a training loop stops, other work is interrupted."""

import signal

import pytest

from flowjax.commands import signals

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_loop_is_asked_to_stop_and_a_second_signal_interrupts(number, capsys):
    with signals.handled(), signals.stopping_loop():
        assert not signals.stop_requested()
        signal.raise_signal(number)
        assert signals.stop_requested() and signals.exit_code() == 128 + number
        assert "stopping after this step" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


@pytest.mark.parametrize("number", NUMBERS)
def test_work_outside_of_a_loop_is_interrupted(number):
    with signals.handled():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert signals.exit_code() == 128 + number
    with signals.handled():  # an earlier signal is forgotten
        with signals.stopping_loop():
            with pytest.raises(KeyboardInterrupt):  # the loop still compiles
                signal.raise_signal(number)
        assert signals.exit_code() == 128 + number
    with signals.handled(), signals.stopping_loop():
        assert not signals.stop_requested()
    with signals.handled():
        assert signals.exit_code() == 130


def test_handlers_are_restored_and_an_ignored_hangup_stays_ignored():
    before = [signal.getsignal(number) for number in NUMBERS]
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.handled():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) not in before
    finally:
        signal.signal(signal.SIGHUP, hangup)
    assert [signal.getsignal(number) for number in NUMBERS] == before
