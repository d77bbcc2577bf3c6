"""The clip and the mask of an image-to-video model, by hand."""

import torch

from fvg_core.image_condition import gray_clip, unknown_frames


def test_gray_but_for_the_pictures():
    first, last = torch.rand(2, 4, 6, 3)
    clip = gray_clip({0: first, 8: last}, 9)
    assert torch.equal(clip[0], first)
    assert torch.equal(clip[8], last)
    assert (clip[1:8] == 0.5).all()


def test_the_mask_has_a_slot_for_every_pixel_frame_of_a_latent_one():
    mask = unknown_frames([0, 5, 8], 9, 4)[0, :, :, 0, 0]
    # Pixel frame 0 fills latent frame 0; 1 to 4 are latent frame 1, 5 to 8 latent frame 2.
    assert mask.T.tolist() == [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0]]
    assert unknown_frames([4], 5, 4)[0, :, :, 0, 0].T.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
