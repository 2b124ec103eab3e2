"""External System Integration: what outside systems register, and which activity events there are."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import AfterValidator, BeforeValidator, Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import caller
from rapport.api.http.bodies import (
    Count,
    Number,
    WireModel,
    as_id,
    documented_array,
    parse_array,
    raw_body,
    without_control,
)
from rapport.api.http.parameters import Parameter, optional, required
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.campaigns.schemas import PromoCode as CampaignPromoCode
from rapport.channels import service as channels
from rapport.errors import NotFound
from rapport.messaging import registration
from rapport.messaging import templates as messaging_templates
from rapport.messaging.registration import Registered
from rapport.messaging.template_senders import sender_of
from rapport.promotions import registered

router = SectionRouter("External System Integration")

MOST = 100
CHANNEL = required("ChannelID", "integer", "The execution channel, see GetExecutionChannels")
NOTHING: dict[int | str, dict[str, Any]] = {200: {"description": "Success, without a body"}}


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


NO_NULL = r"^[^\x00]*$"
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NULL), BeforeValidator(_stripped)]
AppID = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(without_control), BeforeValidator(as_id)]
OptionalAppID = Annotated[AppID | None, BeforeValidator(lambda value: None if value == "" else value)]
PromoCode = Annotated[CampaignPromoCode, AfterValidator(without_control), BeforeValidator(as_id)]
AnyCode = Annotated[str, AfterValidator(without_control), BeforeValidator(as_id)]


class NewTemplate(WireModel):
    """A template, by the provider's ID."""

    template_id: Count = Field(alias="TemplateID")
    name: Name = Field(alias="TemplateName")
    app_id: OptionalAppID = Field(None, alias="AppID", description="The app of the channel that it is for")


class TemplateKey(WireModel):
    """Which template."""

    channel_id: Number = Field(alias="ChannelID")
    template_id: Count = Field(alias="TemplateID")


class NewApp(WireModel):
    """An app of a channel."""

    app_id: AppID = Field(alias="AppID")
    name: Name = Field(alias="AppName")


class AppKey(WireModel):
    """Which app."""

    channel_id: Number = Field(alias="ChannelID")
    app_id: AppID = Field(alias="AppID")


class NewPromotion(WireModel):
    """A promo code and its name."""

    code: PromoCode = Field(alias="PromoCode")
    name: Name = Field(alias="PromotionName")


class PromotionKey(WireModel):
    """Which promo code."""

    code: AnyCode = Field(alias="PromoCode")


def _known_channel(scope: Scope, values: Values) -> Values:
    """The values, if the tenant has the channel. Raises NotFound."""
    channels.channel(scope, values["ChannelID"])
    return values


def _at_present(scope: Scope, values: Values) -> Values:
    return {**values, "now": scope.clock.now()}


def _with_attributes(scope: Scope, values: Values) -> Values | None:
    """The values with the template's sending attributes; None for a template that there is not. Raises NotFound."""
    channel = channels.channel(scope, values["ChannelID"])
    try:
        template = messaging_templates.template(scope, channel.id, values["TemplateID"])
    except NotFound:
        return None
    sender = sender_of(scope, channel, template)
    attributes = channel.behaviour.sending_attributes(scope, channel.settings, template.subject, sender)
    return {**values, "attributes": json.dumps(attributes)}


def _templates(scope: Scope, values: Values) -> str:
    only_template = "AND id = :TemplateID" if values["TemplateID"] is not None else ""
    return f"""
        SELECT id AS "TemplateID", name AS "TemplateName"
        FROM templates WHERE tenant_id = :tenant_id AND channel_id = :ChannelID {only_template}"""  # noqa: S608 - a constant


register(
    router,
    Read(
        "integrations",
        "GetChannelTemplates",
        "The templates of one execution channel: ID and name",
        engine="records",
        sql=_templates,
        row={"TemplateID": "integer", "TemplateName": "string"},
        order="id",
        params=(CHANNEL, optional("TemplateID", "integer", description="Only this template")),
        prepare=_known_channel,
        paged=False,
        description="Returns the registered templates or, for a native channel, the templates created in Rapport.",
    ),
    Read(
        "integrations",
        "GetChannelTemplateDetails",
        "Content and sending attributes of one template",
        engine="records",
        sql="""
            SELECT id AS "TemplateID", name AS "TemplateName",
                CASE WHEN html != '' THEN html ELSE text END AS "TemplateContent",
                CAST(:attributes AS json) AS "TemplateAttributes"
            FROM templates WHERE tenant_id = :tenant_id AND channel_id = :ChannelID AND id = :TemplateID""",
        row={
            "TemplateID": "integer",
            "TemplateName": "string",
            "TemplateContent": "string",
            "TemplateAttributes": "strings",
        },
        order="id",
        params=(CHANNEL, required("TemplateID", "integer", "The template, see GetChannelTemplates")),
        prepare=_with_attributes,
        paged=False,
        description="Tags are not replaced. Mail has the attributes from name, from address and subject; "
        "templates "
        "of external channels have none, and the provider has their content. For an unknown template the answer is [].",
    ),
    Read(
        "integrations",
        "GetPromotions",
        "Every promo code and its name",
        engine="records",
        sql=f'SELECT promo_code AS "PromoCode", name AS "PromotionName" FROM ({registered.CHOICES}) AS choices',  # noqa: S608
        row={"PromoCode": "string", "PromotionName": "string"},
        prepare=_at_present,
        order='promo_code COLLATE "C"',
        paged=False,
    ),
    Read(
        "integrations",
        "GetActivityEventList",
        "The known activity events with their parameters",
        engine="records",
        sql="""
            SELECT id AS "EventID", name AS "EventName", nullif(description, '') AS "EventDescription",
                (
                    SELECT coalesce(json_agg(described), '[]'::json)
                    FROM (
                        SELECT parameter AS "ParameterName", coalesce(types->>parameter, 'String') AS "ParameterType"
                        FROM jsonb_array_elements_text(parameters) WITH ORDINALITY AS listed (parameter, place)
                        ORDER BY place
                    ) AS described
                ) AS "Parameters"
            FROM event_types WHERE tenant_id = :tenant_id""",
        row={"EventID": "integer", "EventName": "string", "EventDescription": "string?", "Parameters": "objects"},
        order="id",
        paged=False,
        description="Types of parameters are String, Number or Boolean; an undeclared parameter is a String.",
    ),
)


