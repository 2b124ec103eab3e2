"""Draws the results of a series as SVG: what its groups did, against control, and how sure that is.

python3 docs/images/draw_results.py http://127.0.0.1:8600 rap_ADMIN_KEY [SERIES] > docs/images/campaign-results.svg

It reads the management API of a running server, `rapport demo` for example, and needs Python alone. Without the number
of a series it takes the one whose groups have the most customers.
"""

import json
import sys
import urllib.request
from html import escape
from typing import Any

Row = dict[str, Any]
WIDTH, ROW, TOP = 940, 104, 96
BAR_LEFT, BAR_WIDTH = 210, 220
GAUGE_LEFT, GAUGE_WIDTH = 560, 340
INK, QUIET, RULE, TREATED, CONTROL = "#1b2430", "#5b6675", "#d8dee6", "#1f6feb", "#9aa5b1"
BETTER, WORSE = "#1a7f37", "#b42318"
FONT = "-apple-system, 'Segoe UI', 'DejaVu Sans', Verdana, Arial, sans-serif"


def get(base: str, key: str, path: str) -> Any:
    """An answer of the management API. Raises urllib.error.HTTPError."""
    request = urllib.request.Request(f"{base}/manage/v1/{path}", headers={"X-API-KEY": key})  # noqa: S310 - given by us
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
        return json.load(answer)


def compared(results: Row) -> list[Row]:
    """The recipient groups that have a control group."""
    return [group for group in results["groups"] if group["against_control"]]


def text(x: float, y: float, words: str, size: int = 13, colour: str = INK, weight: int = 400) -> str:
    """Words, from x to the right."""
    style = f'font-size="{size}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A filled rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{colour}"/>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    """A straight line."""
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def bars(group: Row, y: float, most: float) -> list[str]:
    """The rates of a group and of its control."""
    parts = []
    rates = (
        (group["response_rate"], TREATED, "with offer"),
        (group["against_control"]["control_rate"], CONTROL, "control"),
    )
    for place, (rate, colour, who) in enumerate(rates):
        top, width = y + 8 + 28 * place, BAR_WIDTH * rate / most
        parts += [box(BAR_LEFT, top, width, 20, colour), text(BAR_LEFT + width + 8, top + 15, f"{rate:.1%} {who}")]
    return parts


def gauge(comparison: Row, y: float, widest: float) -> list[str]:
    """The difference in percentage points with its interval, around zero."""
    low, high = comparison["uplift_interval"]
    zero, scale, middle = GAUGE_LEFT + GAUGE_WIDTH / 2, GAUGE_WIDTH / 2 / widest, y + 42
    colour = BETTER if low > 0 else WORSE if high < 0 else QUIET
    words = f"{100 * comparison['uplift']:+.1f} points, between {100 * low:+.1f} and {100 * high:+.1f}"
    return [
        text(GAUGE_LEFT, y + 20, words, colour=colour, weight=600),
        line(zero, y + 32, zero, y + 52, INK, 2),
        line(zero + low * scale, middle, zero + high * scale, middle, colour, 4),
        f'<circle cx="{zero + comparison["uplift"] * scale:.1f}" cy="{middle:.1f}" r="6" fill="{colour}"/>',
        text(GAUGE_LEFT, y + 76, comparison["verdict"], colour=QUIET),
    ]


def drawing(results: Row, actions: dict[int, str]) -> str:
    """The picture of a series."""
    groups = compared(results)
    comparisons = [group["against_control"] for group in groups]
    most = max(max(group["response_rate"], group["against_control"]["control_rate"]) for group in groups)
    widest = 1.05 * max(abs(end) for comparison in comparisons for end in comparison["uplift_interval"])
    runs = f"{results['runs']} runs from {results['first_date']} to {results['last_date']}"
    control = f"Control: {results['control_customers']:,} customers, held back at random."
    parts = [
        text(28, 42, results["name"], 20, weight=700),
        text(28, 68, f"{results['counted'].capitalize()}, {runs}. {control}", colour=QUIET),
    ]
    for place, group in enumerate(groups):
        y = TOP + ROW * place
        parts += [
            line(28, y - 6, WIDTH - 28, y - 6, RULE),
            text(28, y + 24, actions[group["action_id"]], 15, weight=600),
            text(28, y + 46, f"{group['customers']:,} customers", colour=QUIET),
            *bars(group, y, most),
            *gauge(group["against_control"], y, widest),
        ]
    height = TOP + ROW * len(groups) + 34
    note = "Right: the difference from control with its 95% confidence interval. The upright mark is zero."
    parts += [line(28, height - 40, WIDTH - 28, height - 40, RULE), text(28, height - 16, note, colour=QUIET)]
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" role="img">'
    title = f"<title>{escape(results['name'])}: results against control</title>"
    frame = f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#ffffff" stroke="{RULE}"/>'
    return "\n".join([head, title, frame, *parts, "</svg>"]) + "\n"


def main() -> None:
    """Write the picture to standard output."""
    base, key = sys.argv[1:3]
    numbers = sys.argv[3:4] or [series["id"] for series in get(base, key, "series")]
    found = [get(base, key, f"series/{number}/results?goal=orders") for number in numbers]
    largest = max(found, key=lambda results: sum(group["customers"] for group in compared(results)))
    actions = {action["id"]: action["name"] for action in get(base, key, "actions")}
    sys.stdout.write(drawing(largest, actions))


if __name__ == "__main__":
    main()
