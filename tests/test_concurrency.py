"""Several at a time, and early: order, bounds, and how an error ends what runs."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from kasmgen.concurrency import AT_ONCE, Ahead, Once, each
from tests.some import some


def test_each_keeps_the_order_whatever_ends_first() -> None:
    gates = [threading.Event() for _ in range(AT_ONCE)]

    def work(number: int) -> str:
        if number + 1 < AT_ONCE:
            gates[number + 1].wait(60)
        gates[number].set()
        return str(number)

    assert each(work, range(AT_ONCE)) == [str(number) for number in range(AT_ONCE)]


def test_each_has_no_more_at_work_than_it_may() -> None:
    at_work, most, lock = set[int](), set[int](), threading.Lock()

    def work(number: int) -> None:
        with lock:
            at_work.add(number)
            most.add(len(at_work))
        with lock:
            at_work.remove(number)

    each(work, range(200))
    assert max(most) <= AT_ONCE


def test_each_of_nothing_is_nothing_and_of_one_takes_no_thread() -> None:
    assert each(str, []) == []
    assert each(lambda _: threading.current_thread(), [1]) == [threading.current_thread()]


def test_each_raises_the_first_error_and_begins_nothing_more() -> None:
    begun: list[int] = []
    before = set(threading.enumerate())
    go = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise ValueError("the first")
        go.wait(0.05)
        raise ValueError("a later one")

    with pytest.raises(ValueError, match="the first"):
        each(work, range(1000))
    assert len(begun) < 1000
    assert set(threading.enumerate()) <= before


def test_what_is_begun_early_is_there_when_it_is_taken() -> None:
    with Ahead() as ahead:
        futures = [ahead.start(pow, number, 2) for number in range(10)]
        assert [future.result() for future in futures] == [number**2 for number in range(10)]


def test_what_nobody_took_is_dropped_and_no_thread_stays() -> None:
    before, done, go = set(threading.enumerate()), count(), threading.Event()
    opening = threading.Timer(0.01, go.set)

    def work() -> None:
        go.wait(60)
        next(done)

    with pytest.raises(RuntimeError), Ahead() as ahead:
        futures = [ahead.start(work) for _ in range(100)]
        opening.start()
        raise RuntimeError
    assert all(future.done() for future in some(futures))
    assert any(future.cancelled() for future in futures)
    assert set(threading.enumerate()) <= {*before, opening}


def test_a_value_is_worked_out_once_however_often_it_is_taken() -> None:
    calls = count()
    started, taken = Once(lambda: next(calls)), Once(lambda: threading.current_thread())
    started.start()
    started.start()
    assert each(lambda _: started.take(), range(20)) == [0] * 20
    assert taken.take() is threading.current_thread()


@pytest.mark.parametrize("early", [True, False])
def test_whoever_takes_the_value_gets_the_error(early: bool) -> None:
    def work() -> int:
        raise ValueError("no")

    value = Once(work)
    if early:
        value.start()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            value.take()
