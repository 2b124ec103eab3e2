"""The device look-up of web SDKs: what a browser's User-Agent says of browser, system and device."""

import re
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

from rapport.api.sections import SectionRouter

router = SectionRouter("Events")

PATH = "/sdk-services/user-agent"
LONGEST = 500
VERSION = r"/(\d+(?:\.\d+){0,3})"
# The first that is there counts: most name the browsers that they are made of, too.
BROWSERS = (
    ("Edge", r"\bEdg(?:e|A|iOS)?" + VERSION),
    ("Opera", r"\b(?:OPR|OPT|Opera)" + VERSION),
    ("Samsung Internet", r"\bSamsungBrowser" + VERSION),
    ("Firefox", r"\b(?:Firefox|FxiOS)" + VERSION),
    ("Chrome Headless", r"\bHeadlessChrome" + VERSION),
    ("Chrome", r"\b(?:Chrome|CriOS)" + VERSION),
    ("Mobile Safari", r"\bVersion" + VERSION + r" Mobile/\S{1,20} Safari/"),
    ("Safari", r"\bVersion" + VERSION + r" Safari/"),
    ("IE", r"\b(?:MSIE |rv:)(\d+(?:\.\d+)?)"),
)
ENGINES = (
    ("EdgeHTML", r"\bEdge" + VERSION),
    ("Blink", r"\b(?:Headless)?Chrome" + VERSION),
    ("WebKit", r"\bAppleWebKit" + VERSION),
    ("Gecko", r"\brv:(\d+(?:\.\d+)*)\)? Gecko/"),
    ("Trident", r"\bTrident" + VERSION),
)
SYSTEMS = (
    ("iOS", r"\b(?:iPhone|CPU) OS (\d+(?:_\d+){0,2})"),
    ("Android", r"\bAndroid (\d+(?:\.\d+){0,2})"),
    ("Windows", r"\bWindows NT (\d+\.\d+)"),
    ("Chrome OS", r"\bCrOS \S{1,20} (\d+(?:\.\d+){0,2})"),
    ("Mac OS", r"\bMac OS X (\d+(?:[_.]\d+){0,2})"),
    ("Linux", r"\bLinux()"),
)
WINDOWS = {"10.0": "10", "6.3": "8.1", "6.2": "8", "6.1": "7", "6.0": "Vista", "5.1": "XP"}
ARCHITECTURES = (
    ("amd64", re.compile(r"\b(?:x86_64|Win64|WOW64|amd64)\b")),
    ("arm64", re.compile(r"\b(?:aarch64|arm64)\b")),
    ("ia32", re.compile(r"\b(?:i[3-6]86|x86)\b")),
)
ANDROID_MODEL = re.compile(r"\bAndroid [\d.]{1,10}; ([A-Za-z0-9 _().+-]{1,60}?)(?: Build/|\))")

HIDDEN_MODEL = "K"  # what browsers say that tell no site the model


def _first(patterns: tuple[tuple[str, str], ...], text: str) -> dict[str, str]:
    for name, pattern in patterns:
        if match := re.search(pattern, text):
            return {"name": name, "version": match[1].replace("_", ".")}
    return {}


def user_agent(text: str) -> dict[str, Any]:
    """What a User-Agent says. What it does not say is left out; a device without a type is a desktop."""
    text = text[:LONGEST]
    browser, system = _first(BROWSERS, text), _first(SYSTEMS, text)
    if browser:
        browser["major"] = browser["version"].partition(".")[0]
    if system.get("name") == "Windows":
        system["version"] = WINDOWS.get(system["version"], system["version"])
    architecture = next((name for name, pattern in ARCHITECTURES if pattern.search(text)), None)
    return {
        "ua": text,
        "browser": browser,
        "engine": _first(ENGINES, text),
        "os": system,
        "device": _device(text),
        "cpu": {"architecture": architecture} if architecture else {},
    }


def _device(text: str) -> dict[str, str]:
    for model, kind in (("iPhone", "mobile"), ("iPad", "tablet"), ("iPod", "mobile")):
        if model in text:
            return {"vendor": "Apple", "model": model, "type": kind}
    if "Android" in text:
        model = match[1].strip() if (match := ANDROID_MODEL.search(text)) else ""
        device = {"vendor": "Samsung"} if model.startswith(("SM-", "SAMSUNG")) else {}
        if model not in ("", HIDDEN_MODEL):
            device["model"] = model
        return {**device, "type": "mobile" if "Mobile" in text else "tablet"}
    return {"vendor": "Apple", "model": "Macintosh"} if "Macintosh" in text else {}


@router.get(
    PATH,
    summary="What a browser's User-Agent says",
    operation_id="UserAgent",
    response_class=Response,
    responses={
        200: {
            "description": "Browser, engine, system, device and processor",
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": user_agent("Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"),
                }
            },
        }
    },
)
async def look_up(request: Request) -> Response:
    """For web SDKs, which put it into their events. Needs no key; nothing is stored."""
    content = user_agent(request.headers.get("user-agent", ""))
    headers = {"Cache-Control": "private, max-age=3600", "Vary": "User-Agent"}
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")
