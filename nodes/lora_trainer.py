"""LoRA Trainer: anchor-grounding finetuning (paper, section 4.1.2, Algorithm 1)."""

from __future__ import annotations

from comfy_api.latest import io

from ..fvg_core.train.config import TrainConfig
from . import host

_D = TrainConfig()
_ALGORITHM, _LORA, _OPTIMIZER, _MEMORY, _KEEP = (
    _D.algorithm, _D.lora, _D.optimizer, _D.memory, _D.keep
)  # fmt: skip
GO_ON, START_AGAIN = "go on", "start again"


def _whole(name: str, default: int, tooltip: str, *, least: int = 0, **more) -> io.Int.Input:
    more = {"max": 10**6, **more}
    return io.Int.Input(name, default=default, min=least, tooltip=tooltip, **more)


def _number(name: str, default: float, tooltip: str, *, most: float, **more) -> io.Float.Input:
    more = {"min": 0.0, "step": 0.01, "advanced": True, **more}
    return io.Float.Input(name, default=default, max=most, tooltip=tooltip, **more)


def _choice(name: str, options: list[str], default: str, tooltip: str) -> io.Combo.Input:
    return io.Combo.Input(name, options=options, default=default, tooltip=tooltip, advanced=True)


def _switch(name: str, default: bool, tooltip: str) -> io.Boolean.Input:
    return io.Boolean.Input(name, default=default, tooltip=tooltip, advanced=True)


def _main_inputs() -> list:
    return [
        io.Model.Input(
            "model",
            tooltip="The text-to-video model to train (Wan or CogVideoX 1.5), from a loader of "
            "ComfyUI or the Tiny World Loader. It stays as it is. LoRAs on it count as part of it.",
        ),
        host.Dataset.Input("dataset", tooltip="From the Video Dataset node, made with this MODEL."),
        io.String.Input(
            "lora_name",
            default="fvg_anchor_lora",
            tooltip="File name among the LoRAs, and name of the run's folder in the output.",
        ),
        io.Combo.Input(
            "if_exists",
            options=[GO_ON, START_AGAIN],
            default=GO_ON,
            tooltip="What to do about an earlier run of this name. go on: from its last "
            "checkpoint; if it is finished, give back its LoRA. start again: move it and its LoRA "
            "to fvg/training-old in the output, and train anew.",
        ),
        _whole("steps", _D.steps, "Optimizer steps. 6,000 in the paper (section 4.3).", least=1),
        _whole(
            "batch", _D.batch, "Clips that make one step. 16 in the paper (section 4.3).", least=1
        ),
        _whole(
            "micro_batch",
            _D.micro_batch,
            "Clips that go through the model at once. Only speed and memory change (and with "
            "dropout, what is left out): more is faster where there is room.",
            least=1,
        ),
        _whole(
            "rank",
            _LORA.rank,
            "Size of the LoRA. 256 in the paper (section 4.3); at most 64 for a 14B model on a "
            "card of 24 GB.",
            least=1,
            max=2048,
        ),
        _number(
            "learning_rate",
            _OPTIMIZER.lr,
            "1e-4 as in DiffSynth-Studio's LoRA examples for Wan; Pusa used 1e-5.",
            min=1e-8,
            most=1.0,
            step=1e-6,
            round=1e-8,
            advanced=False,
        ),
    ]


