"""Anchors: Algorithm 1 as a literal loop, shapes, windows, stacks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fvg_core.anchor import AnchorPlan, frame_sigmas, hand_over, hold_x0, hybrid, pin
from fvg_core.errors import AnchorError
from fvg_core.flow import add_noise

SHAPES = st.tuples(*(st.integers(1, 3),) * 2, st.integers(2, 5), *(st.integers(1, 3),) * 2)
SEEDS = st.integers(0, 2**32 - 1)


def normal(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def algorithm_1(z0, k, t, eps):
    """Lines 2 and 5-14 of the paper's Algorithm 1 for one video. z0, eps: [T, C, H, W]."""
    z_a = z0[k]
    z_t, t_vec = torch.empty_like(z0), torch.empty(len(z0))
    for j in range(len(z0)):
        if j == k:
            z_t[j] = z_a
            t_vec[j] = 0
        else:
            z_t[j] = (1 - t) * z0[j] + t * eps[j]
            t_vec[j] = t
    return z_t, t_vec


@given(SHAPES, SEEDS, st.data())
def test_algorithm_1(shape, seed, data):
    b, _, f, h, w = shape
    ks = data.draw(st.lists(st.integers(0, f - 1), min_size=b, max_size=b))
    z0, eps = normal((2, *shape), seed)
    t = torch.rand(b, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(b, 1, f, h, w)
    for i, k in enumerate(ks):
        mask[i, :, k] = 0
    plan = AnchorPlan(z0, mask)

    z_t, t_vec = hybrid(plan, add_noise(z0, eps, t)), frame_sigmas(plan, t)

    for i, k in enumerate(ks):
        expected_z, expected_t = algorithm_1(z0[i].movedim(1, 0), k, t[i], eps[i].movedim(1, 0))
        torch.testing.assert_close(z_t[i].movedim(1, 0), expected_z)
        assert torch.equal(t_vec[i], expected_t)
        assert torch.equal(z_t[i, :, k], z0[i, :, k])


@given(SHAPES, SEEDS, st.floats(0.05, 0.95), st.floats(0.05, 1))
def test_a_softened_anchor_stands_at_its_share_of_sigma(shape, seed, noise, sigma):
    z0, eps = normal((2, *shape), seed)
    plan = AnchorPlan.empty(*shape).with_anchor(0, z0[:, :, :1], noise)
    s = torch.full((shape[0],), sigma)
    sigmas = frame_sigmas(plan, s)
    torch.testing.assert_close(sigmas[:, 0], s * noise)
    assert torch.equal(sigmas[:, 1:], s[:, None].expand(-1, shape[2] - 1))
    # Its latent is what the forward process gives at that sigma.
    given_x = hybrid(plan, add_noise(z0, eps, s))
    expected = (1 - noise * sigma) * z0[:, :, 0] + noise * sigma * eps[:, :, 0]
    torch.testing.assert_close(given_x[:, :, 0], expected, rtol=1e-4, atol=1e-5)


@given(SHAPES, SEEDS)
def test_without_anchors_every_function_is_the_identity(shape, seed):
    x, given_x = normal((2, *shape), seed)
    plan = AnchorPlan.empty(*shape)
    assert torch.equal(hybrid(plan, x), x)
    assert torch.equal(hold_x0(plan, given_x, x), x)
    assert torch.equal(pin(plan, x), x)
    sigma = torch.rand(shape[0])
    assert torch.equal(frame_sigmas(plan, sigma), sigma[:, None].expand(-1, shape[2]))


@given(SHAPES, SEEDS, st.data())
def test_an_anchor_is_exact_at_its_frame_and_leaves_the_others(shape, seed, data):
    frame = data.draw(st.integers(-shape[2], shape[2] - 1))
    x, x0, z = normal((3, *shape), seed)
    z = z[:, :, :1] * 100
    plan = AnchorPlan.empty(*shape).with_anchor(frame, z)
    at = frame % shape[2]
    rest = [f for f in range(shape[2]) if f != at]
    for out, inside in ((hybrid(plan, x), x), (hold_x0(plan, hybrid(plan, x), x0), x0)):
        assert torch.equal(out[:, :, at], z[:, :, 0])
        assert torch.equal(out[:, :, rest], inside[:, :, rest])
    assert torch.equal(pin(plan, x)[:, :, at], z[:, :, 0])
    assert torch.equal(pin(plan, x)[:, :, rest], x[:, :, rest])


def test_pin_leaves_a_softened_anchor_as_it_was_sampled():
    x = normal((1, 2, 3, 2, 2), 0)
    plan = AnchorPlan.empty(1, 2, 3, 2, 2).with_anchor(1, torch.ones(1, 2, 1, 2, 2), noise=0.2)
    assert torch.equal(pin(plan, x), x)


def test_a_new_anchor_makes_a_new_plan():
    old = AnchorPlan.empty(2, 3, 4, 2, 2).with_anchor(0, torch.ones(1, 3, 1, 2, 2))
    clean, mask = old.clean.clone(), old.mask.clone()
    new = old.with_anchor(-1, torch.full((1, 3, 1, 2, 2), 7.0), noise=0.5)
    assert torch.equal(old.clean, clean)
    assert torch.equal(old.mask, mask)
    assert (new.clean[:, :, 3] == 7).all()
    assert (new.mask[:, :, 3] == 0.5).all()
    assert torch.equal(new.clean[:, :, :3], clean[:, :, :3])
    with pytest.raises(AttributeError):
        old.mask = mask


def test_one_latent_serves_a_batch_and_a_batch_serves_itself():
    one, many = normal((1, 2, 1, 2, 2), 0), normal((3, 2, 1, 2, 2), 1)
    plan = AnchorPlan.empty(3, 2, 2, 2, 2)
    assert torch.equal(plan.with_anchor(0, one).clean[:, :, :1], one.expand(3, -1, -1, -1, -1))
    assert torch.equal(plan.with_anchor(0, many).clean[:, :, :1], many)


def test_tiles_stack_whole_batches():
    # Guidance concatenates [conditional batch, unconditional batch]: a b a b, not a a b b.
    plan = AnchorPlan.empty(2, 1, 2, 1, 1).with_anchor(
        0, torch.tensor([1.0, 2.0]).view(2, 1, 1, 1, 1)
    )
    tiled = plan.tile(3)
    assert tiled.clean[:, 0, 0, 0, 0].tolist() == [1, 2, 1, 2, 1, 2]
    assert tiled.mask.shape == (6, 1, 2, 1, 1)
    assert torch.equal(plan.tile(2).clean, torch.cat([plan.clean] * 2))


def test_rows_without_anchors_are_what_they_would_be_in_an_empty_plan():
    z, x = normal((2, 3, 2, 4, 2, 2), 0)
    plan = AnchorPlan.empty(3, 2, 4, 2, 2).with_anchor(0, z[:, :, :1]).with_anchor(2, z[:, :, :1])
    some = plan.without(torch.tensor([False, True, False]))
    t = torch.tensor([0.3, 0.5, 0.7])
    assert torch.equal(hybrid(some, x)[1], x[1])
    assert frame_sigmas(some, t)[1].tolist() == [0.5] * 4
    for whole, part in ((hybrid(plan, x), hybrid(some, x)), (plan.mask, some.mask)):
        assert torch.equal(whole[[0, 2]], part[[0, 2]])
    assert (plan.mask[:, :, [0, 2]] == 0).all()


@given(SHAPES, SEEDS, st.floats(0, 0.95), st.floats(0.05, 1))
def test_a_model_that_knows_the_clip_is_heard_in_rows_without_anchors(shape, seed, noise, sigma):
    """Its velocity leads from any noise to the clip; every row's x0 must then be the clip, whether
    it was shown the anchor, softened or clean, or not."""
    z0, eps = normal((2, *shape), seed)
    plan = AnchorPlan.empty(*shape).with_anchor(0, z0[:, :, :1], noise)
    unshown = torch.arange(shape[0]) % 2 == 0
    s = torch.full((shape[0],), sigma)
    x = add_noise(z0, eps, s)
    given_x = hybrid(plan.without(unshown), x)
    v = eps - z0
    v[~unshown, :, 0] *= noise > 0  # at a clean frame there is no noise to lead away from
    x0 = given_x - sigma * v
    held = plan.held(unshown)
    torch.testing.assert_close(hold_x0(held, hybrid(held, x), x0), z0, rtol=1e-4, atol=1e-5)
    assert torch.equal(held.mask[~unshown], plan.mask[~unshown])
    assert torch.equal(held.mask == 0, plan.mask == 0)


def test_to_follows_another_tensor():
    plan = AnchorPlan.empty(1, 1, 2, 1, 1).to(torch.zeros(1, dtype=torch.float64))
    assert plan.clean.dtype == plan.mask.dtype == torch.float64


@pytest.mark.parametrize(
    "shape",
    [
        (1, 4, 1, 8, 8),  # channels
        (1, 16, 2, 8, 8),  # frames
        (1, 16, 1, 8, 4),  # width
        (2, 16, 1, 8, 8),  # batch
        (16, 1, 8, 8),  # a picture's latent
    ],
)
def test_a_latent_of_another_shape_is_refused_with_the_shape_that_fits(shape):
    plan = AnchorPlan.empty(3, 16, 5, 8, 8)
    with pytest.raises(AnchorError) as raised:
        plan.with_anchor(0, torch.zeros(shape))
    assert str(list(shape)) in str(raised.value)
    assert "[1 or 3, 16, 1, 8, 8]" in str(raised.value)


@pytest.mark.parametrize("frame", [5, -6])
def test_a_frame_outside_is_refused(frame):
    with pytest.raises(AnchorError, match=rf"latent frame {frame} .* 5 latent frames"):
        AnchorPlan.empty(1, 2, 5, 2, 2).with_anchor(frame, torch.zeros(1, 2, 1, 2, 2))


@pytest.mark.parametrize("noise", [-0.1, 1.0, 2.0, float("nan")])
def test_noise_outside_its_range_is_refused(noise):
    with pytest.raises(AnchorError, match="at least 0 and below 1"):
        AnchorPlan.empty(1, 2, 5, 2, 2).with_anchor(0, torch.zeros(1, 2, 1, 2, 2), noise)


@pytest.mark.parametrize(
    ("clean", "mask"),
    [
        ((2, 3, 4, 5, 6), (2, 3, 4, 5, 6)),
        ((2, 3, 4, 5, 6), (1, 1, 4, 5, 6)),
        ((2, 3, 4, 5, 6), (2, 1, 5, 5, 6)),
        ((3, 4, 5, 6), (3, 1, 5, 6)),
    ],
)
def test_a_plan_of_two_shapes_is_refused(clean, mask):
    with pytest.raises(AnchorError, match=r"clean \[B, C, F, H, W\] and mask \[B, 1, F, H, W\]"):
        AnchorPlan(torch.zeros(clean), torch.zeros(mask))


@given(SHAPES, SEEDS)
def test_a_half_sampled_latent_is_handed_over_with_clean_anchors(shape, seed):
    z, x = normal((2, *shape), seed)
    plan = AnchorPlan.empty(*shape).with_anchor(0, z[:, :, :1]).with_anchor(-1, z[:, :, -1:], 0.3)
    out = hand_over(plan, x)
    assert torch.equal(out[:, :, 0], z[:, :, 0])
    assert torch.equal(out[:, :, -1], z[:, :, -1])  # softened: its clean latent is needed too
    assert torch.equal(out[:, :, 1:-1], x[:, :, 1:-1])
