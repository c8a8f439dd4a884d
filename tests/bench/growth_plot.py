"""Rates by the size of the ledger as a picture: sizes on a logarithmic scale, rates from zero."""

import math
from collections.abc import Iterator, Mapping, Sequence

from tests.bench.plot import GRID, INK, SOFT, axis_step, draw_text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 360, 80, 150, 70, 70  # pixels
TICKS = 5
COLOURS = ("#0b7285", "#f08c00", "#9fb3c8")


def svg(sizes: Sequence[int], rates: Mapping[str, Sequence[float]], caption: str) -> str:
    """Draw a line for each name in `rates`; each has a rate for each size."""
    step = axis_step(max(map(max, rates.values())) / TICKS)
    top = step * math.ceil(max(map(max, rates.values())) / step)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    span = math.log10(sizes[-1] / sizes[0]) or 1.0
    xs = [LEFT + math.log10(size / sizes[0]) / span * (right - LEFT) for size in sizes]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="DejaVu Sans, Verdana, Helvetica, sans-serif" font-size="13" role="img">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        draw_text(24, 32, "Messages a second, by the messages in the ledger", size=18, weight="bold"),
    ]
    for tick in range(round(top / step) + 1):
        y = bottom - tick * step / top * (bottom - TOP)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(draw_text(LEFT - 8, y + 4, f"{tick * step:,.0f}", size=11, colour=SOFT, anchor="end"))
    for x, size in zip(xs, sizes, strict=True):
        parts.append(draw_text(x, bottom + 20, f"{size:,}", size=11, colour=SOFT, anchor="middle"))
    for (name, values), colour in zip(rates.items(), COLOURS, strict=False):
        ys = [bottom - value / top * (bottom - TOP) for value in values]
        parts += _line(name, xs, ys, colour)
    return "\n".join([*parts, draw_text(24, HEIGHT - 14, caption, size=11, colour=SOFT), "</svg>"]) + "\n"


def _line(name: str, xs: Sequence[float], ys: Sequence[float], colour: str) -> Iterator[str]:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
    for x, y in zip(xs, ys, strict=True):
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
    yield draw_text(xs[-1] + 12, ys[-1] + 4, name, colour=INK)
