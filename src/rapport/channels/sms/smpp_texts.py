"""What SMPP says of texts and addresses: how a message is put into PDUs, and how one that came in is read."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from smpplib import consts, smpp
from smpplib.client import Client

from rapport.channels.messages import Message
from rapport.channels.sms.incoming import Report, Reported
from rapport.channels.sms.settings import SmsChannelSettings
from rapport.channels.sms.texts import BASIC, ESCAPE, EXTENSION, Alphabet, segments_of

CODINGS = {Alphabet.GSM: consts.SMPP_ENCODING_DEFAULT, Alphabet.UCS2: consts.SMPP_ENCODING_ISO10646}
# Information element 0: concatenated short messages, with a reference of one octet.
CONCATENATION = b"\x05\x00\x03"
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


def submissions_of(client: Client, settings: SmsChannelSettings, message: Message) -> list[Any]:
    """The PDUs of a message, one a segment; a repetition has the same reference."""
    segments = segments_of(message.text)
    reference = int(message.message_id[:2], 16) if re.match("[0-9a-f]{2}", message.message_id) else 0
    common = {
        **_source(settings.sender),
        "dest_addr_ton": consts.SMPP_TON_INTL,
        "dest_addr_npi": consts.SMPP_NPI_ISDN,
        "destination_addr": message.to.removeprefix("+"),
        "data_coding": CODINGS[segments.alphabet],
        "registered_delivery": int(settings.receipts),
    }
    parts = segments.parts
    if len(parts) == 1:
        return [smpp.make_pdu("submit_sm", client=client, esm_class=0, short_message=parts[0], **common)]
    return [
        smpp.make_pdu(
            "submit_sm",
            client=client,
            esm_class=UDH,
            short_message=CONCATENATION + bytes([reference, len(parts), place]) + part,
            **common,
        )
        for place, part in enumerate(parts, 1)
    ]


def _source(sender: str) -> dict[str, Any]:
    """The address of a sender: a number, a short code, or letters."""
    if NUMBER.match(sender):
        ton, npi = consts.SMPP_TON_INTL, consts.SMPP_NPI_ISDN
    elif SHORT_CODE.match(sender):
        ton, npi = consts.SMPP_TON_NWSPEC, consts.SMPP_NPI_UNK
    else:
        ton, npi = consts.SMPP_TON_ALNUM, consts.SMPP_NPI_UNK
    return {"source_addr_ton": ton, "source_addr_npi": npi, "source_addr": sender.removeprefix("+") or None}


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


def text_of(pdu: Any) -> str:
    """The text that somebody sent, of a long one the part that the PDU has."""
    octets = _octets(pdu)
    if pdu.esm_class & UDH and octets:
        octets = octets[octets[0] + 1 :]
    if pdu.data_coding == consts.SMPP_ENCODING_ISO10646:
        return octets.decode("utf-16-be", "replace")
    if pdu.data_coding in (consts.SMPP_ENCODING_ISO88591, 1):
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
