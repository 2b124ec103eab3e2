"""How fast templates become messages: ten tags, conditions and links, against the same text by Python's own formatting.

The baseline escapes the same values and puts them into the same subject, text and HTML with str.format, and decides
nothing. Both write every message anew, in one thread.

    python benchmarks/bench_templates.py [--size MESSAGES] [--check]

With --check it exits with 1 when templates take more than four times as long.
"""

import argparse
import html
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from rapport.messaging import rendering
from rapport.messaging.models import Template

LIMIT = 4.0
NOW = datetime(2026, 3, 7, 15, 4, 5)
PARAGRAPHS = "<p>The new season is here, with many things that you may like.</p>" * 40
SUBJECT = "[%FIRST_NAME:you%], a treat of [%CURRENT_DATE:dd MMMM%]"
PAGE = (
    "<h1>Hello [%TITLE_CASE:FIRST_NAME:there%] [%LAST_NAME%],</h1>"
    "[%IF:TIER=='gold'%]<p>gold in [%CITY%]</p>[%END:IF%][%ELSEIF:ORDERS>=10%]<p>[%ORDERS%] orders</p>[%END:IF%]"
    "[%ELSE%]<p>welcome</p>[%END:IF%]"
    '<p>Use [%PROMO_CODE%] in <a href="https://shop.example/[%CITY%]?c=[%CUSTOMER_ID%]">the shop</a>.</p>'
    f'{PARAGRAPHS}<p><a href="[%UNSUB%]">Unsubscribe</a> [%CAMPAIGN_ID%]</p>'
)
PLAIN_SUBJECT = "{name}, a treat of 07 March"
PLAIN_TEXT = "Hello {name} {last},\n\ngold in {city}\n\nUse {code} in the shop (https://shop.example/{city}?c={id}).\n"
PLAIN_PAGE = (
    "<h1>Hello {name} {last},</h1><p>gold in {city}</p>"
    '<p>Use {code} in <a href="https://shop.example/{place}?c={id}">the shop</a>.</p>'
    f'{PARAGRAPHS}<p><a href="{{link}}">Unsubscribe</a> 7</p>'
)


def customers(count: int) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Ids and attributes, of every kind of branch."""
    for number in range(count):
        tier = ("gold", "silver", None)[number % 3]
        known = {"FIRST_NAME": f"kim {number}", "LAST_NAME": "O'Neil & Co", "CITY": "Århus <1>", "ORDERS": "12.0000"}
        yield f"Q{number}", {**known, "TIER": tier}


def of_templates(count: int) -> int:
    """Characters of messages that a template wrote."""
    template = Template(tenant_id=1, channel_id=504, id=1, name="t", subject=SUBJECT, html=PAGE, text="")
    written = 0
    for customer_id, values in customers(count):
        link = f"https://shop.example/u/{customer_id}"
        extra = {"promo_code": "SPRING10", "unsubscribe_url": link, "campaign_id": "7"}
        content = rendering.render(template, customer_id, values, extra, NOW)
        written += len(content.subject) + len(content.text) + len(content.html)
    return written


def of_formatting(count: int) -> int:
    """Characters of messages that str.format wrote."""
    written, paragraphs = 0, html.unescape(PARAGRAPHS)
    for customer_id, values in customers(count):
        plain = {"name": values["FIRST_NAME"], "last": values["LAST_NAME"], "city": values["CITY"]}
        plain |= {"code": "SPRING10", "id": customer_id, "link": f"https://shop.example/u/{customer_id}"}
        escaped = {name: html.escape(value or "") for name, value in plain.items()}
        page = PLAIN_PAGE.format(**escaped, place=quote(plain["city"] or "", safe=""))
        written += len(PLAIN_SUBJECT.format(**plain)) + len(PLAIN_TEXT.format(**plain) + paragraphs) + len(page)
    return written


def a_second(writers: Sequence[Callable[[int], int]], count: int) -> list[float]:
    """Messages a second of processor time of each, the best of seven rounds in turn: whatever else runs meets all."""
    best = [float("inf")] * len(writers)
    for _ in range(7):
        for number, write in enumerate(writers):
            began = time.thread_time()
            write(count)
            best[number] = min(best[number], time.thread_time() - began)
    return [count / seconds for seconds in best]


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2000, help="messages of each round")
    parser.add_argument("--check", action="store_true", help="exit with 1 when the ratio is above its limit")
    options = parser.parse_args()
    ours, baseline = a_second((of_templates, of_formatting), options.size)
    figure = {
        "figure": "messages of a template with ten tags",
        "ours": round(ours),
        "baseline": round(baseline),
        "ratio": round(baseline / ours, 2),
        "limit": LIMIT,
        "unit": "messages/s (baseline at most so many times ours)",
    }
    print(json.dumps(figure))
    table = Table(*figure)
    table.add_row(*(str(value) for value in figure.values()))
    Console().print(table)
    if options.check and baseline / ours > LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
