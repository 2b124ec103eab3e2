"""Management of topics: what messages are about, and which templates are about it."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.messaging.models import Topic
from rapport.messaging.topics import topics
from rapport.messaging.topics.topics import TopicContent

router = SectionRouter("Management: topics", "/manage/v1", JsonRoute)
Id = Annotated[int, Field(ge=1, le=2**31 - 1)]
TOPIC_ID = "1b7d1f3a-5d0e-4a6e-9c57-3f1f2a9d8e01"


class TopicIn(Body):
    """A topic, as customers see it."""

    name: str = Field(min_length=1, max_length=200, examples=["Weekly tips"])
    description: str = Field("", max_length=1000, examples=["Short how-to notes"])
    frequency: str = Field("", max_length=200, examples=["Once a week"], description="How often it comes, in words")
    mandatory: bool = Field(False, description="Everybody gets it and nobody can leave it, such as security notices")
    hidden: bool = Field(False, description="Customers do not see it; only the management API changes it")
    subscribed_by_default: bool = Field(True, description="false: only customers who have subscribed get it")


class TopicOut(BaseModel):
    """A topic."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(examples=[TOPIC_ID], description="topicId of the preference centre")
    brand_group_id: str
    name: str = Field(examples=["Weekly tips"])
    description: str
    frequency: str
    mandatory: bool
    hidden: bool
    subscribed_by_default: bool
    created_at: datetime
    updated_at: datetime


class TopicTemplate(Body):
    """A template."""

    channel_id: Id = Field(examples=[504])
    template_id: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(examples=[11])


class TopicTemplates(Body):
    """The templates that are about a topic."""

    templates: list[TopicTemplate] = Field(max_length=10_000)


def _shown(topic: Topic) -> TopicOut:
    return TopicOut.model_validate(topic)


def _content(body: TopicIn) -> TopicContent:
    return TopicContent(**body.model_dump())


def _templates(pairs: list[tuple[int, int]]) -> list[TopicTemplate]:
    return [TopicTemplate(channel_id=channel_id, template_id=template_id) for channel_id, template_id in pairs]


@router.get("/brand-groups/{brand_group_id}/topics", summary="List topics")
def list_topics(
    brand_group_id: str,
    page: Paged,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[TopicOut]:
    """The topics of a brand group, by name, hidden ones too."""
    return page.of(topics.topics(principal.scope, brand_group_id)).each(_shown)


@router.post("/brand-groups/{brand_group_id}/topics", status_code=201, summary="Create a topic")
def create_topic(
    brand_group_id: str,
    body: TopicIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TopicOut:
    """Create a topic; 409 for a name that another topic of the brand group has."""
    return _shown(topics.create_topic(principal.scope, brand_group_id, _content(body)))


@router.get("/topics/{topic_id}", summary="Get a topic")
def get_topic(topic_id: str, principal: Principal = Depends(admin)) -> TopicOut:  # noqa: B008
    """A topic."""
    return _shown(topics.topic(principal.scope, topic_id))


@router.put("/topics/{topic_id}", summary="Replace a topic")
def put_topic(
    topic_id: str,
    body: TopicIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TopicOut:
    """What customers have chosen stays; the default applies to those who have chosen nothing."""
    return _shown(topics.replace_topic(principal.scope, topic_id, _content(body)))


@router.delete("/topics/{topic_id}", status_code=204, summary="Delete a topic")
def delete_topic(topic_id: str, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Delete a topic with its subscriptions. Its templates stay, and reach everybody from then on."""
    topics.delete_topic(principal.scope, topic_id)


@router.get("/topics/{topic_id}/templates", summary="List the templates of a topic")
def list_topic_templates(
    topic_id: str,
    page: Paged,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[TopicTemplate]:
    """By channel and ID. Campaigns send them only to customers who are subscribed to the topic on the channel."""
    return page.of(_templates(topics.templates_of(principal.scope, topic_id)))


@router.put("/topics/{topic_id}/templates", summary="Set the templates of a topic")
def put_topic_templates(
    topic_id: str,
    body: TopicTemplates,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TopicTemplates:
    """These templates, and no others, are about the topic; a template is about one topic at most.

    400 for a template on a channel that the brand group of the topic does not have.
    """
    chosen = [(template.channel_id, template.template_id) for template in body.templates]
    topics.set_templates(principal.scope, topic_id, chosen)
    return TopicTemplates(templates=_templates(topics.templates_of(principal.scope, topic_id)))
