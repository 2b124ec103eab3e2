"""What kinds of push tokens there are."""

from enum import IntEnum


class TokenType(IntEnum):
    """Through whose service a push token reaches its device, by the numbers of the wire."""

    APNS = 1
    FCM = 2
    WEB_PUSH = 3
    SAFARI = 4
    HMS = 5
