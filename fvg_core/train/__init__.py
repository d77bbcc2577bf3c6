"""Anchor-grounding finetuning: Algorithm 1 as a loop that can be watched, stopped and resumed."""
