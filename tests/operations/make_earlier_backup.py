"""Makes the stored backup of an earlier release with all that may be under way in it, and what that release answers.

usage: PYTHONPATH=EARLIER/src:EARLIER/tests/campaigns:EARLIER/tests/realtime python make_earlier_backup.py FOLDER

EARLIER is a checkout of the release, whose own test modules are used. The stored one has version 0042 of the
records' schema and 5 of the warehouse's: the last before a campaign was measured from its confirmation. FOLDER is below
a folder that everybody may pass; the files come into `data` beside this script.

When the backup is taken one campaign was sent, one waits for the evening, and of one the first batch was sent and the
second is under way: its messages stand as claimed, sent, failed, suppressed and skipped, those of the first as sent,
failed and to be tried again. Firings are delayed, asking, sending, done and filed; their messages pending, claimed,
to be tried again, sent, failed and suppressed. The process then ends without a word to anybody.
"""

# ruff: noqa: I001 - modules of the earlier release, which is not the one that is checked

import os
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import trigger_world as world
import uvicorn
from campaign_mail import Mailbox, mailbox
from sqlalchemy import text

sys.path.append(str(Path(__file__).parent))
from earlier_answers import (
    ANSWERS,
    BACKUP,
    BACKUP_KEY,
    MAIL,
    NOW,
    SECRET_KEY,
    SHOP,
    SMS,
    answers,
    lines,
)

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.audiences import groups
from rapport.campaigns import definitions
from rapport.campaigns.cycle import daily, tasks
from rapport.campaigns.schemas import ActionBody, SeriesBody
from rapport.campaigns.triggered import definitions as campaign_definitions
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.customers import event_types
from rapport.customers.importing import imports
from rapport.messaging import templates
from rapport.messaging.contactability import preferences, suppressions
from rapport.access.service import allow_sender_domain, create_tenant, update_tenant
from rapport.app import create_app


from rapport.channels import service as channels
from rapport.commands import logs


from rapport.notifications import service as notifications
from rapport.realtime import gateways, sending
from rapport.realtime.filer import Filer
from rapport.realtime.processor import Processor
from rapport.realtime.sending import Sender
from rapport.settings import Settings
from rapport.stores import Stores, open_stores

PEOPLE = 60
LATE, BAD = {"P005", "P044"}, {"P003", "P012", "P023"}
SUPPRESSED, TWIN, UNREACHED, QUIET = "P009", "P010", "P011", "P046"
# Of a firing's messages so many are under way at once, and the rest waits.
CLAIMED_AT_ONCE = 2
# The number of the second batch of the first group on the channel.
SECOND = 1_000_002
LEDGER = "SELECT batch, state, count(*) FROM campaign_sends GROUP BY 1, 2 ORDER BY 1, 2"
MESSAGES = "SELECT state, attempts, count(*) FROM firing_messages GROUP BY 1, 2 ORDER BY 1, 2"
FIRINGS = "SELECT series_id, state, outcome, count(*) FROM trigger_firings GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def address(who: str) -> str:
    return f"{'later' if who in LATE else 'bad' if who in BAD else 'p'}{who[1:]}@example.com"


def files(folder: Path) -> dict[str, str]:
    """Four files of a shop: everybody is made up, and the same whenever they are made."""
    drawn, last = random.Random(42), date(2026, 3, 9)
    people = ["CustomerID,Registration_Date,Email,Country,Level,Allow_Email"]
    for n in range(PEOPLE):
        who, country = f"P{n:03}", "NL" if n < 24 else "BE"
        day = last - timedelta(days=drawn.randrange(30, 600))
        people.append(f"{who},{day},{address(who)},{country},{drawn.randrange(9)},{'No' if n % 19 == 18 else 'Yes'}")
    orders = ["Transaction_ID,CustomerID,Transaction_Date,Amount"]
    items = ["Transaction_ID,Line_No,Product_ID,Unit_Price"]
    for n in range(300):
        day = last - timedelta(days=drawn.randrange(280))
        orders.append(f"T{n},P{drawn.randrange(PEOPLE):03},{day} 10:{n % 60:02}:00,{drawn.randrange(500, 9000) / 100}")
        items.append(f"T{n},1,I{drawn.randrange(6)},{drawn.randrange(500, 9000) / 100}")
    products = ["Product_ID,Name,Category", *(f"I{n},Item {n},{'Shoes' if n % 2 else 'Hats'}" for n in range(6))]
    visits = ["Event_ID,Event_Name,Customer_ID,Event_Date"]
    visits += [f"V{n},visit,P{drawn.randrange(PEOPLE):03},{last - timedelta(days=n % 9)} 12:00:00" for n in range(40)]
    lines = {"products": products, "customers": people, "transactions": orders, "items": items, "activity": visits}
    for kind, rows in lines.items():
        (folder / f"{kind}.csv").write_text("\n".join(rows) + "\n")
    return {kind: str(folder / f"{kind}.csv") for kind in lines}


