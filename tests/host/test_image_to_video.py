"""Image-to-video models: what the injector gives them is what the stock nodes give them, at every
call of the model, and the first frame comes out as the picture's latent."""

from __future__ import annotations

import checkpoints
import pytest
import torch
from graphs import LATENT_FRAMES, LENGTH, SIZE, Builder
from pairs import BOUNDARY, CFG, HIGH_STEPS, LOW_CFG, SHIFT, Experts, Pair
from test_experts import told
from test_hold import Outcome, normalised
from test_progress import events_of

from fvg_core.bench.client import RunError

pytestmark = pytest.mark.host

FIRST, LAST = 0x20A040, 0x4060F0
BOX = {"width": SIZE, "height": SIZE, "length": LENGTH, "batch_size": 1}


@pytest.fixture
def runner(comfy, client) -> Experts:
    return Experts(comfy, client)


@pytest.fixture(scope="module")
def wan21(comfy) -> str:
    return checkpoints.write_image_to_video(comfy.output / "diffusion_models", clip_vision=True)


@pytest.fixture(scope="module")
def wan22(comfy) -> list[str]:
    """Two experts."""
    folder = comfy.output / "diffusion_models"
    return [checkpoints.write_image_to_video(folder, clip_vision=False, seed=i) for i in (0, 1)]


class Graph(Builder):
    """The tiny world's text encoder and VAE with an image-to-video model."""

    def __init__(self, checkpoint: str) -> None:
        super().__init__()
        self.world(lora=False)
        self.model = self.load(checkpoint)

    def load(self, checkpoint: str) -> list:
        return [self.add("UNETLoader", unet_name=checkpoint, weight_dtype="default"), 0]

    def picture(self, color: int = FIRST) -> list:
        return [self.add("EmptyImage", width=SIZE, height=SIZE, batch_size=1, color=color), 0]

    def stock(self, node: str = "WanImageToVideo", **pictures) -> None:
        """The stock way: the picture into the prompts."""
        prompts = {"positive": self.positive, "negative": self.negative}
        made = self.add(node, vae=self.vae, **BOX, **prompts, **pictures)
        self.positive, self.negative, self.latent = [made, 0], [made, 1], [made, 2]


def same(ours: Outcome, stock: Outcome) -> None:
    """Bit for bit what the model was given and gave; then the first frame is the picture's."""
    assert len(ours.calls) == len(stock.calls)
    for a, b in zip(ours.calls, stock.calls, strict=True):
        assert torch.equal(a["x"], b["x"])
        assert torch.equal(a["t"], b["t"])
    assert torch.equal(ours.unpinned, stock.unpinned)
    assert torch.equal(ours.final[:, :, 1:], stock.final[:, :, 1:])
    assert torch.equal(ours.final[:, :, 0], ours.clean[:, :, 0])
    assert not torch.equal(ours.final[:, :, 0], stock.final[:, :, 0])


