"""Losses against numbers worked out by hand, in half precision, and where candidates tie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from torch import Tensor

torch: Any = pytest.importorskip("torch", reason="losses need the extra train")

from coterie.training.losses import PAIR_LOSSES, Target, bce, instructgpt, simcls, summareranker  # noqa: E402

LOG_2 = math.log(2)
INFINITY = math.inf


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def tensor(*rows: object) -> Tensor:
    made: Tensor = torch.tensor(rows, dtype=torch.float64)
    return made


def loss(name: Any, scores: object, quality: object, **more: Any) -> list[float]:
    """By pair, of scores and qualities [pairs, 2, tasks]."""
    target = Target(torch.tensor(quality, dtype=torch.float32), **more)
    found: list[float] = PAIR_LOSSES[name](torch.tensor(scores, dtype=torch.float32), target).tolist()
    return found


# ---- pairs --------------------------------------------------------------------------------------


def test_instructgpt_by_hand() -> None:
    scores = [[[2.0], [0.5]], [[2.0], [0.5]], [[2.0], [0.5]]]
    quality = [[[1.0], [0.0]], [[-3.0], [0.2]], [[0.3], [0.3]]]
    assert loss("instructgpt", scores, quality) == pytest.approx([-log_sigmoid(1.5), -log_sigmoid(-1.5), LOG_2])


def test_several_tasks_are_averaged() -> None:
    scores, quality = [[[2.0, 1.0], [0.0, 4.0]]], [[[1.0, 1.0], [0.0, 0.0]]]
    assert loss("instructgpt", scores, quality) == pytest.approx([-(log_sigmoid(2.0) + log_sigmoid(-3.0)) / 2])


def test_bce_by_hand() -> None:
    found = loss("BCE", [[[2.0], [0.5]]], [[[1.0], [0.0]]])
    assert found == pytest.approx([-(log_sigmoid(2.0) + log_sigmoid(-0.5)) / 2])


def test_mse_by_hand() -> None:
    # (1 - 3)^2 + (0.5 - 1)^2 - 2 (1 - 0.5) (3 - 1) = 4 + 0.25 - 2
    assert loss("MSE", [[[1.0], [0.5]]], [[[3.0], [1.0]]]) == pytest.approx([2.25])


def test_open_instruct_bce_by_hand() -> None:
    found = loss("open_instruct_BCE", [[[2.0], [0.5]]], [[[1.0], [0.0]]])
    assert found == pytest.approx([-(log_sigmoid(2.0) + log_sigmoid(-0.5)) / 2])


@pytest.mark.parametrize("name", ["instructgpt", "BCE"])
def test_a_tie_has_no_gradient(name: Any) -> None:
    scores = torch.randn(3, 2, 2, requires_grad=True)
    quality = torch.tensor([[[1.0, 0.0], [1.0, 2.0]]] * 3)  # tied in the first task alone
    whole: Any = PAIR_LOSSES[name](scores, Target(quality)).sum()
    whole.backward()
    assert scores.grad is not None
    assert torch.count_nonzero(scores.grad[..., 0]) == 0
    assert torch.count_nonzero(scores.grad[..., 1]) == 6


@pytest.mark.parametrize("name", list(PAIR_LOSSES))
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_finite_however_far_apart_scores_are(name: Any, dtype: Any) -> None:
    scores = torch.tensor([[[-300.0], [300.0]], [[300.0], [-300.0]]], dtype=dtype, requires_grad=True)
    found: Any = PAIR_LOSSES[name](scores, Target(torch.tensor([[[1.0], [0.0]]] * 2, dtype=dtype)))
    found.sum().backward()
    assert found.dtype is torch.float32
    assert torch.isfinite(found).all()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_instructgpt_costs_what_it_should_where_a_sigmoid_would_be_zero() -> None:
    scores = torch.tensor([[[-60.0], [60.0]]], dtype=torch.float16)
    assert instructgpt(scores, Target(torch.tensor([[[1.0], [0.0]]]))).item() == pytest.approx(120.0)


def test_label_smoothing_mixes_in_the_other_label() -> None:
    scores, quality = [[[2.0], [0.5]]], [[[1.0], [0.0]]]
    assert loss("instructgpt", scores, quality, smoothing=0.1) == pytest.approx(
        [-(0.9 * log_sigmoid(1.5) + 0.1 * log_sigmoid(-1.5))]
    )
    right, wrong = loss("BCE", scores, quality), loss("BCE", scores, [[[0.0], [1.0]]])
    assert loss("BCE", scores, quality, smoothing=0.1) == pytest.approx([0.9 * right[0] + 0.1 * wrong[0]])


def test_an_offset_is_known_before_anything_is_read() -> None:
    found = loss("instructgpt", [[[1.0], [0.0]]], [[[1.0], [0.0]]], offset=torch.tensor([2.0]))
    assert found == pytest.approx([-log_sigmoid(3.0)])


PAIR = st.tuples(*[st.floats(-20, 20, width=32)] * 2)


@settings(max_examples=50)
@given(scores=PAIR, quality=PAIR, name=st.sampled_from(["instructgpt", "BCE", "MSE", "open_instruct_BCE"]))
def test_which_candidate_stands_left_does_not_matter(
    scores: tuple[float, float], quality: tuple[float, float], name: str
) -> None:
    there = loss(name, [[[s] for s in scores]], [[[q] for q in quality]])
    back = loss(name, [[[s] for s in scores[::-1]]], [[[q] for q in quality[::-1]]])
    assert there == pytest.approx(back, rel=1e-5, abs=1e-5)


# ---- lists --------------------------------------------------------------------------------------


def test_simcls_by_hand() -> None:
    scores = tensor([[0.7], [0.5], [0.1], [0.4]])
    target = Target(tensor([[2.0], [3.0], [1.0], [INFINITY]]))
    # In the order of quality: 0.5, 0.7, 0.1. The reference scores 0.4.
    pairs = (0.7 - 0.5 + 1 / 3) + (0.1 - 0.5 + 2 / 3) + 0
    assert simcls(scores, target).tolist() == pytest.approx([pairs + (0.1 + 0.3 + 0) / 3])


def test_simcls_without_a_reference_and_with_padding() -> None:
    scores = tensor([[0.7], [0.5], [9.0]], [[0.7], [0.5], [0.6]])
    quality = tensor([[2.0], [3.0], [0.0]], [[2.0], [3.0], [1.0]])
    present = torch.tensor([[True, True, False], [True, True, True]])
    found = simcls(scores, Target(quality, present)).tolist()
    assert found[0] == pytest.approx(0.7 - 0.5 + 1 / 2)
    assert found[1] == pytest.approx((0.7 - 0.5 + 1 / 3) + (0.6 - 0.5 + 2 / 3) + (0.6 - 0.7 + 1 / 3))


def test_simcls_does_not_tell_equal_candidates_apart() -> None:
    scores = torch.tensor([[[0.1], [0.9]]], requires_grad=True)
    found: Any = simcls(scores, Target(torch.ones(1, 2, 1)))
    found.sum().backward()
    assert found.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_simcls_sums_the_tasks() -> None:
    scores = tensor([[0.1], [0.9]])
    apart = simcls(scores, Target(tensor([[2.0, 0.0], [0.0, 1.0]])))  # 2 above 1
    assert apart.item() == pytest.approx(0.9 - 0.1 + 1 / 2)


def test_summareranker_by_hand() -> None:
    scores = tensor([[2.0, -1.0], [0.5, 1.0], [7.0, 7.0]])
    target = Target(tensor([[3.0, 0.0], [1.0, 0.0], [9.0, 9.0]]), torch.tensor([[True, True, False]]))
    # Best by the first task: the first. By the second both are.
    wanted = -(log_sigmoid(2.0) + log_sigmoid(-0.5) + log_sigmoid(-1.0) + log_sigmoid(1.0)) / 4
    assert summareranker(scores, target).tolist() == pytest.approx([wanted])


def test_bce_of_equal_scores_is_log_2_until_labels_decide() -> None:
    quality = torch.tensor([[[1.0], [0.0]], [[1.0], [1.0]]])
    assert bce(torch.zeros(2, 2, 1), Target(quality)).tolist() == pytest.approx([LOG_2, 0.0])
