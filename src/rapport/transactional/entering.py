"""A request is entered by one statement: what is remembered of it, the message log, its files and its messages.

Each trip to the records would let other threads of the process go first, and a transaction of several statements holds
up others that want to commit.
"""

# ruff: noqa: S608 - statements are put together of constants

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import RowMapping, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from rapport.access.scope import Scope
from rapport.channels.messages import AttachedFile
from rapport.delivery.ids import message_id_sql
from rapport.delivery.models import Source, State
from rapport.delivery.outbox import ENTER_TABLE, Claim, claim_of
from rapport.messaging.models import Template
from rapport.stores.workers.listening import Topic
from rapport.transactional import known_templates, request_keys
from rapport.transactional.models import Attachment, Recipient, Send
from rapport.transactional.requests import Addressee

MESSAGE_ID = message_id_sql(":tenant_id", Source.TRANSACTIONAL, "numbered.id", ":channel_id", "''")
ATTACHED = """
    attached AS (
        INSERT INTO transactional_attachments (tenant_id, send_id, place, file_name, content_type, content)
        SELECT :tenant_id, accepted.id, file.place - 1, file.file_name, file.content_type, file.content
        FROM accepted CROSS JOIN unnest(
            :file_names, CAST(:content_types AS text[]), :contents
        ) WITH ORDINALITY AS file (file_name, content_type, content, place)
    ),
"""
# Nothing is entered where the template is not as it was read, nor where the id of the request was used. Recipients are
# numbered in the order of the request.
STATEMENT = f"""
    WITH standing AS MATERIALIZED (
        SELECT CAST(:state_read AS text) IS NULL OR EXISTS (
            SELECT 1 FROM ({known_templates.STATE}) AS present WHERE present.state = :state_read
        ) AS stands
    ),
    remembered AS ({request_keys.CLAIM}),
    accepted AS (
        INSERT INTO transactional_sends
            (tenant_id, brand_id, channel_id, template_id, content, accepted_at, due_at)
        SELECT :tenant_id, CAST(:brand_id AS integer), :channel_id, CAST(:template_id AS integer), :content,
            :accepted_at, :due_at
        FROM standing WHERE stands AND (CAST(:digest AS text) IS NULL OR EXISTS (SELECT 1 FROM remembered))
        RETURNING id
    ),
    numbered AS MATERIALIZED (
        SELECT nextval(pg_get_serial_sequence('transactional_recipients', 'id')) AS id, listed.*
        FROM (
            SELECT accepted.id AS send_id, recipient.*
            FROM accepted CROSS JOIN unnest(
                :addresses, CAST(:marks AS text[]), :personalizations, CAST(:faults AS text[]),
                CAST(:customers AS text[]), CAST(:persons AS text[])
            ) WITH ORDINALITY AS recipient (address, mark, personalizations, fault, customer_id, person, place)
            ORDER BY place
        ) AS listed
    ),
    identified AS MATERIALIZED (SELECT numbered.*, {MESSAGE_ID} AS message_id FROM numbered),
    logged AS (
        INSERT INTO transactional_recipients (id, tenant_id, send_id, brand_id, channel_id, template_id, address, mark,
            customer_id, person, personalizations, content_dropped, message_id, state, reason, ended_at)
        SELECT id, :tenant_id, send_id, CAST(:brand_id AS integer), :channel_id, CAST(:template_id AS integer),
            address, mark, customer_id, person, personalizations, false, message_id,
            CASE WHEN fault = '' THEN '{State.PENDING}' ELSE '{State.FAILED}' END, fault,
            CASE WHEN fault = '' THEN NULL ELSE CAST(:accepted_at AS timestamptz) END
        FROM identified
    ),
    {{attached}}
    entry AS (
        SELECT id AS source_id, CAST(:channel_id AS integer) AS channel_id, '' AS customer_id, 0 AS recipient_group_id,
            coalesce(CAST(:template_id AS integer), 0) AS template_id, 0 AS action_id, '' AS promo_code, message_id,
            CAST(:state AS text) AS state, '' AS reason, CAST(:message_due_at AS timestamptz) AS due_at
        FROM identified WHERE fault = ''
    ),
    entered AS ({ENTER_TABLE}),
    notified AS MATERIALIZED (
        SELECT pg_notify('{Topic.MESSAGES}', '') FROM accepted WHERE CAST(:state AS text) = '{State.PENDING}'
    )
    SELECT standing.stands, identified.send_id, (SELECT count(*) FROM notified) AS notified, entered.*
    FROM standing LEFT JOIN identified ON true LEFT JOIN entered ON entered.source_id = identified.id
    ORDER BY identified.place
"""
SENDS, RECIPIENTS, ATTACHMENTS = (table.__table__.columns for table in (Send, Recipient, Attachment))


