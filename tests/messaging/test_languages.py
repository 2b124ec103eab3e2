"""Which language attributes of customers name, and which of the languages of a template suits them."""

import pytest

from rapport.messaging.languages import language_tag, nearest


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("de", "de"), ("DE", "de"), (" German ", "de"), ("deutsch", "de"), ("de_AT", "de-AT"), ("de-at", "de-AT"),
        ("zh-Hant-TW", "zh-TW"), ("zh-Hant", "zh"), ("es-419", "es-419"), ("pt_BR.UTF-8", "pt"), ("", ""),
        ("?", ""), ("Klingon!", ""), ("12", ""),
    ],
)  # fmt: skip
def test_texts_name_languages(text: str, tag: str) -> None:
    assert language_tag(text) == tag


@pytest.mark.parametrize(
    ("tag", "available", "expected"),
    [
        ("de-AT", {"de", "de-AT", "fr"}, "de-AT"),
        ("de-CH", {"de", "de-AT", "fr"}, "de"),
        ("de", {"de-AT", "de-CH"}, "de-AT"),
        ("pt-BR", {"pt-PT"}, "pt-PT"),
        ("da", {"de", "fr"}, ""),
        ("", {"de", "fr"}, ""),
    ],
)
def test_the_nearest_language_is_chosen(tag: str, available: set[str], expected: str) -> None:
    assert nearest(tag, available) == expected
