"""What a trained LoRA file says about itself."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from .. import __version__
from .config import TrainConfig
from .trainer import Trainer


def lora_metadata(
    trainer: Trainer, title: str, base_model: str, packages: Iterable[str]
) -> dict[str, object]:
    """Everything that made it: settings, clips, model, and the versions of packages."""
    config, spec, digests = trainer.config, trainer.backbone.spec, trainer.data.digests
    return {
        "fvg": __version__,
        "config": config.model_dump_json(),
        "dataset": trainer.data.fingerprint,
        "clips": len(set(digests) - {digests[i] for i in trainer.held_out}),
        "base_model": base_model,
        "family": spec.name,
        "rank": config.lora.rank,
        "alpha": config.alpha,
        "steps": trainer.step,
        "anchors": anchor_distribution(config, spec.patch_time),
        "versions": {name: _version(name) for name in packages},
        "modelspec.title": title,
        "modelspec.architecture": f"{spec.host_class.lower()}/lora",
    }


def anchor_distribution(config: TrainConfig, patch_time: int = 1) -> str:
    """How the anchored latent frame k was drawn, in words; or the token of several frames."""
    algorithm = config.algorithm
    k = "k uniform over the latent frames"
    if patch_time > 1:
        k = f"k uniform over the tokens of {patch_time} latent frames"
    if algorithm.first_frame_share:
        k = f"k = 0 in {algorithm.first_frame_share:g} of the anchored samples, else {k}"
    several = f", up to {algorithm.max_anchors} anchors" if algorithm.max_anchors > 1 else ""
    return f"{k}{several}; no anchor in {algorithm.unanchored_share:g} of the samples"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
