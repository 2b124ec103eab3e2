"""The drop-in inbox in a real browser, on a page of another site, beside the stream of the unread count."""

import io
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from browser import Page, browser
from fastapi import FastAPI
from PIL import Image
from sqlalchemy import update
from starlette.responses import HTMLResponse
from webhook_receiver import eventually

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.customers.person_ids import person_of
from rapport.inbox import pictures, reading
from rapport.inbox.models import InboxMessage
from rapport.inbox.reading import Inbox
from rapport.inbox.storing import NewMessage, store
from rapport.messaging.topics import brand_groups
from served_app import serving

CHANNEL, CUSTOMER = 495, "Q1001"


@pytest.fixture(scope="module")
def brand(scope: Scope) -> str:
    channels.create_channel(scope, "Site", "inbox")
    return brand_groups.create_brand_group(scope, "Northwind", {495: [CHANNEL]}).id


def put(scope: Scope, customer_id: str, number: int, **more: Any) -> None:
    message = NewMessage(
        message_id=f"{customer_id}-{number}",
        channel_id=CHANNEL,
        person=person_of(customer_id, ""),
        customer_id=customer_id,
        title=f"Offer {number}",
        content="20% off everything until Sunday",
        container_id="Inbox",
        kept=timedelta(days=30),
        **more,
    )
    store(scope, [message])