def _statement(attached: str) -> TextClause:
    """The statement without line breaks: the driver keeps what it has read of one only if it is short."""
    statement = text(" ".join(STATEMENT.format(attached=attached).split()))
    return statement.bindparams(
        bindparam("content", type_=SENDS["content"].type),
        bindparam("addresses", type_=ARRAY(RECIPIENTS["address"].type)),
        bindparam("personalizations", type_=ARRAY(RECIPIENTS["personalizations"].type)),
    )


ENTER = _statement("")
ENTER_WITH_FILES = _statement(ATTACHED).bindparams(
    bindparam("file_names", type_=ARRAY(ATTACHMENTS["file_name"].type)),
    bindparam("contents", type_=ARRAY(ATTACHMENTS["content"].type)),
)


class Outdated(Exception):
    """A template was changed since it was read: read it again."""


@dataclass(frozen=True)
class Request:
    """A request as it is entered, of a template or with the content that it has itself. due_at is by the clock of the
    outside.

    state is that of the rows of the template when it was read (see known_templates); None: however they are now.
    recipients are in the order of the request, each with its mark and, where nothing can be sent to it, the reason.
    """

    brand_id: int | None
    channel_id: int
    template: Template | None
    state: str | None
    content: str
    accepted_at: datetime
    due_at: datetime
    unique_id: str
    recipients: Sequence[tuple[Addressee, str, str]]
    files: Sequence[AttachedFile]

    @property
    def template_id(self) -> int | None:
        """The number of the template."""
        return self.template.id if self.template else None


@dataclass(frozen=True, slots=True)
class FreshClaim(Claim):
    """The claim of a message that was entered in this process a moment ago, with what is to be sent.

    template is as it was when the request was accepted.
    """

    send: Send
    template: Template | None
    recipient: Recipient
    files: Sequence[AttachedFile]


def enter(scope: Scope, request: Request, claimed_until: datetime | None) -> tuple[int, list[FreshClaim]]:
    """Enter a request; its SendID, and the claims of its messages if they are entered claimed, until an instant.

    Raises Outdated for a template that is not as it was read, Conflict for a UniqueMessageID that was used.
    """
    parameters = {
        "tenant_id": scope.tenant_id,
        **request_keys.claim(scope, request.unique_id),
        **{name: getattr(request, name) for name in ("brand_id", "channel_id", "content")},
        "template_id": request.template_id,
        "state_read": request.state,
        "accepted_at": request.accepted_at,
        "due_at": request.due_at,
        "addresses": [addressee.address for addressee, _, _ in request.recipients],
        "marks": [mark for _, mark, _ in request.recipients],
        "personalizations": [_written(addressee) for addressee, _, _ in request.recipients],
        "faults": [fault for _, _, fault in request.recipients],
        "customers": [addressee.customer_id for addressee, _, _ in request.recipients],
        "persons": [addressee.customer_id.lower() for addressee, _, _ in request.recipients],
        "source": Source.TRANSACTIONAL,
        "batch": None,
        "state": State.PENDING if claimed_until is None else State.CLAIMED,
        "message_due_at": claimed_until or request.due_at,
    }
    if request.files:
        parameters |= {
            "file_names": [file.file_name for file in request.files],
            "content_types": [file.content_type for file in request.files],
            "contents": [file.content for file in request.files],
        }
    with scope.stores.records.alone() as connection:
        entered = connection.execute(ENTER_WITH_FILES if request.files else ENTER, parameters).mappings().all()
    if not entered[0]["stands"]:
        raise Outdated
    if entered[0]["send_id"] is None:
        raise request_keys.used()
    send_id = int(entered[0]["send_id"])
    return send_id, [] if claimed_until is None else _claims(scope, request, send_id, entered)


def _written(addressee: Addressee) -> str:
    return orjson.dumps(addressee.values).decode() if addressee.values else ""


def _claims(scope: Scope, request: Request, send_id: int, entered: Sequence[RowMapping]) -> list[FreshClaim]:
    """The claims of what was entered, with what the records have of it."""
    of_send: dict[str, Any] = {
        "tenant_id": scope.tenant_id,
        "brand_id": request.brand_id,
        "channel_id": request.channel_id,
    }
    of_send["template_id"] = request.template_id
    send = Send(id=send_id, **of_send, content=request.content, accepted_at=request.accepted_at, due_at=request.due_at)
    claims = []
    for row, (addressee, mark, fault) in zip(entered, request.recipients, strict=True):
        if fault:
            continue
        claim = claim_of(row)
        recipient = Recipient(
            id=claim.source_id,
            **of_send,
            send_id=send_id,
            address=addressee.address,
            mark=mark,
            customer_id=addressee.customer_id,
            person=addressee.customer_id.lower(),
            personalizations=_written(addressee),
            message_id=claim.message_id,
            state=State.PENDING,
        )
        members = {member.name: getattr(claim, member.name) for member in fields(Claim)}
        claims.append(
            FreshClaim(**members, send=send, template=request.template, recipient=recipient, files=request.files)
        )
    return claims
