"""What SMPP says of texts and addresses: how a message is put into PDUs, and how one that came in is read."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from smpplib import consts

from rapport.channels.messages import Message
from rapport.channels.sms.incoming import Report, Reported
from rapport.channels.sms.long_texts import Part
from rapport.channels.sms.settings import SmsChannelSettings
from rapport.channels.sms.texts import BASIC, ESCAPE, EXTENSION, Alphabet, segments_of

CODINGS = {Alphabet.GSM: consts.SMPP_ENCODING_DEFAULT, Alphabet.UCS2: consts.SMPP_ENCODING_ISO10646}
# Information element 0: concatenated short messages, with a reference of one octet.
CONCATENATION = b"\x05\x00\x03"
# The same of texts that come in, with a reference of one octet or of two: the element and its length.
CONCATENATIONS = frozenset({(0x00, 3), (0x08, 4)})
USUAL_SERVICE = END = b"\0"
SHORT_CODE = re.compile(r"[0-9]{3,6}\Z")
NUMBER = re.compile(r"[+]?[0-9]{7,15}\Z")
RECEIPT, UDH = 0x04, 0x40
MESSAGE_TYPES = 0x3C
IN_TEXT = re.compile(r"\b(id|stat|err):(\S*)")
STATES = {
    consts.SMPP_MESSAGE_STATE_DELIVERED: Reported.DELIVERED,
    consts.SMPP_MESSAGE_STATE_EXPIRED: Reported.FAILED,
    consts.SMPP_MESSAGE_STATE_DELETED: Reported.FAILED,
    consts.SMPP_MESSAGE_STATE_UNDELIVERABLE: Reported.FAILED,
    consts.SMPP_MESSAGE_STATE_REJECTED: Reported.FAILED,
}
WORDS = {
    "DELIVRD": Reported.DELIVERED,
    "EXPIRED": Reported.FAILED,
    "DELETED": Reported.FAILED,
    "UNDELIV": Reported.FAILED,
    "REJECTD": Reported.FAILED,
}
LETTERS = {code: letter for letter, code in EXTENSION.items()}


def submissions_of(settings: SmsChannelSettings, message: Message) -> list[bytes]:
    """The bodies of the submit_sm of a message, one a segment; a repetition has the same reference.

    They are put together here: the library takes several times as long for it as for all else.
    """
    segments = segments_of(message.text)
    reference = int(message.message_id[:2], 16) if re.match("[0-9a-f]{2}", message.message_id) else 0
    parts = segments.parts
    if len(parts) > 1:
        headers = (CONCATENATION + bytes([reference, len(parts), place]) for place in range(1, len(parts) + 1))
        parts = [header + part for header, part in zip(headers, parts, strict=True)]
    esm_class, coding = UDH if len(parts) > 1 else 0, CODINGS[segments.alphabet]
    to = bytes([consts.SMPP_TON_INTL, consts.SMPP_NPI_ISDN]) + message.to.removeprefix("+").encode() + END
    # Protocol and priority as usual, no times; nothing is replaced, and the text is none that the centre keeps.
    how = bytes([esm_class, 0, 0]) + END + END + bytes([settings.receipts, 0, coding, 0])
    envelope = USUAL_SERVICE + _source(settings.sender) + to + how
    return [envelope + bytes([len(part)]) + part for part in parts]


def _source(sender: str) -> bytes:
    """The address of a sender: a number, a short code, or letters."""
    if NUMBER.match(sender):
        kind = consts.SMPP_TON_INTL, consts.SMPP_NPI_ISDN
    elif SHORT_CODE.match(sender):
        kind = consts.SMPP_TON_NWSPEC, consts.SMPP_NPI_UNK
    else:
        kind = consts.SMPP_TON_ALNUM, consts.SMPP_NPI_UNK
    return bytes(kind) + sender.removeprefix("+").encode() + END


def is_receipt(pdu: Any) -> bool:
    """Whether what the centre delivers is a report on a message, and not a text of somebody."""
    return bool(pdu.esm_class & MESSAGE_TYPES & RECEIPT)


def report_of(pdu: Any, at: datetime) -> Report | None:
    """What a delivery receipt says; None for one of a state that is not final, or that names no message."""
    written = dict(IN_TEXT.findall(_octets(pdu).decode("latin-1")))
    provider_id = _text(pdu.receipted_message_id) or written.get("id", "")
    status = STATES.get(pdu.message_state) if pdu.message_state else WORDS.get(written.get("stat", "").upper())
    if status is None or not provider_id:
        return None
    detail = " ".join(filter(None, [written.get("stat", ""), written.get("err", "")]))
    return Report(status, at, provider_id=provider_id, detail=detail)


def part_of(pdu: Any) -> Part:
    """What somebody sent: a whole text, or a part of a long one, as a header in the text or parameters tell it."""
    octets = _octets(pdu)
    numbers = (pdu.sar_msg_ref_num or 0, pdu.sar_total_segments or 1, pdu.sar_segment_seqnum or 1)
    if pdu.esm_class & UDH and octets:
        header, octets = octets[1 : octets[0] + 1], octets[octets[0] + 1 :]
        numbers = _concatenation(header) or numbers
    reference, total, place = numbers
    return Part(octets, reference, total, place) if 1 <= place <= total else Part(octets)


def _concatenation(header: bytes) -> tuple[int, int, int] | None:
    """Reference, number of parts and place, of a header of information elements; None where none says it."""
    while len(header) >= 2:
        element, length = header[0], header[1]
        value, header = header[2 : 2 + length], header[2 + length :]
        if (element, len(value)) in CONCATENATIONS:
            return int.from_bytes(value[:-2], "big"), value[-2], value[-1]
    return None


def text_of(octets: bytes, coding: int) -> str:
    """The text that octets stand for in a data coding."""
    if coding == consts.SMPP_ENCODING_ISO10646:
        return octets.decode("utf-16-be", "replace")
    if coding in (consts.SMPP_ENCODING_ISO88591, 1):
        return octets.decode("latin-1")
    return "".join(_letters(octets))


def sender_of(pdu: Any) -> str:
    """The number that a text came from, with the plus of an international one."""
    number = _text(pdu.source_addr)
    return f"+{number}" if pdu.source_addr_ton == consts.SMPP_TON_INTL and number.isdigit() else number


def _letters(octets: bytes) -> Iterator[str]:
    """The letters of the GSM alphabet that octets stand for."""
    codes = iter(octets)
    for code in codes:
        if code == ESCAPE:
            yield LETTERS.get(next(codes, 0x20), " ")
        else:
            yield BASIC[code] if code < len(BASIC) else "?"


def _octets(pdu: Any) -> bytes:
    octets = pdu.short_message or pdu.message_payload or b""
    return octets if isinstance(octets, bytes) else str(octets).encode("latin-1", "replace")


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
