"""Anchored Wan Sampler (paper, section 4.2, Eq. 4; 15 steps: section 5.3)."""

from __future__ import annotations

from comfy_api.latest import io

from ..fvg_core.backbones import WAN22_A14B
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
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="From the Anchor Latent Injector. Of Wan 2.2 A14B the high-noise "
                    "expert.",
                ),
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
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Guidance scale. 0: the MODEL's own, by its authors: 5 for Wan's 14B "
                    "and 5B, 6 for 1.3B, 4 for A14B's high-noise expert. The node says what it "
                    "took.",
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
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Above 1 spends more steps near noise. 0: the MODEL's own, by its "
                    "authors: 5 for Wan's 14B and 5B, 8 for 1.3B (its authors say 8 to 12), 12 for "
                    "A14B.",
                ),
                io.Sigmas.Input(
                    "sigmas",
                    optional=True,
                    tooltip="Your own schedule; then steps, scheduler and shift are not used.",
                ),
                io.Model.Input(
                    "low_noise_model",
                    optional=True,
                    tooltip="The low-noise expert of Wan 2.2 A14B, with its own anchor LoRA. It "
                    "takes over below the boundary and gets the same anchors. Leave it open for "
                    "every other model.",
                ),
                io.Float.Input(
                    "low_noise_cfg",
                    default=WAN22_A14B.sampling.cfg_low_noise,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    optional=True,
                    tooltip="Guidance scale of low_noise_model. 0: the MODEL's own, by its "
                    "authors: 3 for T2V A14B, 3.5 for I2V A14B. Not used without it.",
                ),
                io.Float.Input(
                    "boundary",
                    default=WAN22_A14B.expert_boundary,
                    min=0.0,
                    max=1.0,
                    step=0.005,
                    optional=True,
                    advanced=True,
                    tooltip="The sigma below which low_noise_model works. 0: the MODEL's own: "
                    "0.875 for T2V A14B (the high-noise expert while t is 875 or more), 0.9 for "
                    "I2V A14B. Not used without it.",
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
        low_noise_model=None,
        low_noise_cfg=WAN22_A14B.sampling.cfg_low_noise,
        boundary=WAN22_A14B.expert_boundary,
    ) -> io.NodeOutput:
        pair = low_noise_model is not None
        given = {"cfg": cfg, "shift": shift}
        if pair:
            host.check_pair(model, low_noise_model)
            given |= {"low_noise_cfg": low_noise_cfg, "boundary": boundary}
        own, taken = host.own_settings(model, given, pair=pair)
        if sigmas is None:
            sigmas = host.schedule(model, scheduler, steps, own["shift"])
        low = None
        if pair:
            low_noise_model = host.same_pictures(model, low_noise_model)
            low_noise_model = host.same_options(model, low_noise_model)
            low = host.LowNoiseExpert(
                host.anchored_model(low_noise_model), own["low_noise_cfg"], own["boundary"]
            )
        anchored = low is not None and "noise_mask" in latent
        warning = host.lora_warning(low_noise_model) if anchored else None
        host.warn_on(cls.hidden.unique_id, warning, otherwise=taken)
        return io.NodeOutput(
            host.sample_video(
                host.anchored_model(model),
                positive,
                negative,
                latent,
                seed=seed,
                cfg=own["cfg"],
                sampler_name=sampler_name,
                sigmas=sigmas,
                interval=GuidanceInterval.along(sigmas, guidance_start, guidance_end),
                low=low,
            )
        )
