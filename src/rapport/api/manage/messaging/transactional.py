"""Management of transactional messages: the message log."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Query, Response
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.delivery.models import State
from rapport.transactional import erasure, log
from rapport.transactional.log import Entry

router = SectionRouter("Management: transactional mail", "/manage/v1/transactional", JsonRoute)
MAX_ID = 2**63 - 1
MessageNumber = Annotated[int, Path(ge=1, le=MAX_ID, description="A message, by its id in the log")]
Email = Annotated[str, Query(min_length=1, max_length=1000, description="An address, in any spelling")]


class MessageOut(BaseModel):
    """A transactional message, with what became of it. Times are null until something happens."""

    id: int = Field(examples=[204])
    message_id: str = Field(description="The left part of the Message-ID")
    send_id: int = Field(examples=[90417], description="SendID of the wire")
    brand_id: int | None = Field(examples=[12], description="null: no transactional mail")
    channel_id: int = Field(examples=[612])
    template_id: int | None = Field(examples=[31], description="null: the application's own content")
    email: str = Field(
        examples=["pat@mail.example"],
        description="The address, such as a phone number on an SMS channel; empty once the person was erased, and "
        "where the customer's ID is the address",
    )
    customer_id: str | None = Field(examples=["Q1001"], description="null unless the call named a customer")
    state: State = Field(description="pending and claimed messages are under way")
    reason: str = Field(
        examples=["recipient rejected 550 5.1.1"], description="The reason of the last attempt, or why it was not sent"
    )
    accepted_at: datetime
    due_at: datetime
    ended_at: datetime | None = Field(description="When it was handed to the mail server, or given up")
    opened_at: datetime | None
    clicked_at: datetime | None
    unsubscribed_at: datetime | None
    bounced_at: datetime | None
    complained_at: datetime | None


class MessagePreviewOut(BaseModel):
    """What a message said."""

    subject: str
    text: str
    html: str = Field(description="Without scripts, event handlers and forms")
    as_sent: bool = Field(description="false: its template was changed after the message had left")


def _shown(entry: Entry) -> MessageOut:
    recipient, send = entry.recipient, entry.send
    return MessageOut(
        id=recipient.id,
        message_id=recipient.message_id,
        send_id=recipient.send_id,
        brand_id=recipient.brand_id,
        channel_id=recipient.channel_id,
        template_id=recipient.template_id,
        email=recipient.address,
        customer_id=recipient.customer_id or None,
        state=recipient.state,
        reason=entry.reason,
        accepted_at=send.accepted_at,
        due_at=send.due_at,
        ended_at=recipient.ended_at,
        opened_at=recipient.opened_at,
        clicked_at=recipient.clicked_at,
        unsubscribed_at=recipient.unsubscribed_at,
        bounced_at=recipient.bounced_at,
        complained_at=recipient.complained_at,
    )


@router.get("/messages", summary="List transactional messages")
def list_messages(
    email: Annotated[str | None, Query(min_length=1, max_length=1000, description="Only to this address")] = None,
    send_id: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only of this SendID")] = None,
    customer_id: Annotated[
        str | None, Query(min_length=1, max_length=255, description="Only of calls that named this customer")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[MessageOut]:
    """Newest first, as far back as the setting `transactional.log_days` goes."""
    return log.messages(principal.scope, email, send_id, customer_id, limit, offset).each(_shown)


@router.get("/messages/{message}", summary="Get a transactional message")
def get_message(
    message: MessageNumber,
    principal: Principal = Depends(admin),  # noqa: B008
) -> MessageOut:
    """A message, with what became of it."""
    return _shown(log.entry(principal.scope, message))


@router.get("/messages/{message}/preview", summary="Show what a transactional message said")
def preview_message(
    message: MessageNumber,
    principal: Principal = Depends(admin),  # noqa: B008
) -> MessagePreviewOut:
    """The content of a message; 404 once it has been deleted, see the setting `transactional.preview_days`."""
    shown = log.preview(principal.scope, message)
    content = shown.content
    return MessagePreviewOut(subject=content.subject, text=content.text, html=content.html, as_sent=shown.as_sent)


@router.delete("/messages", status_code=204, summary="Remove an address from the message log")
def forget_address(
    email: Email,
    principal: Principal = Depends(admin),  # noqa: B008
) -> Response:
    """Cancels mail that would still go to the address, and removes the address and the content from the log; metrics
    stay.

    An erasure of a customer does the same for the customer's addresses.
    """
    erasure.forget_addresses(principal.scope, [email])
    return Response(status_code=204)
