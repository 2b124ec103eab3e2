"""The ASGI application: routers, errors, observation; and the roles of a process."""

import functools
import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any

import orjson
from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.responses import Response

from rapport.access.limits import RateLimiter
from rapport.api import document
from rapport.api.http import watching
from rapport.api.http.application import prepare
from rapport.api.http.cors import Cors
from rapport.api.http.failures import answer_domain_errors
from rapport.api.http.observing import Observing
from rapport.api.http.paths import WirePaths
from rapport.api.http.protection import policy_of
from rapport.api.http.responses import json_response
from rapport.api.http.routing import ByBeginning
from rapport.api.http.shares import Places
from rapport.api.routers import MANAGEMENT, WIRE
from rapport.api.wire import (
    mail_events,
    optimail_unsubscribers,
    pictures,
    preference_page,
    transactional_mail,
    unsubscribe,
)
from rapport.api.wire.event_senders import THREADS
from rapport.apps.reports import ReportSink
from rapport.campaigns.cycle.scheduler import Scheduler
from rapport.campaigns.delivery.copier import Copier
from rapport.campaigns.delivery.engagements import SECRET_MEMBERS
from rapport.campaigns.delivery.mail_events import CampaignMailEvents
from rapport.customers import consent_marks
from rapport.customers.privacy import tasks
from rapport.customers.writes import writer
from rapport.delivery.keyword_replies import KeywordReplySender
from rapport.delivery.preference_mail import PreferenceLinkSender
from rapport.delivery.returns.app_reports import PushReports
from rapport.delivery.returns.in_app_reports import InAppReports
from rapport.delivery.returns.inbound import InboundMail
from rapport.delivery.returns.recorder import MailEventRecorder, Sinks
from rapport.delivery.returns.sms_listener import SmsListener
from rapport.journeys import following as _events  # noqa: F401 - journeys follow events
from rapport.journeys import group_entries as _groups  # noqa: F401 - and target groups
from rapport.journeys import uses as _uses  # noqa: F401 - what they name is kept for them
from rapport.messaging.tracking.tokens import SentFor, TokenReader
from rapport.notifications.deliverer import Deliverer
from rapport.realtime import service as realtime
from rapport.realtime.events.directory import Directory
from rapport.realtime.events.intake import Intake
from rapport.realtime.events.pacing import EventRateLimiter
from rapport.realtime.popups import Popups
from rapport.realtime.recording.pending_receipts import unfiled_receipts
from rapport.redemptions.expiring import Expirer
from rapport.stores import Stores
from rapport.stores.workers.base import Worker, running
from rapport.transactional.in_app_sends import InAppSender
from rapport.transactional.mail_events import TransactionalMailEvents
from rapport.transactional.messages import TransactionalSender
from rapport.transactional.pushes.messages import PushSender
from rapport.transactional.pushes.reports import NotificationReports

# Each thread that waits for the interpreter wakes as often to ask for it: far below this, dozens of them that send a
# campaign take half a core for nothing.
SWITCH_SECONDS = 0.001
# Of requests with attachments so many are read and carried out at once: each takes several times its size of memory.
LARGE_BODIES = 8
ASSETS = "/docs/assets"


def mail_event_sinks() -> Sinks:
    """Where what becomes of messages is recorded, by what they were sent for."""
    return {
        SentFor.CAMPAIGN: CampaignMailEvents(unfiled_receipts),
        SentFor.TRANSACTIONAL: TransactionalMailEvents(),
    }


def report_sinks() -> tuple[ReportSink, ...]:
    """Who is told what apps tell of messages: each sink gets every report."""
    return PushReports(), InAppReports(), NotificationReports()


def workers_of(stores: Stores, roles: frozenset[str]) -> list[Worker]:
    """The workers of a process with some roles, in the order in which they are started."""
    workers: list[Worker] = []
    if "worker" in roles:
        workers += [
            Deliverer(stores, SECRET_MEMBERS),
            TransactionalSender(stores),
            InAppSender(stores),
            PreferenceLinkSender(stores),
            KeywordReplySender(stores),
            SmsListener(stores),
            PushSender(stores),
            *realtime.workers(stores),
            MailEventRecorder(stores, mail_event_sinks()),
            Copier(stores),
            Expirer(stores),
        ]
        if stores.settings.bounce_port:
            workers.append(InboundMail(stores))
    if "scheduler" in roles:
        workers.append(Scheduler(stores))
    return workers


