"""Templates as integrators know them: by brand and id. They are on the brand's first e-mail channel."""

from typing import Any

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.models import Channel
from rapport.errors import Invalid, NotFound
from rapport.messaging import templates, versions
from rapport.messaging.models import Template
from rapport.messaging.translations import as_given

MJML = "<mjml"


def channels_of(scope: Scope, brand_id: int) -> list[Channel]:
    """The channels of a brand, by id. Raises NotFound for the brand."""
    brands.brand(scope, brand_id)
    return [channel for channel in channels.channels(scope) if channel.settings.get("brand_id") == brand_id]


def add_template(scope: Scope, brand_id: int, content: dict[str, Any]) -> Template:
    """Create a template of a brand; content are arguments of save_template, whose html may be MJML.

    Raises NotFound for the brand, and otherwise as save_template.
    """
    of_brand = channels_of(scope, brand_id)
    if not of_brand:
        raise Invalid(f"Brand {brand_id} has no e-mail channel.")
    return templates.create_template(scope, of_brand[0].id, **_told_apart(content))


def update_template(scope: Scope, brand_id: int, template_id: int, changes: dict[str, Any]) -> Template:
    """Replace parts of a template of a brand; the others stay. Raises NotFound, and otherwise as save_template."""
    present = _template(scope, brand_id, template_id)
    content = {column: getattr(present, column) for column in versions.CONTENT}
    content |= _told_apart(changes)
    content["translations"] = as_given(present.translations)
    if content["mjml"]:
        content["html"] = ""
    return templates.save_template(scope, present.channel_id, id=template_id, **content)


def _template(scope: Scope, brand_id: int, template_id: int) -> Template:
    for channel in channels_of(scope, brand_id):
        try:
            return templates.template(scope, channel.id, template_id)
        except NotFound:
            continue
    raise NotFound(f"Brand {brand_id} has no template {template_id}.")


def _told_apart(content: dict[str, Any]) -> dict[str, Any]:
    """Content whose html is MJML under that name, or with none of before."""
    if "html" not in content:
        return content
    if content["html"].lstrip()[: len(MJML)].lower() == MJML:
        return {**content, "mjml": content["html"], "html": ""}
    return {**content, "mjml": ""}
