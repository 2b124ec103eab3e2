"""Management of event listeners: their secrets, what they were told, and telling it again."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Query
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.access.roles import Rights
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.manage.messaging.addresses import MASKED_IS_KEPT
from rapport.api.manage.messaging.rotations import SecretRotation
from rapport.api.sections import SectionRouter
from rapport.masks import masked
from rapport.notifications import service
from rapport.notifications.models import CALLBACK, Delivery, Listener

router = SectionRouter("Management: listeners", "/manage/v1/listeners", JsonRoute)
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
State = Literal["pending", "delivered", "parked", "canceled"]


class ListenerIn(Body):
    """A listener to register; registering the same event type and channel again replaces the URL."""

    event_type_id: int = Field(examples=[13], description="1, 2, 3, 4, 5, 11, 13, 14, 101, 102 or 103")
    url: str = Field(
        min_length=1,
        max_length=2000,
        examples=["https://hooks.example.com/events"],
        description=MASKED_IS_KEPT,
    )
    channel_id: int | None = Field(None, ge=1, le=2**31 - 1, examples=[505])


class ListenerOut(BaseModel):
    """A listener with the secret with which its posts are signed."""

    id: int
    event_type_id: int = Field(examples=[13], description="0: the CallbackURLs of one host")
    channel_id: int | None = Field(examples=[505])
    url: str = Field(
        examples=["https://hooks.example.com/events"],
        description="Its password, and values of its query such as token or key, are shown as ***",
    )
    secret: str = Field(examples=["whsec_bm90LWEtcmVhbC1zZWNyZXQ="], description="Empty for a key that only reads")
    status: str = Field(examples=["active"], description="disabled: it answered 410; register it again")
    failures: int = Field(description="Failed posts since the last success")
    paused_until: datetime | None = Field(description="After failures, nothing is posted before this time")
    created_at: datetime
    updated_at: datetime


class DeliveryOut(BaseModel):
    """One event for a listener."""

    id: int
    listener_id: int
    event_type_id: int
    message_id: str = Field(description="The webhook-id header, constant over attempts")
    body: str = Field(examples=['{"EventTypeID":3,"TimeStamp":"2025-03-14 09:20"}'])
    state: State
    attempts: int
    due_at: datetime | None
    last_status: int | None
    last_error: str
    created_at: datetime
    finished_at: datetime | None


class Replayed(BaseModel):
    """The number of deliveries that will be posted again."""

    deliveries: int


class Canceled(BaseModel):
    """How many deliveries were canceled."""

    deliveries: int


def _shown(listener: Listener, principal: Principal) -> ListenerOut:
    shown = ListenerOut.model_validate(listener, from_attributes=True)
    of_channel = None if listener.event_type_id == CALLBACK else listener.channel_id or None
    secret = "" if principal.rights is Rights.READ else listener.secret
    return shown.model_copy(update={"channel_id": of_channel, "secret": secret, "url": masked(listener.url)})


def _delivery(delivery: Delivery) -> DeliveryOut:
    return DeliveryOut.model_validate(delivery, from_attributes=True)


@router.get("", summary="List listeners")
def list_listeners(page: Paged, principal: Principal = Depends(admin)) -> list[ListenerOut]:  # noqa: B008
    """The tenant's listeners, by event type and channel. Event type 0 stands for hosts to which callbacks are
    posted.
    """
    listeners = page.of(service.listeners(principal.scope, with_callbacks=True))
    return listeners.each(lambda listener: _shown(listener, principal))


@router.post("", status_code=201, summary="Register a listener")
def register_listener(body: ListenerIn, principal: Principal = Depends(admin)) -> ListenerOut:  # noqa: B008
    """Like RegisterEventListener, and shows the secret."""
    listener = service.register_listener(principal.scope, body.event_type_id, body.url, body.channel_id)
    return _shown(listener, principal)


@router.get("/{listener_id}", summary="Get a listener")
def get_listener(listener_id: Id, principal: Principal = Depends(admin)) -> ListenerOut:  # noqa: B008
    """A listener by id."""
    return _shown(service.listener(principal.scope, listener_id), principal)


@router.delete("/{listener_id}", status_code=204, summary="Remove a listener")
def delete_listener(listener_id: Id, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Undelivered notifications are canceled."""
    listener = service.listener(principal.scope, listener_id)
    service.unregister_listener(principal.scope, listener.event_type_id, listener.channel_id or None)


@router.post("/{listener_id}/rotate-secret", summary="Rotate a listener's secret")
def rotate_listener_secret(
    listener_id: Id,
    body: SecretRotation | None = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> ListenerOut:
    """During grace_hours (24 by default), posts have signatures of both secrets."""
    grace = (body or SecretRotation()).grace_hours
    return _shown(service.rotate_secret(principal.scope, listener_id, grace), principal)


@router.get("/{listener_id}/deliveries", summary="List deliveries")
def list_deliveries(
    listener_id: Id,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[DeliveryOut]:
    """Past and pending deliveries to the listener, newest first."""
    service.listener(principal.scope, listener_id)
    return service.deliveries(principal.scope, listener_id, state, limit, offset).each(_delivery)


@router.post("/{listener_id}/replay", status_code=202, summary="Post parked deliveries again")
def replay_parked(listener_id: Id, principal: Principal = Depends(admin)) -> Replayed:  # noqa: B008
    """Posts every parked delivery of the listener again, with its original message ID; 409 while the listener is
    disabled.
    """
    return Replayed(deliveries=service.replay(principal.scope, listener_id))


@router.post("/{listener_id}/deliveries/{delivery_id}/replay", status_code=202, summary="Post a delivery again")
def replay_one(
    listener_id: Id,
    delivery_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
    principal: Principal = Depends(admin),  # noqa: B008
) -> Replayed:
    """Posts one delivery again, in whatever state it is, with its original message ID."""
    return Replayed(deliveries=service.replay(principal.scope, listener_id, delivery_id))


@router.post("/{listener_id}/cancel", summary="Cancel pending deliveries")
def cancel_waiting(listener_id: Id, principal: Principal = Depends(admin)) -> Canceled:  # noqa: B008
    """Cancels every pending or parked delivery; the listener stays. A post that is under way may still arrive."""
    return Canceled(deliveries=service.cancel(principal.scope, listener_id))


@router.post("/{listener_id}/deliveries/{delivery_id}/cancel", summary="Cancel a delivery")
def cancel_one(
    listener_id: Id,
    delivery_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
    principal: Principal = Depends(admin),  # noqa: B008
) -> Canceled:
    """Cancels a pending or parked delivery; 409 for one that has ended. A post that is under way may still arrive."""
    return Canceled(deliveries=service.cancel(principal.scope, listener_id, delivery_id))