@contextmanager
def carrying_out(stores: Stores, roles: frozenset[str]) -> Iterator[None]:
    """Durable work, deliveries and the schedule, for as long as the block runs, as far as the roles say."""
    if "worker" in roles:
        consent_marks.convert_all(stores)
    with ExitStack() as parts:
        stores.start_work(listening="worker" in roles)
        if "worker" in roles:
            tasks.look_at_attributes(stores)
            writer.writer_of(stores).sweep()
        parts.enter_context(running(*workers_of(stores, roles)))
        stores.play(roles)
        parts.callback(stores.play, frozenset())
        _be_prompt()
        yield


def _be_prompt() -> None:
    """Let no thread wait long for another: what is due in milliseconds runs beside what computes for seconds.

    Threads hand the interpreter over more often, and what was loaded at the start is never searched for garbage,
    which holds all of them up for a tenth of a second and more.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()


def create_app(stores: Stores, operator_token: str = "") -> FastAPI:
    """The application on open stores. Whoever opened the stores closes them.

    operator_token opens the management API to the operator on the same machine; empty means no one.
    """
    app = _routed()
    prepare(app, stores, operator_token, (*WIRE, *MANAGEMENT))
    app.state.watch = watching.Watch(stores)
    app.state.directory = Directory(stores)
    app.state.intake = stores.workers.only(Intake, stores)
    app.state.report_sinks = report_sinks()
    app.state.pictures = pictures.DrawnPictures()
    app.state.event_limiter = EventRateLimiter()
    app.state.popups = Popups()
    app.state.reading = CapacityLimiter(THREADS)
    app.state.large_bodies = Places(LARGE_BODIES)
    app.state.accepting = CapacityLimiter(transactional_mail.THREADS)
    app.state.unsubscribed = RateLimiter(unsubscribe.MOST_TIMES, unsubscribe.WITHIN_SECONDS)
    app.state.mail_tokens = TokenReader(stores)
    app.state.mail_events = RateLimiter(mail_events.MOST_TIMES, mail_events.WITHIN_SECONDS)
    app.state.preference_links = RateLimiter(preference_page.LINKS_OF_TENANT, preference_page.LINK_SECONDS)
    app.state.unsubscriber_calls = optimail_unsubscribers.CallLimits()
    app.user_middleware[:0] = [
        Middleware(WirePaths, routes=[route for router in WIRE for route in router.routes]),
        Middleware(Cors),
    ]
    return app


def create_watched(stores: Stores) -> FastAPI:
    """The application of a process that serves no API: health, readiness and metrics only."""
    app = FastAPI(title="Rapport", version=version("rapport"), docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(watching.router)
    app.state.watch = watching.Watch(stores)
    app.user_middleware = [Middleware(Observing)]

    answer_domain_errors(app)
    return app


@functools.cache
def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of everything, without an engine. It is made once, and nobody may change it."""
    return document.completed(FastAPI.openapi(_routed()))


def _routed() -> FastAPI:
    # The pages of /docs come with a package, so that they work where nothing else can be reached.
    app = FastAPIOffline(
        title="Rapport",
        version=version("rapport"),
        description=document.INTRODUCTION,
        docs_url=None,
        redoc_url=None,
        static_url=ASSETS,
        redirect_slashes=False,
    )
    app.routes[:] = [route for route in app.routes if getattr(route, "path", "") != app.openapi_url]
    app.routes.extend(route for router in (*WIRE, *MANAGEMENT, operations, watching.router) for route in router.routes)
    app.openapi = openapi_document  # type: ignore[method-assign]
    app.router.middleware_stack = ByBeginning(app.router)
    return app


@functools.cache
def _written_document() -> bytes:
    return orjson.dumps(openapi_document())


operations = APIRouter(tags=["operations"])


@operations.get("/openapi.json", include_in_schema=False)
def described() -> Response:
    """The OpenAPI document, which is made and written once, and on no event loop."""
    return json_response(_written_document())


@operations.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """All calls as a page, to read and to try."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title="Rapport",
        swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
    )
    page.headers["Content-Security-Policy"] = policy_of(bytes(page.body).decode())
    return page
