"""Anchor candidates and the choice among them."""

from .choice import POLICIES, checked, pick, read_choices, write_choices
from .scoring import read_scores

__all__ = ["POLICIES", "checked", "pick", "read_choices", "read_scores", "write_choices"]
