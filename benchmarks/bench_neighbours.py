"""What a neighbour waits for while a tenant on the same server does what it can to be in everybody's way.

The tenant's mail server and callbacks never answer, and it asks for counts, tries its channel and sends events as fast
as its rate limit lets it. Three figures, each the 99th percentile of the neighbour beside it over that of the quiet
time just before: a light read, the way of an event to the mail that it fires, and a campaign of ten messages.

    python benchmarks/bench_neighbours.py [--size EVENTS] [--check]

With --check it exits with 1 when a figure is above its limit, three times the quiet one.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(TESTS), str(TESTS / "operations"), str(TESTS / "campaigns")]
import hostile_world  # noqa: E402
from campaign_mail import mailbox  # noqa: E402
from rapport_command import Server  # noqa: E402

from silent_host import silent  # noqa: E402

READS_AN_EVENT, EVENTS_A_CAMPAIGN = 20, 4
LIMIT = 3.0


def p99(samples: list[float]) -> float:
    """What 99 of a hundred took less than."""
    return sorted(samples)[int(0.99 * len(samples))]


def measure(server: Server, events: int) -> list[dict[str, object]]:
    """The figures of a server."""
    samples = events * READS_AN_EVENT, events, events // EVENTS_A_CAMPAIGN
    with ExitStack() as stack:
        box, (port, _) = stack.enter_context(mailbox()), stack.enter_context(silent("0.0.0.0"))
        shops = [hostile_world.shop(server, name, box.port, 0) for name in ("Neighbour", "Hostile")]
        for each in shops:
            stack.callback(each.close)
            each.end_day()
        neighbour = hostile_world.Neighbour(shops[0], box)
        neighbour.send()  # what is made once is made now
        quiet = neighbour.waits(*samples)
        with hostile_world.Hostile(shops[1], port, histories=40, events=50).at_work():
            beside = neighbour.waits(*samples)
    return [
        {
            "figure": f"{what} beside a hostile tenant, p99",
            "ours": round(p99(beside[what]), 3),
            "baseline": round(p99(quiet[what]), 3),
            "ratio": round(p99(beside[what]) / p99(quiet[what]), 2),
            "limit": LIMIT,
            "unit": "s (at most times the baseline)",
        }
        for what in quiet
    ]


def main() -> None:
    """Start a server, measure, end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=40, help="events of each phase; at most 40")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a ratio is above its limit")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    os.environ["RAPPORT_ALLOW_PRIVATE_ADDRESSES"] = "true"
    server = None
    try:
        server = Server(folder / "data")
        figures = measure(server, min(options.size, 40))
    finally:
        if server is not None:
            server.end(signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)
    table = Table("figure", "ours", "baseline", "ratio", "limit", "unit")
    for figure in figures:
        print(json.dumps(figure))
        table.add_row(*(str(value) for value in figure.values()))
    Console().print(table)
    if options.check and any(float(str(figure["ratio"])) > LIMIT for figure in figures):
        sys.exit(1)


if __name__ == "__main__":
    main()
