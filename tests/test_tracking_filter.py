"""The filter's parts against independent oracles: filterpy, scipy, brute force, and the identities of their theory."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import scipy.linalg
from filterpy.kalman import KalmanFilter
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracking import assignment, elementary, existence, kalman
from tracking.existence import Existence
from tracking.kalman import Gaussian

seconds = st.floats(1e-4, 10.0)
positive = st.floats(1e-2, 1e3)
place = st.floats(-1e4, 1e4)


def one(value: float, rate: float, p: float, c: float, v: float) -> Gaussian:
    return Gaussian(*(np.array([[x]]) for x in (value, rate, p, c, v)))


def matrix(state: Gaussian) -> np.ndarray:
    p, c, v = (float(x[0, 0]) for x in (state.var_value, state.cov, state.var_rate))
    return np.array([[p, c], [c, v]])


def test_agrees_with_filterpy_over_irregular_frames_and_misses() -> None:
    random = np.random.default_rng(4)
    q, r = np.array([[37.0]]), 2.5
    ours = one(3.0, 0.0, r, 0.0, 900.0)
    theirs = KalmanFilter(dim_x=2, dim_z=1)
    theirs.x, theirs.P = np.array([[3.0], [0.0]]), matrix(ours)
    theirs.H, theirs.R = np.array([[1.0, 0.0]]), np.array([[r]])
    for _ in range(300):
        dt, z, seen = random.exponential(0.05), random.normal(5.0, 20.0), bool(random.random() < 0.8)
        theirs.F = np.array([[1.0, dt], [0.0, 1.0]])
        theirs.Q = q[0, 0] * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        theirs.predict()
        theirs.update(z if seen else None)
        ours = kalman.update(kalman.predict(ours, dt, q), np.array([[z]]), r, np.array([seen]))
        assert [ours.value[0, 0], ours.rate[0, 0]] == pytest.approx(theirs.x.ravel().tolist(), rel=1e-9, abs=1e-9)
        assert matrix(ours).ravel().tolist() == pytest.approx(theirs.P.ravel().tolist(), rel=1e-9, abs=1e-9)


@given(a=seconds, b=seconds, density=positive)
def test_noise_of_two_steps_is_the_noise_of_one(a: float, b: float, density: float) -> None:
    """Q(a + b) = F(b) Q(a) F(b)ᵀ + Q(b), and the same for any state."""
    q = np.array([[density]])
    start = one(1.0, -2.0, 3.0, 0.5, 4.0)
    twice = kalman.predict(kalman.predict(start, a, q), b, q)
    once = kalman.predict(start, a + b, q)
    for got, want in zip(twice, once, strict=True):
        assert got == pytest.approx(want, rel=1e-9)
    noise = matrix(kalman.predict(one(0.0, 0.0, 0.0, 0.0, 0.0), a, q))
    step = np.array([[1.0, b], [0.0, 1.0]])
    sum_of_both = step @ noise @ step.T + matrix(kalman.predict(one(0.0, 0.0, 0.0, 0.0, 0.0), b, q))
    assert sum_of_both == pytest.approx(matrix(kalman.predict(one(0.0, 0.0, 0.0, 0.0, 0.0), a + b, q)), rel=1e-9)


@given(steps=st.lists(st.tuples(seconds, place, st.booleans()), max_size=60), q=positive, r=positive, speed=positive)
def test_covariance_stays_positive(steps: list[tuple[float, float, bool]], q: float, r: float, speed: float) -> None:
    density = np.array([[q]])
    state = one(0.0, 0.0, r, 0.0, speed * speed)
    for dt, z, seen in steps:
        state = kalman.update(kalman.predict(state, dt, density), np.array([[z]]), r, np.array([seen]))
        low, high = np.linalg.eigvalsh(matrix(state))
        assert np.isfinite([low, high, state.value[0, 0], state.rate[0, 0]]).all()
        assert low >= -1e-9 * (low + high)


def test_an_axis_without_a_rate_wanders() -> None:
    """Each axis as if it were alone; the variance of a random walk grows with time, and its value stays."""
    both = Gaussian(*(np.array(rows) for rows in ([[5.0], [3.0]], [[2.0]], [[1.0], [4.0]], [[0.5]], [[0.25]])))
    q, r = np.array([[7.0], [0.5]]), np.array([[2.0], [4.0]])
    moving = kalman.predict(one(5.0, 2.0, 1.0, 0.5, 0.25), 3.0, q[:1])
    later = kalman.predict(both, 3.0, q)
    assert (later.value[1, 0], later.var_value[1, 0]) == (3.0, 4.0 + 0.5 * 3.0)
    assert [a[0, 0] for a in later] == [a[0, 0] for a in moving]
    measured = kalman.update(later, np.array([[9.0], [7.0]]), r)
    assert (measured.value[1, 0], measured.var_value[1, 0]) == pytest.approx((3.0 + 4.0 * 5.5 / 9.5, 5.5 * 4.0 / 9.5))


@given(st.floats(-700.0, 700.0))
def test_exp(x: float) -> None:
    assert elementary.exp(x) == pytest.approx(float(np.exp(x)), rel=1e-13)


@given(st.floats(1e-300, 1e300))
def test_log(x: float) -> None:
    assert elementary.log(np.array([x]))[0] == pytest.approx(float(np.log(x)), rel=1e-12, abs=1e-12)


@given(a=seconds, b=seconds, visible=st.floats(0, 1), share=st.floats(0, 1), times=st.tuples(*[st.floats(0.1, 60)] * 3))
def test_existence_follows_its_markov_chain(
    a: float, b: float, visible: float, share: float, times: tuple[float, float, float]
) -> None:
    """Against the matrix exponential of the chain's generator; two short times equal one long one."""
    visible_s, hidden_s, survival_s = times
    start = np.array([visible, (1.0 - visible) * share])
    hide, show, leave = 1.0 / visible_s, 1.0 / hidden_s, 1.0 / survival_s
    generator = np.array([[-hide - leave, show], [hide, -show - leave]])

    def later(belief: Existence, dt: float) -> Existence:
        return existence.predict(belief, dt, visible_s=visible_s, hidden_s=hidden_s, survival_s=survival_s)

    belief = Existence(start[:1], start[1:])
    want = scipy.linalg.expm(generator * (a + b)) @ start
    for got in (later(belief, a + b), later(later(belief, a), b)):
        assert [got.visible[0], got.hidden[0]] == pytest.approx(want.tolist(), rel=1e-8, abs=1e-12)


