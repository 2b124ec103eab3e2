"""Links that lead into an app, also one that is installed only then, and banners on web pages that offer them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.apps.models import Banner, DeepLink
from rapport.errors import Gone, NotFound, TooManyRequests

# How soon a device may ask again for a link that was used as often as it may be: somebody may have raised the limit.
ASK_AGAIN = timedelta(hours=1)


@dataclass(frozen=True)
class LinkTarget:
    """Where a link leads within an app, what is said of it, and how long and how often it may be used."""

    link_data: dict[str, Any]
    title: str = ""
    description: str = ""
    expires_at: datetime | None = None
    most_uses: int | None = None


def deep_links(scope: Scope, app_id: int) -> list[DeepLink]:
    """The links of an app, by slug."""
    mine = (DeepLink.tenant_id == scope.tenant_id, DeepLink.app_id == app_id)
    with scope.reads() as session:
        return list(session.scalars(select(DeepLink).where(*mine).order_by(DeepLink.slug.collate("C"))))


def save_deep_link(scope: Scope, app_id: int, slug: str, target: LinkTarget) -> DeepLink:
    """Make a link of an app, or change the one with this slug, which keeps the count of its uses."""
    key = {"tenant_id": scope.tenant_id, "app_id": app_id, "slug": slug}
    values = {
        "link_data": target.link_data,
        "title": target.title,
        "description": target.description,
        "expires_at": target.expires_at,
        "most_uses": target.most_uses,
    }
    statement = insert(DeepLink).values(**key, **values, uses=0, deferred_uses=0, created_at=scope.clock.now())
    statement = statement.on_conflict_do_update(index_elements=list(key), set_=values)
    with scope.records() as session:
        saved = session.scalars(statement.returning(DeepLink), execution_options={"populate_existing": True}).one()
        scope.audit(session, "save", f"deep link {slug} of app {app_id}")
    return saved


def delete_deep_link(scope: Scope, app_id: int, slug: str) -> None:
    """Delete a link. Raises NotFound."""
    mine = (DeepLink.tenant_id == scope.tenant_id, DeepLink.app_id == app_id, DeepLink.slug == slug)
    with scope.records() as session:
        deleted = session.execute(delete(DeepLink).where(*mine))
        if not (isinstance(deleted, CursorResult) and deleted.rowcount):
            raise NotFound(f"App {app_id} has no deep link {slug!r}.")
        scope.audit(session, "delete", f"deep link {slug} of app {app_id}")


def follow(scope: Scope, app_id: int, slug: str, *, deferred: bool) -> DeepLink:
    """A link that a device has followed, which is counted; deferred: the app was installed only then.

    Raises NotFound, Gone for one that has expired, and TooManyRequests for one that was used as often as it may be.
    """
    with scope.records() as session:
        link = session.get(DeepLink, (scope.tenant_id, app_id, slug), with_for_update=True)
        if link is None:
            raise NotFound("There is no such deep link.")
        if link.expires_at is not None and link.expires_at <= scope.clock.now():
            raise Gone("This deep link has expired.")
        if link.most_uses is not None and link.uses >= link.most_uses:
            raise TooManyRequests(
                f"This deep link was used {link.uses} times, which is its limit.", int(ASK_AGAIN.total_seconds())
            )
        link.uses += 1
        link.deferred_uses += deferred
    return link


def banners(scope: Scope, app_id: int) -> list[Banner]:
    """The banners of an app, by id."""
    mine = (Banner.tenant_id == scope.tenant_id, Banner.app_id == app_id)
    with scope.reads() as session:
        return list(session.scalars(select(Banner).where(*mine).order_by(Banner.uid.collate("C"))))


def save_banner(scope: Scope, app_id: int, uid: str, settings: dict[str, Any]) -> Banner:
    """Make a banner of an app, or change the one of this id, which keeps the count of its taps."""
    key = {"tenant_id": scope.tenant_id, "app_id": app_id, "uid": uid}
    statement = insert(Banner).values(**key, settings=settings, taps=0, created_at=scope.clock.now())
    statement = statement.on_conflict_do_update(index_elements=list(key), set_={"settings": settings})
    with scope.records() as session:
        saved = session.scalars(statement.returning(Banner), execution_options={"populate_existing": True}).one()
        scope.audit(session, "save", f"banner {uid} of app {app_id}")
    return saved


def delete_banner(scope: Scope, app_id: int, uid: str) -> None:
    """Delete a banner. Raises NotFound."""
    mine = (Banner.tenant_id == scope.tenant_id, Banner.app_id == app_id, Banner.uid == uid)
    with scope.records() as session:
        deleted = session.execute(delete(Banner).where(*mine))
        if not (isinstance(deleted, CursorResult) and deleted.rowcount):
            raise NotFound(f"App {app_id} has no banner {uid!r}.")
        scope.audit(session, "delete", f"banner {uid} of app {app_id}")


def tap(scope: Scope, app_id: int, uid: str) -> None:
    """Count a tap on a banner; one that there is not any more, which a page may still show, is no error."""
    mine = (Banner.tenant_id == scope.tenant_id, Banner.app_id == app_id, Banner.uid == uid)
    with scope.records() as session:
        session.execute(update(Banner).where(*mine).values(taps=Banner.taps + 1))
