"""Pages that only the server of a demo has: its mailbox, with all mail that it has sent.

What a message brings can do nothing to whoever looks at it. Its HTML is in a sandboxed frame, without scripts; what is
elsewhere, such as pictures, is not loaded until asked for, so that to look at a message is not to open it. Its links
lead where they lead for its recipient, in another tab.
"""

from collections.abc import Sequence
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as POLICY
from html import escape
from typing import Annotated

from fastapi import Path
from starlette.responses import HTMLResponse, Response

from rapport.api.http.parameters import INT32_MAX
from rapport.api.sections import SectionRouter
from rapport.demo.mailbox import MOST_LETTERS, LetterHead, Mailbox

MAILBOX_PATH = "/demo/mailbox"
STYLE = """
:root{color-scheme:light dark}
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}
h1{font-size:1.4rem;margin:.5rem 0}
form{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem;margin:.5rem 0}
input,button{font:inherit;padding:.3rem .6rem;max-width:100%}
ol{list-style:none;padding:0;margin:0}
li{border-top:1px solid #8886;padding:.5rem 0}
li a{font-weight:600}
small,.more{color:color-mix(in srgb,CanvasText 75%,Canvas)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem .8rem;margin:.5rem 0}
dt{font-weight:600}dd{margin:0;min-width:0}
nav{display:flex;flex-wrap:wrap;gap:1rem;margin:.5rem 0}
nav a[aria-current]{font-weight:700;text-decoration:none}
iframe{width:100%;height:60vh;resize:vertical;border:1px solid #888;background:#fff;box-sizing:border-box}
pre{white-space:pre-wrap;font:inherit;border:1px solid #888;padding:.8rem;margin:0}
pre.source{font:.85rem/1.4 ui-monospace,monospace}
@media(max-width:30rem){dl{display:block}dd{margin-bottom:.3rem}}
"""
HEADERS = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
}
# Links open other tabs, which leave the sandbox: what they lead to works as anywhere else.
SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
NOT_SHOWN, SHOWN = "data:", "data: http: https:"
FRAME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src {images}; base-uri 'none'; form-action 'none'; "
    f"frame-ancestors 'self'; sandbox {SANDBOX}"
)
VIEWS = {"html": "HTML", "text": "Plain text", "source": "Source"}

Number = Annotated[int, Path(ge=1, le=INT32_MAX)]


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    page = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'
    return HTMLResponse(page, status, HEADERS)


def pages_of(box: Mailbox) -> SectionRouter:
    """The pages of a mail server."""
    router = SectionRouter("operations")

    @router.get(MAILBOX_PATH, include_in_schema=False)
    def listed(q: str = "") -> Response:
        return _page("Mail of the demo", _list(box.letters(), q.strip()))

    @router.get(MAILBOX_PATH + "/{number}", include_in_schema=False)
    def shown(number: Number, show: str = "html", pictures: bool = False) -> Response:
        content = box.source(number)
        return _gone() if content is None else _letter(number, content, show, pictures=pictures)

    @router.get(MAILBOX_PATH + "/{number}/html", include_in_schema=False)
    def framed(number: Number, pictures: bool = False) -> Response:
        content = box.source(number)
        if content is None:
            return _gone()
        policy = FRAME_POLICY.format(images=SHOWN if pictures else NOT_SHOWN)
        headers = {**HEADERS, "Content-Security-Policy": policy, "X-Frame-Options": "SAMEORIGIN"}
        head = '<meta charset="utf-8"><base target="_blank">'
        return HTMLResponse(
            f"<!doctype html><html><head>{head}</head><body>{_part(_mail(content), 'html')}", headers=headers
        )

    return router


def _gone() -> HTMLResponse:
    text = f"There is no such message. The mailbox keeps the last {MOST_LETTERS} messages."
    body = f"<main><h1>No message</h1><p>{text}</p><p><a href='{MAILBOX_PATH}'>All messages</a></p></main>"
    return _page("No message", body, 404)


def _mail(content: bytes) -> EmailMessage:
    return message_from_bytes(content, policy=POLICY)


def _part(mail: EmailMessage, kind: str) -> str:
    """The HTML or the plain text of a mail; empty when it has none."""
    part = mail.get_body((kind,))
    return "" if part is None else str(part.get_content())


def _list(letters: Sequence[LetterHead], searched: str) -> str:
    words = searched.lower().split()
    matching = [
        letter
        for letter in letters
        if all(word in f"{letter.sender} {letter.to} {letter.subject}".lower() for word in words)
    ]
    items = "".join(_item(letter) for letter in matching)
    count = f"{len(matching)} of {len(letters)} messages" if words else f"{len(letters)} messages"
    return (
        "<main><h1>Mail of the demo</h1>"
        f"<p>The last messages that the demo has sent, newest first: {count}. Nothing has left this machine.</p>"
        '<form role="search"><label for="q">Sender, recipient or subject</label>'
        f'<input id="q" name="q" type="search" value="{escape(searched)}"><button>Search</button></form>'
        f"<ol>{items}</ol></main>"
    )


def _item(letter: LetterHead) -> str:
    link = f'<a href="{MAILBOX_PATH}/{letter.number}">{escape(letter.subject) or "(no subject)"}</a>'
    about = f"To {escape(letter.to)}, from {escape(letter.sender)}"
    time = f'<time datetime="{escape(letter.date)}">{escape(letter.date[:16].replace("T", " "))}</time>'
    return f"<li>{link}<br><small>{about}, {time}</small></li>"


def _letter(number: int, content: bytes, view: str, *, pictures: bool) -> HTMLResponse:
    """The page of a message: its headers, and one of the VIEWS."""
    mail, path = _mail(content), f"{MAILBOX_PATH}/{number}"
    subject = str(mail["Subject"] or "(no subject)")
    current = ' aria-current="page"'
    links = "".join(
        f'<a href="{path}?show={name}"{current if name == view else ""}>{label}</a>' for name, label in VIEWS.items()
    )
    if view == "source":
        body = f'<pre class="source" tabindex="0">{escape(content.decode("utf-8", "replace"))}</pre>'
    elif view == "text":
        body = f'<pre tabindex="0">{escape(_part(mail, "plain") or "This message has no plain text.")}</pre>'
    else:
        body = _framed(path, pictures=pictures)
    first = "".join(_row(name, str(mail[name] or "")) for name in ("From", "To", "Date"))
    headers = "".join(_row(name, str(value)) for name, value in mail.items())
    return _page(
        subject,
        f'<nav><a href="{MAILBOX_PATH}">All messages</a></nav><main><h1>{escape(subject)}</h1><dl>{first}</dl>'
        f"<details><summary>All headers</summary><dl>{headers}</dl></details>"
        f'<nav aria-label="Views of the message">{links}</nav>{body}</main>',
    )


def _row(name: str, value: str) -> str:
    return f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"


def _framed(path: str, *, pictures: bool) -> str:
    """The frame with the HTML of a message, and the button that loads its pictures."""
    if pictures:
        about, query = "<p>Its pictures are loaded, so the message counts as opened.</p>", "?pictures=true"
    else:
        about, query = (
            f'<form action="{path}"><input type="hidden" name="pictures" value="true">'
            '<button aria-describedby="counts">Load pictures</button>'
            '<span class="more" id="counts">The message then counts as opened.</span></form>',
            "",
        )
    return f'{about}<iframe src="{path}/html{query}" sandbox="{SANDBOX}" title="The message as HTML"></iframe>'
