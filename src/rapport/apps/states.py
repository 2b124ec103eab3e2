"""What kinds of push tokens, of messages and of events of apps there are, by the numbers and names of the wire."""

from enum import IntEnum, StrEnum


class TokenType(IntEnum):
    """Through whose service a push token reaches its device."""

    APNS = 1
    FCM = 2
    WEB_PUSH = 3
    SAFARI = 4
    HMS = 5


class MessageType(IntEnum):
    """What kind of message an app speaks of. OVERLAY has no number on the wire, but events of its own."""

    PUSH = 1
    IN_APP = 2
    OVERLAY = 3


class Reported(StrEnum):
    """What an app tells of a message.

    INTERCEPTED is of overlays, whose event says what the app made of it; CLICKED is what Rapport's own page tells.
    """

    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    DISMISSED = "dismissed"
    READ = "read"
    INBOX_DELETED = "inbox.deleted"
    INTERCEPTED = "intercepted"


class EventType(StrEnum):
    """The events of the SDKs that change an install."""

    INSTALL_TRACKED = "k.stats.installTracked"
    USER_ASSOCIATED = "k.stats.userAssociated"
    USER_CLEARED = "k.stats.userAssociationCleared"
    DEVICE_REGISTERED = "k.push.deviceRegistered"
    DEVICE_UNSUBSCRIBED = "k.push.deviceUnsubscribed"
    NOTIFICATIONS_CHANGED = "k.push.notificationEnablementChanged"
    IN_APP_STATUS = "k.inApp.statusUpdated"
