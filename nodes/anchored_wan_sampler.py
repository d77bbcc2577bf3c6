"""Anchored Wan Sampler (paper, section 4.2, Eq. 4; 15 steps: section 5.3)."""

from __future__ import annotations

from comfy_api.latest import io

from ..fvg_core.guidance import GuidanceInterval
from . import host


class AnchoredWanSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGAnchoredWanSampler",
            display_name="Anchored Wan Sampler",
            category="FVG",
            description="Samples a video around its anchors, 15 steps by default. Without anchors "
            "it is a plain text-to-video sampler.",
            search_aliases=["KSampler", "wan sampler", "image to video"],
            inputs=[
                io.Model.Input("model", tooltip="From the Anchor Latent Injector."),
                io.Conditioning.Input("positive", tooltip="The video prompt, encoded."),
                io.Conditioning.Input("negative", tooltip="What to avoid, encoded."),
                io.Latent.Input("latent", tooltip="From the Anchor Latent Injector."),
                host.seed_input(
                    "The same seed and settings give the same video.",
                    after=io.ControlAfterGenerate.randomize,
                ),
                io.Int.Input(
                    "steps",
                    default=15,
                    min=1,
                    max=1000,
                    tooltip="15 with an anchor lose nothing against 50 (paper, section 5.3, shown "
                    "for Wan 2.2 5B). Plain text-to-video wants 40 to 50.",
                ),
                io.Float.Input(
                    "cfg",
                    default=5.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Guidance scale. Wan: 5 for 14B and 5B, 6 for 1.3B, 3 to 4 for A14B.",
                ),
                io.Float.Input(
                    "guidance_start",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Guide from this part of the schedule on. 0: from the first step.",
                ),
                io.Float.Input(
                    "guidance_end",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Guide up to this part. Below 1 the last steps cost half.",
                ),
                *host.solver_inputs("uni_pc", "Wan's own default is UniPC.", "video"),
                io.Float.Input(
                    "shift",
                    default=5.0,
                    min=0.01,
                    max=100.0,
                    step=0.1,
                    tooltip="Above 1 spends more steps near noise. Wan: 5 for 14B and 5B, 8 to 12 "
                    "for 1.3B, 12 for A14B.",
                ),
                io.Sigmas.Input(
                    "sigmas",
                    optional=True,
                    tooltip="Your own schedule; then steps, scheduler and shift are not used.",
                ),
            ],
            outputs=[io.Latent.Output(tooltip="The video, for VAE Decode.")],
        )

    @classmethod
    def execute(
        cls,
        model,
        positive,
        negative,
        latent,
        seed,
        steps,
        cfg,
        guidance_start,
        guidance_end,
        sampler_name,
        scheduler,
        shift,
        sigmas=None,
    ) -> io.NodeOutput:
        if sigmas is None:
            sigmas = host.flow_schedule(scheduler, steps, shift)
        return io.NodeOutput(
            host.sample_video(
                host.anchored_model(model),
                positive,
                negative,
                latent,
                seed=seed,
                cfg=cfg,
                sampler_name=sampler_name,
                sigmas=sigmas,
                interval=GuidanceInterval.along(sigmas, guidance_start, guidance_end),
            )
        )
