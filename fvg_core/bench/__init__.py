"""Driving a ComfyUI server from outside, over HTTP only."""