def furnish(scope: Scope, folder: Path) -> None:
    """Data, channels, templates, groups and what else a tenant may have set."""
    for kind, path in files(folder).items():
        assert imports.import_file(scope, kind, Path(path)).rejected == 0
    allow_sender_domain(scope, "example.com")
    channels.create_channel(scope, "E-mail", "email", id=MAIL, settings={"from_address": "shop@example.com"})
    channels.create_channel(scope, "Text messages", "external", id=SMS)
    own = {"host": "mail.example.com", "port": 25, "from_address": "shop@example.com", "password": "open sesame"}
    channels.create_channel(scope, "Own server", "email", id=506, settings=own)
    html = "<p>Dear [%FIRST_NAME:customer%], take [%PROMO_CODE%] [%UNSUBSCRIBE_URL%]</p>"
    templates.save_template(scope, MAIL, "Hello", "Hi [%COUNTRY%]", html, id=1)
    templates.save_template(scope, SMS, "Offer", id=11)
    definitions.create_action(scope, ActionBody(name="Voucher", promo_codes=["V10"]))
    for name, country in (("Dutch", "NL"), ("Belgian", "BE")):
        definition = {"attribute": "COUNTRY", "operator": "equals", "value": country}
        groups.create_target_group(scope, name, definition)
    for name in ("level_up", "purchase", "add_to_cart", "page_view"):
        event_types.declare_event_type(scope, name, {"level": "Number"})
    suppressions.suppress(scope, "P050", SMS)
    suppressions.suppress(scope, QUIET, MAIL)
    suppressions.suppress_addresses(scope, ["stranger@example.com"], MAIL)
    preferences.set_preference(scope, SMS, ["P051"], 2)
    gateways.set_gateway(scope, "http://127.0.0.1:9/gateway", retries=0)
    for event in (1, 2, 11, 13):
        notifications.register_listener(scope, event, f"http://127.0.0.1:9/{event}", SMS if event == 11 else None)


def series(scope: Scope, name: str, group: int, day: date, *places: tuple[int, int, str], **more: Any) -> None:
    reached = [{"channel_id": channel, "template_id": letter, "send_time": at} for channel, letter, at in places]
    body = {
        "name": name,
        "target_group_id": group,
        "schedule": {"kind": "daily", "start_date": day.isoformat(), "end_date": day.isoformat()},
        "groups": [{"action_id": 2, "channels": reached}],
        "rules": {"include_all": True},
        **more,
    }
    definitions.create_series(scope, SeriesBody.model_validate(body))


def trigger(scope: Scope, event: str, *places: tuple[int, int], **more: Any) -> None:
    reached = [{"channel_id": channel, "template_id": template} for channel, template in places]
    body = {
        "name": f"On {event}",
        "trigger": {"kind": "simple", "event": event},
        "groups": [{"action_id": 2, "channels": reached}],
        "control_share": 0,
        "re_entry": "unlimited",
        **more,
    }
    campaign_definitions.create_triggered(scope, TriggeredBody.model_validate(body))


def counted(scope: Scope, sql: str) -> list[tuple[Any, ...]]:
    with scope.stores.records.reading() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def states(scope: Scope, sql: str) -> Counter[Any]:
    return Counter({row[:-1]: row[-1] for row in counted(scope, sql)})


def days(scope: Scope) -> None:
    """Two modelled days; the campaign of the second is sent."""
    series(scope, "Sent", 2, date(2026, 3, 9), (SMS, 11, "08:00"), (MAIL, 1, "08:00"), control_share=0.2)
    for day in (8, 9):
        scope.clock.set(datetime(2026, 3, day, 5, tzinfo=NOW.tzinfo))
        daily.run_cycle(scope, date(2026, 3, day - 1))
        scope.clock.set(datetime(2026, 3, day, 8, tzinfo=NOW.tzinfo))
        tasks.execute_due(scope)


def firings_to_be_filed(scope: Scope, box: Mailbox) -> list[Any]:
    """Firings that are done with, and one to be tried again; whoever works on them still does."""
    trigger(scope, "level_up", (MAIL, 1), (SMS, 11))
    trigger(scope, "purchase", (SMS, 11))
    trigger(scope, "add_to_cart", (SMS, 11), conditional=True)
    trigger(scope, "page_view", (MAIL, 1), quiet_hours={"start": "22:00", "end": "09:00"})
    workers = [Processor(scope.stores), Sender(scope.stores), Filer(scope.stores)]
    for worker in workers:
        worker.start()
    for n in (23, *range(40, 48)):
        world.event(scope, "level_up", f"P{n:03}", notify=True)
    until(lambda: states(scope, MESSAGES)["pending", 1] == 1 and states(scope, FIRINGS)[4, "filed", "sent"] >= 6)
    return workers


