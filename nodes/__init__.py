"""ComfyUI's side of the pack: the explicit list of nodes."""

import logging


def extension():
    """The host's view of this pack. A failure is logged whole; the host itself keeps one line."""
    try:
        return _extension()
    except Exception:
        logging.exception("FVG could not be loaded")
        raise


def _extension():
    from comfy_api.latest import ComfyExtension, io

    from .anchor_image_generator import AnchorImageGenerator
    from .anchor_latent_injector import AnchorLatentInjector
    from .anchor_options import AnchorOptions
    from .anchor_picker import AnchorPicker
    from .anchor_scorer import AnchorScorer
    from .anchored_wan_sampler import AnchoredWanSampler
    from .first_frame_color_match import FirstFrameColorMatch
    from .host import register_folders, register_language_models, register_routes
    from .lora_trainer import LoraTrainer
    from .prompt_rewriter import FirstFramePromptRewriter
    from .tiny_world_loader import TinyWorldLoader
    from .video_dataset import VideoDataset

    register_folders()
    register_language_models()

    class FVG(ComfyExtension):
        async def on_load(self) -> None:
            register_routes()

        async def get_node_list(self) -> list[type[io.ComfyNode]]:
            return [
                FirstFramePromptRewriter,
                AnchorImageGenerator,
                AnchorPicker,
                AnchorScorer,
                AnchorLatentInjector,
                AnchorOptions,
                AnchoredWanSampler,
                FirstFrameColorMatch,
                TinyWorldLoader,
                VideoDataset,
                LoraTrainer,
            ]

    return FVG()
