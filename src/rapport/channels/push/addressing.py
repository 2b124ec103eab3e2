"""Whom a push message is for, where that is not all devices of its customer: as headers of the message say it."""

APP, INSTALL = "app", "install"


def to_app(app_id: int, install_id: str = "") -> dict[str, str]:
    """Headers of a message for the devices that have one app, or for one install of it alone."""
    return {APP: str(app_id), **({INSTALL: install_id} if install_id else {})}
