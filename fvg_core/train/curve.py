"""The loss curve as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

_SIZE = (640, 360)
_BOX = (56, 24, 624, 324)  # left, top, right, bottom of the plot
_RAW, _SMOOTH, _HELD_OUT = "#c8d2e6", "#2456b8", {"anchored": "#1c8a4a", "unanchored": "#c2571a"}
_KEPT = 0.95  # of the smooth line, at each step


def smooth(values: Sequence[float]) -> list[float]:
    """Exponential moving average without a bias towards the start."""
    out, total, count = [], 0.0, 0.0
    for value in values:
        total = _KEPT * total + value
        count = _KEPT * count + 1
        out.append(total / count)
    return out


def draw_curve(history: Sequence[dict]) -> Image.Image:
    """The losses of a run's history (records with step, loss and, where measured, held_out)."""
    picture = Image.new("RGB", _SIZE, "white")
    if not history:
        return picture
    pen = ImageDraw.Draw(picture)
    steps = [h["step"] for h in history]
    lines = [(_RAW, steps, [h["loss"] for h in history])]
    lines.append((_SMOOTH, steps, smooth(lines[0][2])))
    measured = [h for h in history if h.get("held_out")]
    for name, color in _HELD_OUT.items():
        values = [h["held_out"][name] for h in measured]
        lines.append((color, [h["step"] for h in measured], values))
    place = _scale(lines)
    for color, xs, ys in lines:
        points = [place(x, y) for x, y in zip(xs, ys, strict=True)]
        if len(points) > 1:
            pen.line(points, fill=color, width=2)
    _label(pen, lines)
    return picture


def _bounds(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return low, high if high > low else low + 1


def _scale(lines):
    x0, x1 = _bounds([x for _, xs, _ in lines for x in xs])
    y0, y1 = _bounds([y for _, _, ys in lines for y in ys])
    left, top, right, bottom = _BOX
    return lambda x, y: (
        left + (x - x0) / (x1 - x0) * (right - left),
        bottom - (y - y0) / (y1 - y0) * (bottom - top),
    )


def _label(pen: ImageDraw.ImageDraw, lines) -> None:
    left, top, right, bottom = _BOX
    pen.rectangle(_BOX, outline="#888888")
    low, high = _bounds([y for _, _, ys in lines for y in ys])
    pen.text((6, top - 6), f"{high:.3g}", fill="black")
    pen.text((6, bottom - 6), f"{low:.3g}", fill="black")
    first, last = _bounds([x for _, xs, _ in lines for x in xs])
    pen.text((left, bottom + 6), f"{first:.0f}", fill="black")
    pen.text((right - 48, bottom + 6), f"{last:.0f} steps", fill="black")
    legend = [("loss", _SMOOTH), *((f"held out, {n}", c) for n, c in _HELD_OUT.items())]
    for i, (name, color) in enumerate(legend):
        pen.text((left + 150 * i, 6), name, fill=color)