def _algorithm_inputs() -> list:
    return [
        _number(
            "alpha",
            0.0,
            "Strength of the LoRA, over the rank. 0: the same as the rank (Pusa's choice).",
            most=4096.0,
            step=1.0,
        ),
        _number(
            "dropout",
            _LORA.dropout,
            "Share of the LoRA's inputs that are left out at random, against overfitting.",
            most=0.95,
        ),
        _choice(
            "anchor_loss",
            ["masked", "paper"],
            _ALGORITHM.anchor_loss,
            "masked: the anchor frame does not count, because its noise cannot be seen and so "
            "cannot be learned. paper: all frames count (Algorithm 1, line 15 as printed).",
        ),
        _number(
            "first_frame_share",
            _ALGORITHM.first_frame_share,
            "Share of the anchored samples whose anchor is the first frame; the others draw any "
            "frame. 0 in the paper (Algorithm 1, line 1).",
            most=1.0,
        ),
        _number(
            "unanchored_share",
            _ALGORITHM.unanchored_share,
            "Share of samples without an anchor. About a tenth keeps the model able to make plain "
            "text-to-video (our choice; the paper names none).",
            most=0.99,
        ),
        _whole(
            "max_anchors",
            _ALGORITHM.max_anchors,
            "Each anchored sample gets 1 to this many anchors. 1 in the paper.",
            least=1,
            advanced=True,
        ),
        _number(
            "prompt_dropout",
            _ALGORITHM.prompt_dropout,
            "Share of samples with an empty prompt, which guidance needs (Ho and Salimans 2022).",
            most=1.0,
        ),
        _choice(
            "time_density",
            ["uniform", "shifted", "logit_normal"],
            _ALGORITHM.time_density,
            "Which noise levels are trained. uniform: all alike (Algorithm 1, line 3). shifted: "
            "more of the noisy ones. logit_normal: more of the middle (Esser et al. 2024).",
        ),
        _number(
            "time_shift",
            _ALGORITHM.time_shift,
            "With 'shifted': how much more. 5 is Wan's shift for sampling.",
            min=0.01,
            most=100.0,
            step=0.1,
        ),
        _choice(
            "expert",
            ["all", "high", "low"],
            _ALGORITHM.expert,
            "For the two models of Wan 2.2 A14B: train each on its own part of the noise levels "
            "(boundary 0.875), which makes two LoRAs. all: for every other model, also for Wan 2.1 "
            "14B, which cannot be told from an A14B expert.",
        ),
    ]


def _optimizer_inputs() -> list:
    return [
        _choice(
            "optimizer",
            ["adamw", "adamw8bit"],
            _OPTIMIZER.name,
            "adamw8bit needs a quarter of the optimizer's memory, a CUDA card and the package "
            "bitsandbytes.",
        ),
        _choice(
            "schedule",
            ["constant", "cosine"],
            _OPTIMIZER.schedule,
            "The learning rate after the warm-up. cosine: falls to 0 at the last step.",
        ),
        _whole(
            "warmup",
            _OPTIMIZER.warmup,
            "Steps over which the learning rate rises from 0.",
            advanced=True,
        ),
        _number(
            "ema",
            _OPTIMIZER.ema,
            "Above 0, for example 0.999: an average of the LoRA over the steps is kept, shown and "
            "saved. It costs one more copy of the LoRA.",
            most=0.99999,
            step=0.0001,
            round=0.00001,
        ),
        _choice(
            "dtype",
            ["bf16", "fp32"],
            _MEMORY.dtype,
            "Precision of the arithmetic and of the saved file. The LoRA itself is trained in "
            "fp32. On a CPU take fp32.",
        ),
        _switch(
            "gradient_checkpointing",
            _MEMORY.gradient_checkpointing,
            "Compute every block twice instead of keeping its activations: about a third slower, "
            "and a fraction of the memory.",
        ),
        _switch(
            "cpu_optimizer",
            _MEMORY.cpu_optimizer,
            "Keep the optimizer's state in the CPU's memory: slower, and saves twice the LoRA's "
            "size in fp32 on the card.",
        ),
    ]