def _channel_id(request: Request) -> int:
    """A dependency: the query parameter ChannelID, in any case."""
    query = {name.lower(): text for name, text in request.query_params.multi_items()}
    channel_id: int = CHANNEL.read(query)
    return channel_id


def _write(
    function: str,
    summary: str,
    model: type[WireModel],
    example: list[dict[str, Any]],
    params: tuple[Parameter, ...] = (),
    least: int = 0,
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Serve a function that takes an array and answers nothing."""
    extra = documented_array(model, example, MOST, least)
    if params:
        extra["parameters"] = [parameter.openapi() for parameter in params]
    return router.post(
        f"/current/integrations/{function}",
        summary=summary,
        operation_id=function,
        response_class=Response,
        responses=NOTHING,
        openapi_extra=extra,
    )


@_write(
    "AddChannelTemplates",
    "Register templates of an external channel by ID and name",
    NewTemplate,
    [
        {"TemplateID": 11, "TemplateName": "Spring offer EN"},
        {"TemplateID": 12, "TemplateName": "Spring offer FR", "AppID": "acme-ios"},
    ],
    (CHANNEL,),
)
def add_channel_templates(
    principal: Principal = Depends(caller("AddChannelTemplates")),  # noqa: B008
    channel_id: int = Depends(_channel_id),
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 100. A known template gets the name and app of the call; nothing else about it changes."""
    templates = parse_array(NewTemplate, body, MOST)
    registered = [Registered(template.template_id, template.name, template.app_id or "") for template in templates]
    registration.register_templates(principal.scope, channel_id, registered)
    return Response()


@_write(
    "DeleteChannelTemplates",
    "Remove registered templates",
    TemplateKey,
    [{"ChannelID": 505, "TemplateID": 11}, {"ChannelID": 506, "TemplateID": 40}],
    least=1,
)
def delete_channel_templates(
    principal: Principal = Depends(caller("DeleteChannelTemplates")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 100, of any external channels. Unknown ones are not an error; campaigns keep their template IDs."""
    keys = parse_array(TemplateKey, body, MOST, least=1)
    registration.remove_templates(principal.scope, [(key.channel_id, key.template_id) for key in keys])
    return Response()


@_write(
    "AddChannelApps",
    "Register apps of an external channel by ID and name",
    NewApp,
    [{"AppID": "acme-ios", "AppName": "Acme Slots iPhone"}, {"AppID": "acme-droid", "AppName": "Acme Slots Android"}],
    (CHANNEL,),
)
def add_channel_apps(
    principal: Principal = Depends(caller("AddChannelApps")),  # noqa: B008
    channel_id: int = Depends(_channel_id),
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 100. A known app gets the new name; its ID, which is compared in any case, keeps its first spelling."""
    apps = parse_array(NewApp, body, MOST)
    registration.register_apps(principal.scope, channel_id, {app.app_id: app.name for app in apps})
    return Response()


@_write("DeleteChannelApps", "Remove registered apps", AppKey, [{"ChannelID": 506, "AppID": "acme-ios"}])
def delete_channel_apps(
    principal: Principal = Depends(caller("DeleteChannelApps")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 100; case does not matter. Unknown ones are not an error; templates of a removed app then apply to the
    whole channel.
    """
    apps = parse_array(AppKey, body, MOST)
    registration.remove_apps(principal.scope, [(app.channel_id, app.app_id) for app in apps])
    return Response()


@_write(
    "AddPromotions",
    "Register promo codes that marketers can choose",
    NewPromotion,
    [
        {"PromoCode": "SPR15", "PromotionName": "Spring 15 percent"},
        {"PromoCode": "FREE5", "PromotionName": "Five free rounds"},
    ],
)
def add_promotions(
    principal: Principal = Depends(caller("AddPromotions")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 100. A known code gets the new name; the code, which is compared in any case, keeps its first
    spelling.
    """
    promotions = parse_array(NewPromotion, body, MOST)
    registered.add_promotions(principal.scope, {promotion.code: promotion.name for promotion in promotions})
    return Response()


@_write("DeletePromotions", "Remove promo codes from the choices", PromotionKey, [{"PromoCode": "SPR15"}])
def delete_promotions(
    principal: Principal = Depends(caller("DeletePromotions")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 100; case does not matter. Unknown ones are not an error; campaigns keep their codes."""
    promotions = parse_array(PromotionKey, body, MOST)
    registered.delete_promotions(principal.scope, [promotion.code for promotion in promotions])
    return Response()
