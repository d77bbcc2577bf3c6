"""Anchor candidates and the choice among them."""

from .choice import POLICIES, pick

__all__ = ["POLICIES", "pick"]
