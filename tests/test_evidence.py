"""What one camera has shown lately makes doubtful looks less doubtful, and adds nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evidence import CLASS_S, HOLD_S, NOW, Memory

STEP_NS = 33_333_333


def a_look(x: float, scores: list[float], side: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    return np.array([[x, 20, side, side]], np.float32), np.array([scores], np.float32)


def logit(p: np.ndarray | float) -> np.ndarray:
    odds = np.asarray(p, float) / (1 - np.asarray(p, float))
    return np.asarray(np.log(odds))


def test_the_first_look_is_what_the_network_says() -> None:
    boxes, scores = a_look(5, [0.3, 0.7, 0.1, 0.2])
    out_boxes, out_scores = Memory().fold(7, boxes, scores)
    np.testing.assert_allclose(out_boxes, boxes, rtol=1e-5)
    np.testing.assert_allclose(out_scores, scores, rtol=1e-5)


def test_a_class_doubted_in_one_look_of_many_stays() -> None:
    memory = Memory()
    for k in range(30):
        _, scores = memory.fold(k * STEP_NS, *a_look(5 + k, [0.9, 0.1, 0.05, 0.05]))
    _, scores = memory.fold(30 * STEP_NS, *a_look(35, [0.2, 0.8, 0.05, 0.05]))
    assert scores[0].argmax() == 0
    # And the weights are those written down: a plain mean until it forgets, and the frame itself once more.
    fresh = max(1 - np.exp(-STEP_NS * 1e-9 / CLASS_S), 1 / 31)
    mean = (1 - fresh) * logit(0.9) + fresh * logit(0.2)
    np.testing.assert_allclose(logit(scores[0, 0]), NOW * logit(0.2) + (1 - NOW) * mean, rtol=1e-3)


@pytest.mark.parametrize("rate", [5, 30, 120])
def test_a_lasting_change_is_believed_within_seconds_whatever_the_frame_rate(rate: int) -> None:
    memory = Memory()
    for k in range(2 * rate):
        memory.fold(round(k * 1e9 / rate), *a_look(5, [0.9, 0.1, 0.05, 0.05]))
    named = []
    for k in range(2 * rate, 4 * rate):
        _, scores = memory.fold(round(k * 1e9 / rate), *a_look(5, [0.1, 0.9, 0.05, 0.05]))
        named.append(int(scores[0].argmax()))
    changed = named.index(1) / rate
    assert 0.2 < changed < 1.0
    assert named[-1] == 1


def test_sizes_calm_down_and_places_do_not_lag() -> None:
    memory, random = Memory(), np.random.default_rng(1)
    sizes = []
    for k in range(90):
        side = float(10 * np.exp(random.normal(0, 0.3)))
        box = np.array([[50 + 2 * k - side / 2, 20 - side / 2, side, side]], np.float32)
        out, _ = memory.fold(k * STEP_NS, box, np.full((1, 4), 0.5, np.float32))
        np.testing.assert_allclose(out[0, :2] + out[0, 2:] / 2, [50 + 2 * k, 20], atol=1e-3)
        sizes.append(np.log(out[0, 2]))
    assert np.std(sizes[20:]) < 0.12


def test_two_things_keep_their_own_classes_and_a_forgotten_one_begins_anew() -> None:
    memory = Memory()
    left, right = [0.9, 0.1, 0.1, 0.1], [0.1, 0.1, 0.9, 0.1]
    for k in range(20):
        boxes = np.array([[10 + k, 20, 10, 10], [60 - k, 20, 10, 10]], np.float32)
        out, scores = memory.fold(k * STEP_NS, boxes, np.array([left, right], np.float32))
        assert scores[out[:, 0].argsort()].argmax(1).tolist() == [0, 2]
    late = 20 * STEP_NS + round((HOLD_S + 0.1) * 1e9)
    _, scores = memory.fold(late, *a_look(29, [0.1, 0.6, 0.1, 0.1]))
    np.testing.assert_allclose(scores[0], [0.1, 0.6, 0.1, 0.1], rtol=1e-5)


def test_a_source_that_begins_anew_is_not_what_it_was() -> None:
    memory = Memory()
    for k in range(10):
        memory.fold(10**15 + k * STEP_NS, *a_look(5, [0.9, 0.1, 0.1, 0.1]))
    _, scores = memory.fold(10**15, *a_look(5, [0.1, 0.6, 0.1, 0.1]))
    np.testing.assert_allclose(scores[0], [0.1, 0.6, 0.1, 0.1], rtol=1e-5)


places = st.lists(st.tuples(st.floats(-5, 90), st.floats(-5, 90), st.floats(0, 40), st.floats(0, 40)), max_size=6)


@given(st.lists(places, min_size=1, max_size=5), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_nothing_is_added_lost_or_moved(frames: list[list[tuple[float, ...]]], seed: int) -> None:
    memory, random = Memory(), np.random.default_rng(seed)
    for k, rows in enumerate(frames):
        boxes = np.array(rows, np.float32).reshape(-1, 4)
        scores = random.uniform(0, 1, (len(boxes), 4)).astype(np.float32)
        out, given_scores = memory.fold(k * STEP_NS, boxes, scores)
        assert np.isfinite(out).all()
        assert ((given_scores >= 0) & (given_scores <= 1)).all()
        assert (np.diff(given_scores.max(1, initial=0.0)) <= 0).all()
        before, after = (np.sort(b[:, :2] + b[:, 2:] / 2, axis=0) for b in (boxes, out))
        np.testing.assert_allclose(before, after, atol=0.02)