def half_a_campaign(scope: Scope, box: Mailbox) -> None:
    """The first batch, then half the second, with what changed between them; then the mail server says no more."""
    begun = len(box.messages)
    box.shut_after = begun + 1
    threading.Thread(target=tasks.execute_due, args=(scope,), daemon=True).start()
    until(lambda: not box.gate.is_set())
    suppressions.suppress(scope, SUPPRESSED, MAIL)
    change = "ALTER TABLE profiles UPDATE EMAIL = {to:Nullable(String)} WHERE customer_id = {who:String}"
    for who, to in ((TWIN, address("P001")), (UNREACHED, None)):
        scope.warehouse.execute(f"{change} SETTINGS mutations_sync = 1", who=who, to=to)
    box.shut_after = begun + 6 + 2  # the first batch has a refused address and one to be tried again
    box.gate.set()
    until(lambda: not box.gate.is_set() and len(box.messages) == begun + 8)
    until(lambda: states(scope, LEDGER)[SECOND, "sent"] == 2 and states(scope, LEDGER)[SECOND, "failed"] == 2)


def firings_under_way(scope: Scope) -> None:
    """Firings that wait for the mail server, for the accounts, for the gateway and for the end of quiet hours."""
    for n in range(52, 58):
        world.event(scope, "level_up", f"P{n:03}", notify=True)
    until(lambda: states(scope, MESSAGES)["claimed", 1] == CLAIMED_AT_ONCE and not world.waiting(scope))
    for event, who in (("purchase", "P058"), ("add_to_cart", "P058"), ("add_to_cart", "P059"), ("page_view", "P059")):
        world.event(scope, event, who, notify=True)
    until(lambda: not world.waiting(scope) and states(scope, FIRINGS)[7, "delayed", ""] == 1)


def served(stores: Stores, key: str) -> dict[str, Any]:
    config = uvicorn.Config(create_app(stores), port=0, log_level="warning", lifespan="off")
    web = uvicorn.Server(config)
    threading.Thread(target=web.run, daemon=True).start()
    until(lambda: web.started)
    return answers(f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}", key)


def main(folder: Path) -> None:
    logs.configure("ERROR")
    sending.PER_CHANNEL = CLAIMED_AT_ONCE
    with mailbox() as box:
        box.refusals = 1_000_000
        given = {"smtp_url": f"smtp://127.0.0.1:{box.port}", "rate_limit_calls": 0, "allow_private_addresses": True}
        stores = open_stores(Settings(data_dir=folder, backup_key=BACKUP_KEY, secret_key=SECRET_KEY, **given))
        stores.clock.set(NOW - timedelta(days=3))
        stores.start_work()
        waits = {"batch_size": 8, "retry_delays": [60.0], "messages_per_day": 99, "data_ready_time": "06:00"}
        scope = create_tenant(stores, SHOP, "Europe/Berlin", "EUR", {"campaigns": waits})
        furnish(scope, folder.parent)
        _, key = keys.create_key(scope, "tests", "tests@example.com", "Admin")
        keys.create_key(scope, "vendor", "vendor@example.com", "Integrations")
        days(scope)
        series(scope, "Half", 1, date(2026, 3, 10), (MAIL, 1, "08:00"), control_share=0)
        series(scope, "Later", 2, date(2026, 3, 10), (MAIL, 1, "18:00"), (SMS, 11, "18:00"), control_share=0.2)
        scope.clock.set(NOW - timedelta(hours=2))
        daily.run_cycle(scope, date(2026, 3, 9))
        scope.clock.set(NOW)
        *_, filer = firings_to_be_filed(scope, box)
        half_a_campaign(scope, box)
        filer.stop()
        firings_under_way(scope)
        # What is carried on later is tried again at once.
        update_tenant(scope, {"settings": {"campaigns": {"retry_delays": [0.2, 0.2]}}})
        # In two pieces, since a whole key in a file is taken for one that opens something.
        found = {
            "key": [key[:20], key[20:]],
            "arrived": sorted([mail["To"], mail["Message-ID"]] for mail in box.messages),
        }
        found |= {"ledger": counted(scope, LEDGER), "messages": counted(scope, MESSAGES)}
        found |= {"firings": counted(scope, FIRINGS), **served(stores, key)}
        BACKUP.unlink(missing_ok=True)
        stores.backup(BACKUP)
        ANSWERS.write_text(lines(found))
        os._exit(0)  # as a kill would; PostgreSQL is left to whoever called


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # threads that work would go on
