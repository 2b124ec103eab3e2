"""Optimail: the templates of brands and the folders in which they lie."""

from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import Depends
from pydantic import AfterValidator, Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import caller
from rapport.api.http.bodies import Count, Number, WireModel, documented, parse, raw_body
from rapport.api.http.responses import json_response
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.api.wire.integrations import Name
from rapport.api.wire.optimail import BRAND
from rapport.channels.brands import brands
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging import brand_templates
from rapport.messaging.folders import GENERAL, GENERAL_NAME
from rapport.messaging.models import Template
from rapport.messaging.translations import MAX_CONTENT

router = SectionRouter("Optimail")

ANSWER = {
    "type": "object",
    "properties": {"TemplateID": {"type": ["integer", "null"]}, "Error": {"type": ["string", "null"]}},
    "required": ["TemplateID", "Error"],
}
# What an error says, whose status tells its kind.
REFUSALS: dict[type[Invalid | NotFound | Conflict], str] = {
    Invalid: "The template is not saved: Error says why",
    NotFound: "The brand or the template does not exist",
    Conflict: "Another template of the channel has the name",
}


def _printable(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain a null character")
    return value


Content = Annotated[str, Field(max_length=MAX_CONTENT), AfterValidator(_printable)]
Line = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]
SenderName = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
FROM_ID = "An Id of FromEmailAddresses, see GetEmailParameters"
REPLY_TO_ID = "An Id of ReplyToAddresses, see GetEmailParameters"
HTML = "HTML with tags, or MJML if it begins with <mjml"


class NewTemplate(WireModel):
    """A template to create."""

    brand_id: Number = Field(alias="BrandID", description="The brand (Optimail account)")
    name: Name = Field(alias="TemplateName")
    subject: Line = Field(alias="Subject", min_length=1)
    html: Content = Field(alias="Html", min_length=1, description=HTML)
    text: Content | None = Field(None, alias="PlainText", description="Made from Html if it is empty or left out")
    from_name: SenderName = Field(alias="FromName")
    from_address_id: Count = Field(alias="FromEmailAddressID", description=FROM_ID)
    reply_to_address_id: Count = Field(alias="ReplyToAddressID", description=REPLY_TO_ID)
    folder_id: Count = Field(alias="FolderID", description="See GetTemplateFolders")


class TemplateChange(WireModel):
    """What to replace of a template; members that are left out or null stay as they are."""

    brand_id: Number = Field(alias="BrandID", description="The brand (Optimail account)")
    template_id: Count = Field(alias="TemplateID")
    name: Name | None = Field(None, alias="TemplateName")
    subject: Line | None = Field(None, alias="Subject", min_length=1)
    html: Content | None = Field(None, alias="Html", min_length=1, description=HTML)
    text: Content | None = Field(None, alias="PlainText", description="Made from Html if it is empty")
    from_name: SenderName | None = Field(None, alias="FromName")
    from_address_id: Count | None = Field(None, alias="FromEmailAddressID", description=FROM_ID)
    reply_to_address_id: Count | None = Field(None, alias="ReplyToAddressID", description=REPLY_TO_ID)
    folder_id: Count | None = Field(None, alias="FolderID", description="See GetTemplateFolders")


EXAMPLE = {
    "BrandID": 7,
    "TemplateName": "Spring EN",
    "Subject": "Hello [%FIRST_NAME:friend%]",
    "Html": '<p>Hi [%FIRST_NAME:there%]</p><p><a href="[%UNSUB%]">Unsubscribe</a></p>',
    "PlainText": "Hi [%FIRST_NAME:there%]\n\nUnsubscribe: [%UNSUB%]",
    "FromName": "Northwind",
    "FromEmailAddressID": 1,
    "ReplyToAddressID": 1,
    "FolderID": 1,
}


def _known_brand(scope: Scope, values: Values) -> Values:
    """The values, if the tenant has the brand. Raises NotFound."""
    brands.brand(scope, values["BrandID"])
    return values


register(
    router,
    Read(
        "optimail",
        "GetTemplateFolders",
        "The template folders of a brand with their IDs",
        engine="records",
        sql=f"""
            SELECT id AS "FolderID", name AS "FolderName"
            FROM (
                SELECT id, name FROM template_folders WHERE tenant_id = :tenant_id AND brand_id = :BrandID
                UNION ALL
                SELECT {GENERAL}, '{GENERAL_NAME}' WHERE NOT EXISTS (
                    SELECT 1 FROM template_folders
                    WHERE tenant_id = :tenant_id AND brand_id = :BrandID AND id = {GENERAL}
                )
            ) AS folder""",  # noqa: S608 - constants
        row={"FolderID": "integer", "FolderName": "string"},
        order="id",
        params=(BRAND,),
        prepare=_known_brand,
        paged=False,
        description=f"Every brand has the folder {GENERAL}, first named {GENERAL_NAME}. Others are added at "
        "/manage/v1/brands/{brand_id}/template-folders. For an unknown brand the answer is 404.",
    ),
)


def _write(
    function: str, summary: str, model: type[WireModel], example: dict[str, Any]
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Serve a function that saves a template."""
    content = {"application/json": {"schema": ANSWER}}
    refused = {"application/json": {"schema": {"anyOf": [ANSWER, {"type": "string"}]}}}
    refusals: dict[int | str, dict[str, Any]] = {
        error.status: {"description": text, "content": refused} for error, text in REFUSALS.items()
    }
    return router.post(
        f"/current/optimail/{function}",
        summary=summary,
        operation_id=function,
        response_class=Response,
        responses={200: {"description": "Saved", "content": content}, **refusals},
        openapi_extra=documented(model, example),
    )


def _answer(save: Callable[[], Template]) -> Response:
    """The id of the template that was saved, or why it was not."""
    try:
        answer = orjson.dumps({"TemplateID": save().id, "Error": None})
    except (Invalid, NotFound, Conflict) as error:
        return json_response(orjson.dumps({"TemplateID": None, "Error": error.message}), error.status)
    return json_response(answer)


@_write("AddTemplate", "Create an e-mail template of a brand", NewTemplate, EXAMPLE)
def add_template(
    principal: Principal = Depends(caller("AddTemplate")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """Each call creates a template, which campaigns can use on the brand's first e-mail channel.

    The HTML is cleaned, and its styles are written into its elements when it is sent.
    """

    def save() -> Template:
        new = parse(NewTemplate, body)
        content = new.model_dump(exclude={"brand_id"}) | {"text": new.text or ""}
        return brand_templates.add_template(principal.scope, new.brand_id, content)

    return _answer(save)


@_write(
    "UpdateTemplate",
    "Replace parts of an e-mail template of a brand",
    TemplateChange,
    {"BrandID": 7, "TemplateID": 412, "Subject": "Spring is here", "Html": "<p>New</p><a href='[%UNSUB%]'>Stop</a>"},
)
def update_template(
    principal: Principal = Depends(caller("UpdateTemplate")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """Members that are left out or null stay as they are. The former content is kept as a version.

    Mail that has been sent does not change; later mail has the new content.
    """

    def save() -> Template:
        change = parse(TemplateChange, body)
        changes = change.model_dump(exclude={"brand_id", "template_id"}, exclude_none=True)
        return brand_templates.update_template(principal.scope, change.brand_id, change.template_id, changes)

    return _answer(save)
