"""The pages that recipients open: plain, without scripts, in the look of the brand that wrote to them."""

from html import escape
from typing import Any

from starlette.responses import HTMLResponse

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.brands.looks import NO_LOOK, Look, look_of
from rapport.errors import NotFound
from rapport.messaging import languages
from rapport.messaging.languages import ENGLISH

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
}
UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {
        "description": "Rapport did not create this address",
        "content": {"text/html": {"schema": {"type": "string"}}},
    }
}
STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:3rem auto;padding:0 1rem;color:#1b1b1b;"
    "background:#fff}fieldset{margin:0 0 1.2rem;border:1px solid #767676;border-radius:.3rem}legend{font-weight:600}"
    "label{display:inline-block;margin:.15rem 1.2rem .15rem 0}button,input{font:inherit}button{padding:.4rem 1.2rem}"
    ".about{margin:.2rem 0 .5rem}header img{max-width:16rem;max-height:5rem}header{font-weight:600}"
    "footer{margin-top:3rem;font-size:.85rem;white-space:pre-line}"
)
BRANDED = (
    "body{{color:{text}}}button{{background:{color};color:{on_color};border:1px solid {color};border-radius:.3rem}}"
    "header a{{color:{text}}}body{{border-top:.35rem solid {color};padding-top:1.5rem}}"
)
# Relative luminance (WCAG 2.2) above which black letters are easier to read than white ones.
LIGHT = 0.179


def page(title: str, body: str, status: int = 200, language: str = ENGLISH, look: Look = NO_LOOK) -> HTMLResponse:
    """A page of a title (plain text) and a body (HTML), with the logo, colours and address of a brand."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{_colors(look)}</style><title>{escape(title)}</title>"
    )
    tongue = f'lang="{escape(language)}" dir="{languages.direction(language)}"'
    footer = f"<footer>{escape(look.postal_address)}</footer>" if look.postal_address else ""
    content = f"{_header(look)}<main><h1>{escape(title)}</h1>{body}</main>{footer}"
    document = f"<!doctype html><html {tongue}><head>{head}</head><body>{content}</body></html>"
    policy = f"{POLICY}; img-src http: https:" if look.logo_url else POLICY
    return HTMLResponse(document, status, {**HEADERS, "Content-Security-Policy": policy})


def look_of_channel(scope: Scope, channel_id: int) -> Look:
    """The look of the brand that writes on a channel, which may be gone."""
    try:
        return look_of(scope, channels.channel(scope, channel_id))
    except NotFound:
        return look_of(scope, None)


def _colors(look: Look) -> str:
    if not look.color:
        return ""
    on_color = "#000" if _luminance(look.color) > LIGHT else "#fff"
    return BRANDED.format(color=look.color, on_color=on_color, text=look.text_color)


def _luminance(color: str) -> float:
    """The relative luminance of #rrggbb, from 0 to 1 (WCAG 2.2)."""
    parts = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _header(look: Look) -> str:
    name = escape(look.name)
    shown = f'<img src="{escape(look.logo_url)}" alt="{name}">' if look.logo_url else name
    if shown and look.website_url:
        shown = f'<a href="{escape(look.website_url)}">{shown}</a>'
    return f"<header>{shown}</header>" if shown else ""
