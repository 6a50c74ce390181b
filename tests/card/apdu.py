"""Bytes between a card and its reader: command APDUs (ISO 7816-4), status words, BER-TLV."""
import struct
from dataclasses import dataclass

OK = 0x9000
NOT_FOUND, NO_SUCH_KEY, NO_SUCH_COMMAND = 0x6A82, 0x6A88, 0x6D00
BAD_DATA, BAD_LENGTH, NOT_ALLOWED, PIN_BLOCKED, FAILED = 0x6A80, 0x6700, 0x6982, 0x6983, 0x6F00


class Refused(Exception):
    """The command is answered by this status word alone."""

    def __init__(self, status):
        super().__init__(f"{status:04x}")
        self.status = status


@dataclass
class Command:
    """A command APDU; le is the most that its answer may hold."""
    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    le: int


def parse(raw):
    """A command, short or extended."""
    body, data, le = raw[4:], b"", 256
    if len(body) == 1:
        le = body[0] or 256
    elif len(body) == 3 and body[0] == 0:
        le = int.from_bytes(body[1:], "big") or 65536
    elif len(body) > 3 and body[0] == 0:
        length = int.from_bytes(body[1:3], "big")
        data, le = body[3:3 + length], int.from_bytes(body[3 + length:], "big") or 65536
    elif body:
        data, le = body[1:1 + body[0]], int.from_bytes(body[1 + body[0]:], "big") or 256
    return Command(*raw[:4], data, le)


def status(word):
    return struct.pack(">H", word)


def tlv(tag, value):
    """One element, definite length."""
    length = len(value)
    if length >= 256:
        head = b"\x82" + length.to_bytes(2, "big")
    else:
        head = bytes([length]) if length < 128 else bytes([0x81, length])
    return tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big") + head + value


def elements(data):
    """tag -> value of the elements, one after the other."""
    found, at = {}, 0
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 0x1F == 0x1F:
            tag, at = tag << 8 | data[at], at + 1
        length, at = data[at], at + 1
        if length > 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at:at + size], "big"), at + size
        found[tag], at = data[at:at + length], at + length
    return found
