"""What is put into the messages of a template so that it is known who opens and clicks, and what comes back."""

from dataclasses import replace

from rapport.access.scope import Scope
from rapport.channels.messages import Content
from rapport.messaging.models import Template
from rapport.messaging.plain_texts import text_of
from rapport.messaging.tracking import rewriting
from rapport.messaging.tracking.links import link_ids
from rapport.messaging.tracking.rewriting import CLICK, PIXEL
from rapport.messaging.tracking.tokens import TokenWriter

CLICK_PATH, OPEN_PATH, VIEW_PATH = "/l", "/o", "/view"
LONGEST_DESTINATION = 4000


def with_pixel(scope: Scope, content: Content, tokens: TokenWriter, message_id: str, customer_id: str) -> Content:
    """Content that is sent as it is, with what tells that its HTML was opened."""
    if not content.html:
        return content
    pixel = f"{scope.stores.settings.links_url}{OPEN_PATH}/{tokens.link_token(message_id, customer_id)}.gif"
    return replace(content, html=content.html + rewriting.IMAGE.replace(f"[%{PIXEL}%]", pixel))


def view_link(scope: Scope, tokens: TokenWriter, message_id: str, customer_id: str) -> str:
    """The link that shows the message to a customer in a browser."""
    return f"{scope.stores.settings.links_url}{VIEW_PATH}/{tokens.view_token(message_id, customer_id)}"


class Tracking:
    """The tracking of the messages of one template; template is what is filled in place of the original.

    with_pixel: whether it is to be known who opens a message.
    """

    def __init__(self, scope: Scope, template: Template, tokens: TokenWriter, *, with_pixel: bool = True) -> None:
        self._base = scope.stores.settings.links_url
        self._tokens = tokens
        plain = template.text or text_of(template.html)
        self._content = rewriting.tracked(template.html, plain, lambda urls: link_ids(scope, urls))
        self.template = Template(
            tenant_id=template.tenant_id,
            channel_id=template.channel_id,
            id=template.id,
            name=template.name,
            subject=template.subject,
            html=self._content.html if with_pixel else self._content.html.removesuffix(rewriting.IMAGE),
            text=self._content.text,
            details=template.details,
        )

    def token(self, message_id: str, customer_id: str) -> str:
        """What the links of a message to a customer say of it."""
        return self._tokens.link_token(message_id, customer_id)

    def values(self, link_token: str) -> dict[str, str]:
        """What the placeholders of tracking stand for in one message."""
        click, pixel = f"{self._base}{CLICK_PATH}/{link_token}", f"{self._base}{OPEN_PATH}/{link_token}.gif"
        return {CLICK: click, PIXEL: pixel}

    def signed(self, content: Content, link_token: str) -> Content:
        """A filled message with the addresses signed that are of this customer only."""
        if not self._content.signs:
            return content

        def address(link_id: int, destination: str) -> str:
            if destination.startswith(f"{self._base}/") or len(destination) > LONGEST_DESTINATION:
                return destination  # Rapport's own, to unsubscribe for instance, or too long to be signed in a path
            signed = self._tokens.signed_destination(link_token, link_id, destination)
            return f"{self._base}{CLICK_PATH}/{link_token}/{link_id}/{signed}"

        text, page = rewriting.signed_text(content.text, address), rewriting.signed_page(content.html, address)
        return replace(content, text=text, html=page)
