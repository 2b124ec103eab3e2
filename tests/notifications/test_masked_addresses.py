"""Addresses as they are shown, and what comes back of them."""

import pytest

from rapport.errors import Invalid
from rapport.masks import masked, unmasked


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.example/p?src=13&postcode=1", "https://h.example/p?src=13&postcode=1"),
        ("https://ann:p:w@h.example:8443/p", "https://ann:***@h.example:8443/p"),
        ("https://a-token@h.example", "https://***@h.example"),
        ("https://:pw@[::1]/?x=a@b", "https://:***@[::1]/?x=a@b"),
        (
            "https://h.example/?api_key=k&Code=c&x=1&access_token=t#f",
            "https://h.example/?api_key=***&Code=***&x=1&access_token=***#f",
        ),
        ("https://h.example/?sig=%2Fa%3D;%74oken=t&key=&flag", "https://h.example/?sig=***;%74oken=***&key=&flag"),
        ("https://hooks.example/services/T0B1/B0C2/XyZ9", "https://hooks.example/services/***/***/***"),
        ("https://ann:pw@h.example/bot17:AbC-d/send", "https://ann:***@h.example/***/send"),
        ("https://h.example/hooks/catch/1234567/o2xk9f/", "https://h.example/hooks/catch/***/***/"),
        (
            "https://h.example/api/v2/3001/IncomingWebhook.ashx#x",
            "https://h.example/api/v2/3001/IncomingWebhook.ashx#x",
        ),
        ("https://h.example/abcdefghijklmnopqrst", "https://h.example/***"),
        ("https://h.example:8443/QwErTyUi?x=1&key=2", "https://h.example:8443/***?x=1&key=***"),
        ("https://h.example/?key=1&key=2", "https://h.example/?key=***&key=***"),
    ],
)
def test_secrets_of_an_address_are_masked_and_kept(url: str, shown: str) -> None:
    assert masked(url) == shown
    assert masked(shown) == shown
    assert unmasked(shown, url if shown != url else None, "url") == url
    assert unmasked(url, shown, "url") == url


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("https://ann:***@h.example/q?key=new", "The password in url must be given again when its scheme, host, "),
        ("http://ann:***@h.example/p?key=new", "The password in url must be given again"),
        ("https://bob:***@h.example/p?key=new", "The password in url must be given again"),
        ("https://ann:new@h.example:444/p?key=***", "key in url must be given again"),
        ("https://ann:***@h.example/p?token=***", "token in url must not be ***, which stands for the stored value"),
        ("https://ann:***@h.example/p/***?key=new", "Segment 2 of the path in url must not be ***, which stands for"),
    ],
)
def test_a_masked_secret_goes_nowhere_else(given: str, sentence: str) -> None:
    with pytest.raises(Invalid) as told:
        unmasked(given, "https://ann:pw@h.example/p?key=k", "url")
    assert told.value.message.startswith(sentence)
    assert unmasked("https://ann:new@h.example/p?key=***&more=1", "https://ann:pw@h.example/p?key=k", "url") == (
        "https://ann:new@h.example/p?key=k&more=1"
    )


@pytest.mark.parametrize(
    "given",
    [
        "https://h.example/hooks/***/b1?key=k",
        "https://h.example/hooks/***/***/more",
        "https://h.example/hooks/***",
        "https://h.example/hook/***/***",
        "https://other.example/hooks/***/***",
    ],
)
def test_a_masked_segment_goes_nowhere_else(given: str) -> None:
    with pytest.raises(Invalid, match=r"must be given again|must not be"):
        unmasked(given, "https://h.example/hooks/t0a9/S3cret", "url")
    assert unmasked("https://h.example/hooks/t0a9/***", "https://h.example/hooks/t0a9/S3cret", "url") == (
        "https://h.example/hooks/t0a9/S3cret"
    )