@given(visible=st.floats(0.01, 0.9), hidden=st.floats(0, 0.09), p=st.floats(0.01, 0.99), ratio=st.floats(1.01, 1e6))
def test_a_detection_raises_existence_and_a_miss_lowers_it(
    visible: float, hidden: float, p: float, ratio: float
) -> None:
    belief = Existence(np.array([visible]), np.array([hidden]))
    seen = existence.after_look(belief, np.array([p]), np.array([ratio]))
    missed = existence.after_look(belief, np.array([p]), np.array([0.0]))
    outside = existence.after_look(belief, np.array([0.0]), np.array([0.0]))
    assert missed.total[0] < belief.total[0] < seen.total[0] <= 1.0
    assert outside.total[0] == pytest.approx(belief.total[0])


def best_by_trial(gain: np.ndarray) -> float:
    """Greatest product over all matchings of a small matrix whose zeros are no pairs."""
    rows, columns = gain.shape
    padded = np.concatenate([np.where(gain > 0, gain, 1.0), np.ones((rows, rows))], axis=1)
    return max(float(np.prod(padded[range(rows), p])) for p in permutations(range(columns + rows), rows))


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 3)), elements=st.sampled_from([0.0, 1.5, 4, 9, 80]))
)
def test_assignment_is_the_best_of_all(gain: np.ndarray) -> None:
    i, j = np.nonzero(gain)
    taken = assignment.assign(i, j, gain[i, j])
    assert len(set(i[taken].tolist())) == len(set(j[taken].tolist())) == int(taken.sum())
    assert float(np.prod(gain[i, j][taken])) == pytest.approx(best_by_trial(gain))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_gate_finds_all_pairs_and_no_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    tracks, looks = random.integers(0, 30, 2)
    value, measured = random.uniform(0, 100, (4, tracks)), random.uniform(0, 100, (4, looks))
    variance = random.uniform(1, 400, (4, tracks))
    i, j, distance = assignment.gated_pairs(value, variance, measured, 25.0)
    every = ((measured[:, None, :] - value[:, :, None]) ** 2 / variance[:, :, None]).sum(axis=0)
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == list(
        zip(*(x.tolist() for x in np.nonzero(every <= 25.0)), strict=True)
    )
    assert distance == pytest.approx(every[i, j])
