"""The figures as a picture: bars from zero on one linear scale, so that lengths tell the truth."""

import math
from collections.abc import Iterator
from xml.sax.saxutils import escape

from tests.bench.results import OURS, TITLES, Summary

WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 760, 190, 96, 66, 40, 22  # pixels
TICKS = 5
INK, SOFT, GRID = "#1f2933", "#616e7c", "#e4e7eb"
COLOURS = {"floor": "#9fb3c8", OURS: "#0b7285", "ours-1": "#3bc9db"}
OTHERS = "#f08c00"
SUBTITLE = "from the POST of a mailing to the last status committed; medians, lines from least to most"


def svg(summaries: dict[str, Summary], caption: str) -> str:
    """A drawing of fixed width. `caption` says when and where it was measured."""
    bottom = TOP + ROW * len(summaries)
    step = axis_step(max(one.most for one in summaries.values()) / TICKS)
    ticks = math.ceil(max(one.most for one in summaries.values()) / step)
    scale = (WIDTH - LEFT - RIGHT) / (ticks * step)
    height = bottom + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="DejaVu Sans, Verdana, Helvetica, sans-serif" font-size="13" role="img">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        draw_text(24, 32, "Messages a second, end to end", size=18, weight="bold"),
        draw_text(24, 52, SUBTITLE, size=12, colour=SOFT),
        *_axis(ticks, step, scale, bottom),
    ]
    for number, one in enumerate(summaries.values()):
        parts += _bar(one, TOP + ROW * number + (ROW - BAR) / 2, scale)
    parts += [draw_text(24, height - 14, caption, size=11, colour=SOFT), "</svg>"]
    return "\n".join(parts) + "\n"


def axis_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 … that is not smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _axis(ticks: int, step: float, scale: float, bottom: float) -> Iterator[str]:
    for tick in range(ticks + 1):
        x = LEFT + tick * step * scale
        yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="{GRID}"/>'
        yield draw_text(x, bottom + 18, f"{tick * step:,.0f}", size=11, colour=SOFT, anchor="middle")
    yield draw_text((LEFT + WIDTH - RIGHT) / 2, bottom + 36, "messages/s", size=11, colour=SOFT, anchor="middle")


def _bar(one: Summary, y: float, scale: float) -> Iterator[str]:
    middle = y + BAR / 2
    colour = COLOURS.get(one.name, OTHERS)
    yield draw_text(LEFT - 10, middle + 4.5, TITLES[one.name], anchor="end")
    yield f'<rect x="{LEFT}" y="{y}" width="{one.rate * scale:.1f}" height="{BAR}" rx="2" fill="{colour}"/>'
    least, most = LEFT + one.least * scale, LEFT + one.most * scale
    yield f'<path d="M{least:.1f} {middle}H{most:.1f}" stroke="{INK}" stroke-width="2"/>'
    yield draw_text(most + 8, middle + 4.5, f"{one.rate:,.0f}", weight="bold")


def draw_text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: str = "normal",
    colour: str = INK,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}"'
        f' text-anchor="{anchor}">{escape(text)}</text>'
    )