def picture(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(out, "PNG")
    return out.getvalue()


def states(scope: Scope, customer_id: str) -> dict[str, bool]:
    """Whether each message in an inbox is read, by title."""
    inbox = Inbox((customer_id.lower(),), (CHANNEL,))
    arrays = reading.listed(scope, inbox, "'title', title, 'isRead', read_at IS NOT NULL")
    return {message["title"]: message["isRead"] for array in arrays.values() for message in json.loads(array)}


@pytest.fixture(scope="module")
def page(scope: Scope, brand: str, base_url: str) -> Iterator[Page]:
    image = pictures.add_picture(scope, picture(400, 300), "Gradient")
    put(scope, CUSTOMER, 1)
    put(scope, CUSTOMER, 2, media=pictures.path_of(image), url="#bought")
    put(scope, CUSTOMER, 3, url="javascript:document.title='stolen'")
    site = FastAPI()
    tag = (
        f'<script src="{base_url}/inbox.js" data-tenant="{scope.tenant_id}" data-brand="{brand}" '
        f'data-customer="{CUSTOMER}"></script>'
    )

    @site.get("/")
    def shop() -> HTMLResponse:
        return HTMLResponse(f"<!doctype html><title>Shop</title><h1>Shop</h1><div id=bar>{tag}</div>")

    with serving(site) as url, browser(scripts=True) as made:
        made.open(url)
        yield made


def shadow(page: Page, expression: str) -> Any:
    return page.value(f"(root => {expression})(document.querySelector('#bar > span').shadowRoot)")


def text_of(page: Page, selector: str) -> str:
    return str(shadow(page, f"[...root.querySelectorAll('{selector}')].map(each => each.textContent).join('|')"))


def bell(page: Page) -> str:
    return str(shadow(page, "root.querySelector('.bell').ariaLabel"))


def focused(page: Page) -> str:
    return str(shadow(page, "root.activeElement ? root.activeElement.ariaLabel || root.activeElement.textContent : ''"))


def test_a_page_of_another_site_shows_the_inbox_and_what_is_done_in_it(page: Page, scope: Scope) -> None:
    shows_the_inbox(page)
    does_it_all_by_keys_and_clicks(page, scope)
    shows_a_new_message_at_once(page, scope)


def shows_the_inbox(page: Page) -> None:
    eventually(lambda: bell(page) == "Messages, 3 unread")
    assert text_of(page, ".badge") == "3"
    assert ("button", "Messages, 3 unread") in page.roles()
    page.value("document.querySelector('#bar > span').shadowRoot.querySelector('.bell').focus()")
    page.press("Enter")
    eventually(lambda: text_of(page, ".title") == "Offer 3|Offer 2|Offer 1")
    eventually(lambda: "Offer 3" in focused(page))
    eventually(lambda: shadow(page, "root.querySelector('img').naturalWidth") == 144)
    told = page.roles()
    assert ("dialog", "Messages") in told and ("heading", "Messages") in told
    assert any(role == "link" and name.startswith("unread: Offer 2") for role, name in told)
    assert ("button", "Delete: Offer 1") in told
    # A message leads into no script: it has no address, and is a button.
    assert any(role == "button" and name.startswith("unread: Offer 3") for role, name in told)


def does_it_all_by_keys_and_clicks(page: Page, scope: Scope) -> None:
    page.press("ArrowDown")
    assert "Offer 2" in focused(page)
    page.press("Enter")  # leads to where the message says
    eventually(lambda: page.value("location.hash") == "#bought")
    eventually(lambda: states(scope, CUSTOMER) == {"Offer 3": False, "Offer 2": True, "Offer 1": False})
    eventually(lambda: bell(page) == "Messages, 2 unread")
    page.press("ArrowDown")
    page.press("Tab")
    assert focused(page) == "Delete: Offer 1"
    page.press("Enter")
    eventually(lambda: states(scope, CUSTOMER) == {"Offer 3": False, "Offer 2": True})
    assert text_of(page, "[role=status]") == "Deleted: Offer 1"
    shadow(page, "root.querySelector('header button').click()")
    eventually(lambda: states(scope, CUSTOMER) == {"Offer 3": True, "Offer 2": True})
    eventually(lambda: bell(page) == "Messages" and shadow(page, "root.querySelector('.badge').hidden"))
    page.press("Escape")
    assert shadow(page, "root.querySelector('.panel').hidden") and focused(page) == "Messages"
    assert page.value("document.title") == "Shop"


def shows_a_new_message_at_once(page: Page, scope: Scope) -> None:
    put(scope, CUSTOMER, 4)
    eventually(lambda: bell(page) == "Messages, 1 unread")
    assert text_of(page, "[role=status]") == "1 unread"


def test_the_script_is_small_and_kept_by_browsers(base_url: str) -> None:
    answer = httpx.get(f"{base_url}/inbox.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert len(answer.content) < 15_000 and "max-age=3600" in answer.headers["cache-control"]
    again = httpx.get(f"{base_url}/inbox.js", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_stream_tells_the_count_whenever_it_changes(scope: Scope, base_url: str, brand: str) -> None:
    person = {"tenantId": scope.tenant_id, "brandId": brand, "customerId": "Q2002"}
    path = f"{base_url}/api/v2/embedded-messages/unread-messages-count-events"
    with httpx.stream("GET", path, params=person) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        counts = (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: "))
        assert next(counts) == '{"unread_count":0}'
        put(scope, "Q2002", 1)
        assert next(counts) == '{"unread_count":1}'
        httpx.put(
            f"{base_url}/api/v1/messages/status",
            params=person,
            json={"statusMetrics": [{"messageId": first(base_url, person)["id"], "customerId": "Q2002", "readAt": 1}]},
        )
        assert next(counts) == '{"unread_count":0}'
    assert httpx.get(path, params={**person, "brandId": "x"}).status_code == 400


def test_the_stream_tells_of_other_messages_even_if_they_are_as_many(scope: Scope, base_url: str, brand: str) -> None:
    """A message is read and another comes before the stream looks: the page has counted the first one down."""
    person = {"tenantId": scope.tenant_id, "brandId": brand, "customerId": "Q3003"}
    put(scope, "Q3003", 1)
    path = f"{base_url}/api/v2/embedded-messages/unread-messages-count-events"
    with httpx.stream("GET", path, params=person) as answer:
        counts = (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: "))
        assert next(counts) == '{"unread_count":1}'
        put(scope, "somebody else", 1)
        with scope.records() as session:
            mine = (InboxMessage.tenant_id == scope.tenant_id, InboxMessage.customer_id == "Q3003")
            session.execute(update(InboxMessage).where(*mine).values(id=uuid.uuid4()))
        put(scope, "somebody else", 2)
        assert next(counts) == '{"unread_count":1}'


def first(base_url: str, person: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = httpx.get(f"{base_url}/api/v1/messages", params=person).json()[0]
    return message
