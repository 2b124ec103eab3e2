"""Management of actions: the offers that campaigns bring."""

from typing import Annotated

from fastapi import Depends, Path, Query, Response

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.campaigns import definitions
from rapport.campaigns.schemas import ActionBody, ActionOut

router = SectionRouter("Management: campaigns", "/manage/v1/actions", JsonRoute)
ActionId = Annotated[int, Path(ge=2, le=2**31 - 1)]


@router.get("", summary="List actions")
def list_actions(
    page: Paged,
    archived: Annotated[bool, Query(description="Include archived ones")] = False,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[ActionOut]:
    """The tenant's actions, by id. Action 1 (DN, do nothing) is the control action and is not listed."""
    return page.of(definitions.actions(principal.scope, archived=archived)).each(ActionOut.model_validate)


@router.post("", status_code=201, summary="Create an action")
def create_action(body: ActionBody, principal: Principal = Depends(admin)) -> ActionOut:  # noqa: B008
    """Create an action; ids start at 2."""
    return ActionOut.model_validate(definitions.create_action(principal.scope, body))


@router.get("/{action_id}", summary="Get an action")
def get_action(action_id: ActionId, principal: Principal = Depends(admin)) -> ActionOut:  # noqa: B008
    """One action."""
    return ActionOut.model_validate(definitions.action(principal.scope, action_id))


@router.put("/{action_id}", summary="Replace an action")
def update_action(action_id: ActionId, body: ActionBody, principal: Principal = Depends(admin)) -> ActionOut:  # noqa: B008
    """Replace an action; campaigns that were processed keep their codes."""
    return ActionOut.model_validate(definitions.update_action(principal.scope, action_id, body))


@router.delete("/{action_id}", status_code=204, response_class=Response, summary="Archive an action")
def archive_action(action_id: ActionId, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Archive an action; 409 while a series that is not archived uses it."""
    definitions.archive_action(principal.scope, action_id)
