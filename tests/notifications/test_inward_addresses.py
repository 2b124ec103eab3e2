"""A listener never leads inward, in whatever form its address is written, unless that is allowed."""

import asyncio
import base64
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from webhook_receiver import receiving

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.notifications import service
from rapport.stores import Stores
from rapport.stores.outside.posting import Poster

INWARD = [
    "http://127.0.0.1/x",
    "http://localhost:8600/x",
    "http://10.1.2.3/",
    "http://192.168.0.1/",
    "http://169.254.169.254/latest",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://93.184.216.34:secret@127.0.0.1/",
    "http://user@10.0.0.1/",
    "http://[fd00::1]/",
    "http://0.0.0.0/",
    "http://224.0.0.1/",
]
MALFORMED = [
    "ftp://hooks.example.com/",
    "hooks.example.com",
    "//hooks.example.com/",
    "http://",
    "http://a b/",
    "http://x.example.com:99999/",
    "http://user:secret@/",
    "javascript:alert(1)",
    "http://[::1",
    "https://hooks.example.com/" + "x" * 2000,
]


@pytest.fixture(scope="module")
def strict(scope: Scope, stores: Stores) -> Scope:
    """The tenant on a server that does not allow private addresses."""
    settings = stores.settings.model_copy(update={"allow_private_addresses": False})
    return dataclasses.replace(scope, stores=dataclasses.replace(stores, settings=settings))


@pytest.mark.parametrize("url", INWARD)
def test_an_inward_address_is_refused_at_registration(strict: Scope, url: str) -> None:
    with pytest.raises(Invalid, match="ListenerURL: The URL leads to a private address"):
        service.register_listener(strict, 3, url)


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_refused(scope: Scope, url: str) -> None:
    with pytest.raises(Invalid, match="ListenerURL"):
        service.register_listener(scope, 3, url)


def test_a_public_address_is_taken(strict: Scope) -> None:
    assert service.register_listener(strict, 3, "https://93.184.216.34/x?y=1").url == "https://93.184.216.34/x?y=1"


def test_a_name_without_an_address_is_taken_and_checked_when_it_matters(strict: Scope) -> None:
    assert service.register_listener(strict, 3, "https://hooks.invalid/x").url == "https://hooks.invalid/x"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_delivery_to_an_inward_address_is_refused(host: str) -> None:
    with receiving() as receiver, ThreadPoolExecutor(1) as resolvers:

        async def post(allow_private: bool) -> tuple[int | None, str]:
            poster = Poster(resolvers, allow_private=allow_private, timeout=3)
            answer = await poster.post(f"http://{host}:{receiver.port}/", {}, b"{}")
            await poster.close()
            return answer.status, answer.error

        assert asyncio.run(post(False)) == (
            None,
            "The URL leads to a private address, which this server does not post to.",
        )
        assert receiver.posts == []
        if host in ("127.0.0.1", "localhost", "2130706433"):
            assert asyncio.run(post(True)) == (200, "")


def test_a_user_name_in_an_address_is_sent_as_credentials(scope: Scope) -> None:
    """As clients of the reference register them: Basic authentication of RFC 7617, the address without it."""
    with receiving() as receiver, ThreadPoolExecutor(1) as resolvers:
        url = f"http://ann%40x:p%3Aw%C3%A4@127.0.0.1:{receiver.port}/hook?a=1"
        assert service.register_listener(scope, 3, url).url == url

        async def post() -> bool:
            poster = Poster(resolvers, allow_private=True, timeout=3)
            answer = await poster.post(url, {}, b"{}")
            await poster.close()
            return answer.ok

        assert asyncio.run(post())
        (taken,) = receiver.posts
        assert base64.b64decode(taken.headers["authorization"].removeprefix("Basic ")).decode() == "ann@x:p:wä"
        assert (taken.path, taken.headers["host"]) == ("/hook?a=1", f"127.0.0.1:{receiver.port}")