@pytest.mark.parametrize("sampled_by_stock", [True, False])
def test_as_the_stock_node_gives_it(runner, wan22, sampled_by_stock):
    graph, stock = Graph(wan22[0]), Graph(wan22[0])
    graph.inject(image=graph.picture())
    stock.stock(start_image=stock.picture())
    ours = runner.finish(graph, stock=sampled_by_stock)
    same(ours, runner.finish(stock, stock=sampled_by_stock))
    condition = ours.calls[0]["x"][:, 16:]
    known = torch.zeros(LATENT_FRAMES)
    known[0] = 1
    assert torch.equal(condition[:, :4], known.view(1, 1, -1, 1, 1).expand_as(condition[:, :4]))
    picture = normalised(ours.clean)[:, :, 0]
    torch.testing.assert_close(condition[:, 4:, 0], picture.repeat(2, 1, 1, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("looks", [True, False])
def test_wan21_with_and_without_clip_vision(runner, wan21, looks):
    graph, stock = Graph(wan21), Graph(wan21)
    for g, way in ((graph, graph.inject), (stock, stock.stock)):
        seen = {"clip_vision_output": [g.add("FVGRandomClipVision", seed=5), 0]} if looks else {}
        way(**seen, **{"image" if way == graph.inject else "start_image": g.picture()})
    ours = runner.finish(graph)
    same(ours, runner.finish(stock))
    blind = Graph(wan21)
    blind.inject(image=blind.picture())
    assert torch.equal(runner.finish(blind).final, ours.final) != looks


@pytest.mark.parametrize("looks", [True, False])
def test_first_and_last_frame(runner, wan21, wan22, looks):
    model = wan21 if looks else wan22[0]
    graph, stock = Graph(model), Graph(model)
    see = lambda g, seed: [g.add("FVGRandomClipVision", seed=seed), 0]
    last, first = ({"clip_vision_output": see(graph, i)} if looks else {} for i in (7, 6))
    graph.inject(image=graph.picture(LAST), frame="last", **last)
    graph.inject(image=graph.picture(), latent=graph.latent, **first)
    names = ("clip_vision_start_image", "clip_vision_end_image")
    seen = {n: see(stock, i) for n, i in zip(names, (6, 7), strict=True)} if looks else {}
    pictures = {"start_image": stock.picture(), "end_image": stock.picture(LAST)}
    stock.stock("WanFirstLastFrameToVideo", **pictures, **seen)
    ours = runner.finish(graph)
    same(ours, runner.finish(stock))
    mask = ours.calls[0]["x"][0, 16:20, :, 0, 0]
    assert mask[:, 0].tolist() == [1, 1, 1, 1]
    assert mask[:, -1].tolist() == [0, 0, 0, 1]
    assert not mask[:, 1:-1].any()


def test_every_picture_of_a_batch_gets_its_videos(runner, wan22):
    alone = []
    for color in (FIRST, LAST):
        graph = Graph(wan22[0])
        graph.inject(image=graph.picture(color))
        alone.append(runner.finish(graph, cfg=1.0).calls[0]["x"][0, 16:])
    graph = Graph(wan22[0])
    both = graph.add("ImageBatch", image1=graph.picture(), image2=graph.picture(LAST))
    graph.inject(image=[both, 0], batch_size=2)
    outcome = runner.finish(graph, cfg=1.0)
    given = outcome.calls[0]["x"][:, 16:]
    assert torch.equal(given, torch.stack([alone[i] for i in (0, 0, 1, 1)]))
    assert (alone[0] - alone[1]).abs().max() > 0.1
    assert torch.equal(outcome.final[:, :, 0], outcome.clean[:, :, 0])


def test_every_video_of_a_batch_is_told_what_was_seen_in_its_own_pictures(runner, wan21):
    """Two first pictures, seen each, and one last picture of both videos."""
    graph = Graph(wan21)
    see = lambda seed, n: [graph.add("FVGRandomClipVision", seed=seed, pictures=n), 0]
    both = [graph.add("ImageBatch", image1=graph.picture(), image2=graph.picture(LAST)), 0]
    graph.inject(image=both, clip_vision_output=see(6, 2), batch_size=2)
    last = {"image": graph.picture(), "clip_vision_output": see(7, 1), "frame": "last"}
    graph.inject(**last, latent=graph.latent)
    look = runner.finish(graph, cfg=1.0).calls[0]["look"].float()
    first = torch.randn(2, 257, 1280, generator=torch.manual_seed(6)).repeat_interleave(2, dim=0)
    end = torch.randn(1, 257, 1280, generator=torch.manual_seed(7)).expand(4, -1, -1)
    torch.testing.assert_close(look, torch.cat([first, end], dim=1), rtol=0, atol=0.02)  # bf16


@pytest.mark.parametrize(
    ("way", "said"),
    [("fewer videos", "one Anchor Latent"), ("three looks", "of 3 pictures, and the image input")],
)
def test_pictures_that_are_not_of_this_batch_are_refused(runner, wan21, way, said):
    graph = Graph(wan21)
    both = [graph.add("ImageBatch", image1=graph.picture(), image2=graph.picture(LAST)), 0]
    looks = 3 if way == "three looks" else 2
    seen = [graph.add("FVGRandomClipVision", seed=6, pictures=looks), 0]
    graph.inject(image=both, clip_vision_output=seen, batch_size=1)
    if way == "fewer videos":
        one = graph.add("LatentFromBatch", samples=graph.latent, batch_index=1, length=1)
        graph.latent = [one, 0]
    with pytest.raises(RunError, match=said):
        runner.finish(graph, cfg=1.0)


def test_context_windows_take_their_part_of_the_picture(runner, wan22):
    outcomes = []
    for way in ("inject", "stock"):
        graph = Graph(wan22[0])
        graph.wrap(
            "WanContextWindowsManual", context_length=9, context_overlap=5, context_stride=1,
            context_schedule="standard_static", closed_loop=False, fuse_method="pyramid",
            freenoise=False, split_conds_to_windows=False, retain_first_frame=False,
        )  # fmt: skip
        if way == "inject":
            graph.inject(image=graph.picture())
        else:
            graph.stock(start_image=graph.picture())
        outcomes.append(runner.finish(graph))
    same(*outcomes)
    assert any(0 not in call["frames"].tolist() for call in outcomes[0].calls)


class Two(Pair):
    """Two image-to-video experts, both injected unless it is done the stock way."""

    def __init__(self, experts: list[str], way: str) -> None:
        Builder.__init__(self)
        self.world(lora=False)
        self.high, self.low = (
            [self.add("UNETLoader", unet_name=name, weight_dtype="default"), 0] for name in experts
        )
        picture = [self.add("EmptyImage", width=SIZE, height=SIZE, batch_size=1, color=FIRST), 0]
        self.low = self._shifted(self.low)
        if way == "by hand":
            self.model = self.low
            self.inject(image=picture)
            self.low = self.model
        self.model = self._shifted(self.high)
        if way == "stock":
            Graph.stock(self, start_image=picture)
        else:
            self.inject(image=picture)

    def _shifted(self, model: list) -> list:
        return [self.add("ModelSamplingSD3", model=model, shift=SHIFT), 0]


def test_two_experts_share_one_injection(runner, wan22):
    high, low = runner.pair(Two(wan22, "once"))
    assert (len(high.calls), len(low.calls)) == (HIGH_STEPS, 6 - HIGH_STEPS)
    assert min(float(c["sigma"][0]) for c in high.calls) >= BOUNDARY
    whole = Outcome(high.clean, high.final, high.unpinned, [*high.calls, *low.calls])
    stock_high, stock_low = runner.pair(Two(wan22, "stock"), Pair.sample_by_hand)
    expected = [*stock_high.calls, *stock_low.calls]
    for ours, theirs in zip(whole.calls, expected, strict=True):
        assert torch.equal(ours["x"][:, 16:], theirs["x"][:, 16:])
        torch.testing.assert_close(ours["x"], theirs["x"], rtol=0, atol=1e-4)
    later = stock_low.final[:, :, 1:]
    assert (whole.final[:, :, 1:] - later).abs().max() <= 1e-4 * later.abs().max()
    assert torch.equal(whole.final[:, :, 0], whole.clean[:, :, 0])
    assert (CFG, LOW_CFG) == (4.0, 2.0)  # which a swap of the two would not survive


def test_two_stock_samplers_by_hand(runner, wan22):
    _, low = runner.pair(Two(wan22, "by hand"), Pair.sample_by_hand)
    _, stock = runner.pair(Two(wan22, "stock"), Pair.sample_by_hand)
    assert torch.equal(low.unpinned, stock.unpinned)
    assert torch.equal(low.final[:, :, 0], low.clean[:, :, 0])


def test_the_loaded_model_stays_as_it_was(runner, wan22):
    def plain(last: int) -> torch.Tensor:
        graph = Graph(wan22[0])
        graph.latent = [graph.add("EmptyHunyuanLatentVideo", **BOX), 0]
        sampled = graph.add(
            "KSamplerAdvanced", model=graph.model, positive=graph.positive,
            negative=graph.negative, latent_image=graph.latent, add_noise="enable", noise_seed=1,
            steps=2, cfg=5.0, sampler_name="euler", scheduler="simple", start_at_step=0,
            end_at_step=last, return_with_leftover_noise="disable",
        )  # fmt: skip
        return runner.video(graph, [sampled, 0])

    before = plain(1000)
    graph = Graph(wan22[0])
    graph.inject(image=graph.picture())
    anchored = runner.video(graph, graph.sample_stock(steps=2))
    assert torch.equal(before, plain(1001))  # the same work, and not the host's cached result
    assert not torch.equal(before, anchored)


@pytest.mark.parametrize("looks", [True, False])
def test_a_wan21_that_does_not_look_gets_a_warning(runner, wan21, looks):
    graph = Graph(wan21)
    seen = {"clip_vision_output": [graph.add("FVGRandomClipVision", seed=8), 0]} if looks else {}
    graph.inject(image=graph.picture(0x777777), **seen)
    graph.save(graph.latent, runner.name())
    said = [text for event in events_of(runner.client, graph) if (text := told(event))]
    assert any("nothing is connected to clip_vision_output" in text for text in said) != looks


def refused(runner, graph: Graph, what: list) -> str:
    graph.save(what, "must-not-exist")
    with pytest.raises(RunError) as raised:
        runner.run(graph)
    return str(raised.value)


def test_what_cannot_be_given_is_refused(runner, wan22):
    graph = Graph(wan22[0])
    encoded = [graph.add("VAEEncode", pixels=graph.picture(), vae=graph.vae), 0]
    graph.inject(anchor_latent=encoded)
    assert "takes the picture itself. Connect an image" in refused(runner, graph, graph.latent)
    graph = Graph(wan22[0])
    graph.inject(image=graph.picture(), anchor_noise=0.2)
    said = refused(runner, graph, graph.latent)
    assert "anchor_noise is 0.2" in said
    assert "Set it to 0" in said


def test_the_model_and_the_latent_go_together(runner, wan22):
    graph = Graph(wan22[0])
    plain = graph.model
    graph.inject(image=graph.picture())
    graph.model = plain
    said = refused(runner, graph, graph.sample())
    assert "Connect the model output of the Anchor Latent Injector" in said
    graph = Graph(wan22[0])
    plain = graph.model
    graph.inject(image=graph.picture(), frame="last")
    graph.model = plain
    graph.inject(image=graph.picture(), latent=graph.latent)
    said = refused(runner, graph, graph.latent)
    assert "carries its pictures in the MODEL" in said
