"""The web shop of the retailer, which only the server of a demo has: it uses the inbox script and web push.

Whoever looks at it chooses whom to be. What is bought there is reported like an event of a real site, so that the
triggered campaigns answer it, while one looks on.
"""

from html import escape
from importlib.resources import files as resources
from urllib.parse import urlencode

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.access.scope import scope_of
from rapport.api.sections import SectionRouter
from rapport.demo.files import customer_index, full_name, product_id
from rapport.demo.pages import HEADERS, MAILBOX_PATH
from rapport.demo.run import DemoResult
from rapport.demo.site import SHOP_PATH
from rapport.demo.world import CATEGORIES
from rapport.realtime.events import tokens

HOME, ICON, SCRIPT, WORKER = "home", "icon.svg", "shop.js", "worker.js"
HOME_PATH = f"{SHOP_PATH}/{HOME}"
JAVASCRIPT = "text/javascript; charset=utf-8"
# A page for each link of a message, by its last part, and what stands over it.
TITLES = {
    HOME: "Welcome to Calluna",
    "gift": "Your gift",
    "offers": "Offers",
    "new": "New in the shop",
    "orders": "Your orders",
    "help": "Help",
}
PRICES = (24.9, 32.5, 49.0, 27.5, 64.0, 21.9)
STYLE = """
:root{color-scheme:light dark;--green:light-dark(#2f5d50,#8fc7b4)}
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}
header{display:flex;flex-wrap:wrap;align-items:center;gap:1rem;border-bottom:1px solid #8886;padding-bottom:.7rem}
header form{margin-inline-start:auto;display:flex;flex-wrap:wrap;align-items:center;gap:.5rem}
h1{font-size:1.5rem;margin:1rem 0 .5rem}h2{font-size:1rem;margin:0}
select,button{font:inherit;padding:.35rem .8rem;max-width:100%;border:1px solid #888;border-radius:.4rem}
button{cursor:pointer}
.main{background:#2f5d50;color:#fff;border-color:#2f5d50}
:focus-visible{outline:3px solid #0b5fff;outline-offset:2px}
#prompt{display:flex;flex-wrap:wrap;align-items:center;gap:.6rem;margin:1rem 0;padding:.8rem 1rem;border-radius:.6rem;
background:light-dark(#e8f1ee,#1f2f2a)}
#prompt[hidden]{display:none}
#prompt p{margin:0;flex:1 1 18rem}
ul{list-style:none;padding:0;display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:1rem}
li{border:1px solid #8886;border-radius:.6rem;padding:1rem;display:flex;flex-direction:column;gap:.5rem}
li b{display:grid;place-items:center;height:5rem;border-radius:.4rem;background:light-dark(#e8f1ee,#1f2f2a);
color:var(--green);font-size:2rem}
[role=status]{min-height:1.5rem}
@media(max-width:40rem){#bell{margin-inline-start:auto}header form{order:1;margin:0}}
footer{margin-top:1.5rem;border-top:1px solid #8886;padding-top:.7rem}
"""
SHOP_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self'; connect-src 'self'; "
        "worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}
# A service worker is held to what its script says, not the page.
SCRIPT_HEADERS = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; connect-src 'self'"}
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="32"><rect width="120" height="32" rx="4" '
    'fill="#2f5d50"/><text x="60" y="21" fill="#fff" font-family="sans-serif" font-size="15" '
    'text-anchor="middle">Calluna</text></svg>'
)
SQUARE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96"><rect width="96" height="96" rx="20" '
    'fill="#2f5d50"/><text x="48" y="66" fill="#fff" font-family="sans-serif" font-size="56" '
    'text-anchor="middle">C</text></svg>'
)


def shop_of(result: DemoResult) -> SectionRouter:
    """The pages of the shop of a demo."""
    router = SectionRouter("operations")
    pictures = {"logo.svg": LOGO, ICON: SQUARE}
    scripts = {SCRIPT: _script("shop.js"), WORKER: _script("shop_worker.js")}

    @router.get(SHOP_PATH, include_in_schema=False)
    def entrance() -> Response:
        return RedirectResponse(HOME_PATH)

    @router.get(SHOP_PATH + "/{page}", include_in_schema=False)
    async def shown(page: str, request: Request, customer: str = "") -> Response:
        if page in pictures:
            return Response(pictures[page], media_type="image/svg+xml")
        if page in scripts:
            return Response(scripts[page], headers=SCRIPT_HEADERS, media_type=JAVASCRIPT)
        token = await run_in_threadpool(_token, request, result.tenant_id)
        chosen = customer if customer in result.shoppers else result.shoppers[0]
        return _page(result, page, chosen, token)

    return router


def _script(name: str) -> str:
    return resources("rapport.demo").joinpath(name).read_text()


def _token(request: Request, tenant_id: int) -> str:
    """The token with which sites of the tenant report events, which is public."""
    return tokens.tokens(scope_of(request.app.state.stores, tenant_id))[tokens.SDK_TOKEN].value


def _page(result: DemoResult, page: str, customer: str, token: str) -> HTMLResponse:
    title = TITLES.get(page, f"The page “{page}”")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} · Calluna</title><link rel="icon" href="{SHOP_PATH}/{ICON}"><style>{STYLE}</style>'
    )
    about = f'data-tenant="{result.tenant_id}" data-customer="{escape(customer)}"'
    bell = f'<span id="bell"><script src="/inbox.js" data-brand="{result.brand_id}" data-theme="auto" {about}></script>'
    mailbox = f"{MAILBOX_PATH}?{urlencode({'q': customer.lower()})}"
    body = (
        f'<header><a href="{HOME_PATH}?{urlencode({"customer": customer})}">'
        f'<img src="{SHOP_PATH}/logo.svg" alt="Calluna, home" width="120" height="32"></a>'
        f"{_who(result.shoppers, customer)}{bell}</span></header>"
        '<section id="prompt" aria-label="Messages in this browser" hidden><p></p>'
        '<button class="main" data-does="allow">Allow messages</button><button data-does="later">Not now</button>'
        '<button data-does="stop">Stop messages</button></section>'
        f"<main><h1>{escape(title)}</h1>"
        "<p>This shop is a part of the demo. What you buy is reported to Rapport as an event, and a triggered campaign "
        "thanks you: in the inbox at the top, and by mail.</p>"
        f'<p role="status"></p><ul>{_products()}</ul></main>'
        f'<footer><a href="{mailbox}">The mail that {escape(full_name(customer_index(customer)))} got</a></footer>'
        f'<script src="{SHOP_PATH}/{SCRIPT}" data-token="{escape(token)}" {about}></script>'
    )
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>', 200, SHOP_HEADERS
    )


def _who(shoppers: list[str], customer: str) -> str:
    """The form by which one becomes another customer."""
    names = {key: full_name(customer_index(key)) for key in shoppers}
    options = "".join(
        f'<option value="{key}"{" selected" if key == customer else ""}>{name} ({key})</option>'
        for key, name in names.items()
    )
    return (
        f'<form><label for="who">You are</label><select id="who" name="customer">{options}</select>'
        "<button>Change</button></form>"
    )


def _products() -> str:
    return "".join(
        f'<li><b aria-hidden="true">{category[0]}</b><h2>{category} no. 1</h2><span>{price:.2f} EUR</span>'
        f'<button data-does="buy" data-sku="{product_id(number)}" data-category="{category}" data-price="{price}" '
        f'aria-label="Buy {category} no. 1">Buy</button></li>'
        for number, (category, price) in enumerate(zip(CATEGORIES, PRICES, strict=False))
    )