def _keep_inputs() -> list:
    return [
        _whole(
            "checkpoint_every",
            _KEEP.checkpoint_every,
            "Save everything needed to go on after so many steps. 0: only when training ends or "
            "is interrupted.",
            advanced=True,
        ),
        _whole(
            "keep_checkpoints",
            _KEEP.checkpoints,
            "How many of the last checkpoints stay.",
            least=1,
            advanced=True,
        ),
        _whole(
            "validate_every",
            _KEEP.validate_every,
            "After so many steps measure the loss on held-out clips, with and without an anchor, "
            "and sample videos if vae is connected. 0: never.",
        ),
        _whole(
            "validation_clips",
            _KEEP.validation_clips,
            "Clips held out of training for that.",
            advanced=True,
        ),
        _whole(
            "validation_steps",
            15,
            "Sampling steps of validation videos. 15 with an anchor (paper, section 5.3).",
            least=1,
            max=1000,
            advanced=True,
        ),
        _number(
            "validation_cfg",
            5.0,
            "Guidance scale of validation videos. Wan: 5 for 14B and 5B, 6 for 1.3B.",
            most=100.0,
            step=0.1,
        ),
        _number(
            "validation_shift",
            5.0,
            "Shift of validation videos. Wan: 5 for 14B and 5B, 8 to 12 for 1.3B.",
            min=0.01,
            most=100.0,
            step=0.1,
        ),
        _whole(
            "seed",
            _D.seed,
            "The same seed, clips and settings give the same LoRA on the same machine.",
            max=2**63 - 1,
            control_after_generate=io.ControlAfterGenerate.fixed,
        ),
    ]


def _validation_inputs() -> list:
    return [
        io.Vae.Input(
            "vae",
            optional=True,
            tooltip="Shows validation videos. Alone: of a held-out clip's prompt and first frame.",
        ),
        io.Conditioning.Input(
            "positive", optional=True, tooltip="Prompt of the validation videos, encoded."
        ),
        io.Conditioning.Input(
            "negative", optional=True, tooltip="What they avoid. The empty prompt without it."
        ),
        io.Image.Input(
            "anchor",
            optional=True,
            tooltip="First frame of the validation videos; one video for each picture.",
        ),
    ]


class LoraTrainer(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGLoraTrainer",
            display_name="LoRA Trainer",
            category="FVG/training",
            description="Teaches a text-to-video model to take a clean frame as given "
            "(Algorithm 1 of the paper) and saves the LoRA among ComfyUI's LoRAs. It can be "
            "interrupted, and goes on where it stopped.",
            search_aliases=["train lora", "finetune", "anchor lora"],
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                *_main_inputs(),
                *_algorithm_inputs(),
                *_optimizer_inputs(),
                *_keep_inputs(),
                *_validation_inputs(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The MODEL with the new LoRA."),
                io.String.Output(display_name="lora_name", tooltip="The file, for LoRA loaders."),
                io.Image.Output(display_name="loss_curve", tooltip="Loss by step."),
                io.String.Output(display_name="report", tooltip="What was trained, and how far."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        dataset,
        lora_name,
        if_exists,
        validation_steps,
        validation_cfg,
        validation_shift,
        vae=None,
        positive=None,
        negative=None,
        anchor=None,
        **settings,
    ) -> io.NodeOutput:
        trained = host.train_lora(
            host.Job(
                model,
                dataset,
                _config(settings),
                lora_name,
                if_exists == START_AGAIN,
                host.Preview(
                    vae,
                    positive,
                    negative,
                    anchor,
                    cfg=validation_cfg,
                    steps=validation_steps,
                    shift=validation_shift,
                ),
                str(cls.hidden.unique_id),
            )
        )
        return io.NodeOutput(
            trained.model, trained.lora, trained.curve, trained.report, ui=trained.ui
        )


_SECTIONS = {
    "algorithm": (
        "anchor_loss", "first_frame_share", "unanchored_share", "max_anchors", "prompt_dropout",
        "time_density", "time_shift", "expert",
    ),
    "lora": ("rank", "dropout"),
    "optimizer": ("schedule", "warmup", "ema"),
    "memory": ("dtype", "gradient_checkpointing", "cpu_optimizer"),
    "keep": ("checkpoint_every", "validate_every", "validation_clips"),
}  # fmt: skip


def _config(given: dict) -> TrainConfig:
    """The node's inputs as the trainer's settings. Raises TrainingError."""
    values = {
        section: {name: given[name] for name in names} for section, names in _SECTIONS.items()
    }
    values["lora"]["alpha"] = given["alpha"] or None
    values["optimizer"] |= {"name": given["optimizer"], "lr": given["learning_rate"]}
    values["keep"]["checkpoints"] = given["keep_checkpoints"]
    plain = {name: given[name] for name in ("steps", "batch", "micro_batch", "seed")}
    return TrainConfig.parse({**plain, **values})
