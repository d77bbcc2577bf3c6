"""One row per video model family."""

from .base import Backbone, BackboneSpec
from .wan import WAN21, WAN22_5B

BACKBONES: dict[str, BackboneSpec] = {spec.host_class: spec for spec in (WAN21, WAN22_5B)}

__all__ = ["BACKBONES", "Backbone", "BackboneSpec"]
