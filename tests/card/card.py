"""The PIV applet of a YubiKey-like card, as far as ykcs11 and OpenSC speak to one."""
import os
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import keys
from apdu import (BAD_DATA, FAILED, NO_SUCH_COMMAND, NO_SUCH_KEY, NOT_ALLOWED, NOT_FOUND, OK, PIN_BLOCKED, Refused,
                  elements, parse, status, tlv)
from memory import ATTESTING, TRIES

ATR = bytes.fromhex("3bfd1300008131fe158073c021c057597562694b657940")
VERSION = bytes([5, 4, 3])
PIV, MANAGEMENT, OTP, PGP = (bytes.fromhex(aid) for aid in ("a000000308", "a000000527471117", "a0000005272001",
                                                            "d27600012401"))
MANAGEMENT_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")
MANAGEMENT_SLOT, PIN_SLOT, PUK_SLOT, SIGNATURE_SLOT, OPEN_SLOT, ATTESTING_SLOT = 0x9B, 0x80, 0x81, 0x9C, 0x9E, 0xF9
GET_RESPONSE, SELECT, LAST_OF_CHAIN = 0xC0, 0xA4, 0x10
NAMES = {SELECT: "SELECT", 0x20: "VERIFY", 0x24: "CHANGE", 0x2C: "UNBLOCK", 0x47: "GENERATE", 0x87: "USE",
         0xCB: "GET", 0xDB: "PUT", 0xF7: "METADATA", 0xF8: "SERIAL", 0xF9: "ATTEST", 0xFD: "VERSION"}


def padded(pin):
    return pin.encode().ljust(8, b"\xff")


class Card:
    """A card in a reader, from its power up to its reset.

    memory: what it keeps. log: gets a dict for each command, so that tests see what a module asked for, a PIN too.
    hold: is called before a key is made or used, returns when the card may go on, and gives whether the use fails.
    """

    def __init__(self, memory, log, hold):
        self.memory, self.log, self.hold = memory, log, hold
        self.reset()

    def reset(self):
        self.applet, self.verified, self.fresh, self.managed = None, False, False, False
        self.challenge, self.chained, self.rest = None, b"", b""

    def answer(self, raw):
        """The answer to a command APDU."""
        command = parse(raw)
        if command.ins == GET_RESPONSE:
            return self._part(self.rest, command.le)
        if command.cla & LAST_OF_CHAIN:
            self.chained += command.data
            return status(OK)
        command.data, self.chained = self.chained + command.data, b""
        try:
            answered = self._part(self._do(command), command.le)
        except Refused as refused:
            answered = status(refused.status)
        except (ValueError, KeyError, IndexError):
            answered = status(BAD_DATA)
        self._note(command, answered[-2:].hex())
        return answered

    def _part(self, data, le):
        """As much as may be answered at once; the rest waits for GET RESPONSE."""
        self.rest = data[le:]
        return data[:le] + (bytes([0x61, min(len(self.rest), 255)]) if self.rest else status(OK))

    def _note(self, command, word):
        name = NAMES.get(command.ins, f"{command.ins:02x}")
        secret = command.data.replace(b"\xff", b"").decode(errors="replace") if name == "VERIFY" else ""
        self.log.append({"card": self.memory.serial, "command": name, "p2": f"{command.p2:02x}", "pin": secret,
                         "status": word})

    def _do(self, command):
        if command.ins == SELECT:
            return self._select(command.data)
        if self.applet == OTP and (command.ins, command.p1) == (0x01, 0x10):
            return self._serial(command)
        if self.applet == PGP and command.ins == 0xCA:
            return self._openpgp(command.p1 << 8 | command.p2)
        if self.applet != PIV:
            raise Refused(NO_SUCH_COMMAND)
        doer = {0x20: self._verify, 0x24: self._change, 0x2C: self._unblock, 0x47: self._generate, 0x87: self._use,
                0xCB: self._get, 0xDB: self._put, 0xF7: self._metadata, 0xF8: self._serial, 0xF9: self._attest,
                0xFD: lambda _: VERSION}.get(command.ins)
        if doer is None:
            raise Refused(NO_SUCH_COMMAND)
        return doer(command)

    def _select(self, aid):
        answers = {PIV: bytes.fromhex("61114f0600001000010079074f05a000000308"),
                   MANAGEMENT: b"5.4.3 - FW version 5.4.3", OTP: VERSION + bytes.fromhex("01070600000000"), PGP: b""}
        for applet, answer in answers.items():
            if aid.startswith(applet):
                if applet != self.applet:
                    self.reset()
                self.applet = applet
                return answer
        raise Refused(NOT_FOUND)

    def _openpgp(self, tag):
        """An OpenPGP card without keys, as far as gpg --card-status looks."""
        aid = PGP + bytes.fromhex("0304") + bytes.fromhex("0006") + bytes.fromhex(str(self.memory.serial)) + bytes(2)
        rsa = bytes.fromhex("010800001100")
        lists = {0xC0: bytes.fromhex("7d000bfe080000ff0000"), 0xC1: rsa, 0xC2: rsa, 0xC3: rsa,
                 0xC4: bytes.fromhex("00404040030003"), 0xC5: bytes(60), 0xC6: bytes(60), 0xCD: bytes(12)}
        data = b"".join(tlv(name, value) for name, value in lists.items())
        found = {0x4F: aid, 0x5F52: bytes.fromhex("0073000080059000"), 0xC4: lists[0xC4],
                 0x6E: tlv(0x4F, aid) + bytes.fromhex("5f52080073000080059000") + tlv(0x73, data),
                 0x65: bytes.fromhex("5b005f2d005f350130"), 0x7A: bytes.fromhex("9303000000")}
        return found.get(tag, b"")

    def _serial(self, _):
        return struct.pack(">I", self.memory.serial)

    # ---- PIN and PUK

    def _check(self, which, value):
        """Counts a try of the PIN or the PUK."""
        counter = f"{which}_tries"
        left = getattr(self.memory, counter)
        if left == 0:
            raise Refused(PIN_BLOCKED)
        good = padded(getattr(self.memory, which)) == value
        setattr(self.memory, counter, TRIES if good else left - 1)
        self.memory.save()
        if not good:
            raise Refused(0x63C0 | left - 1 if left > 1 else PIN_BLOCKED)

    def _verify(self, command):
        if command.p2 != PIN_SLOT:
            raise Refused(NO_SUCH_KEY)
        if command.p1 == 0xFF:
            self.verified = False
        elif command.data:
            self.verified = self.fresh = False
            self._check("pin", command.data)
            self.verified = self.fresh = True
        elif not self.verified:
            raise Refused(0x63C0 | self.memory.pin_tries if self.memory.pin_tries else PIN_BLOCKED)
        return b""

    def _change(self, command):
        which = {PIN_SLOT: "pin", PUK_SLOT: "puk"}[command.p2]
        self._check(which, command.data[:8])
        setattr(self.memory, which, command.data[8:].rstrip(b"\xff").decode())
        self.memory.save()
        return b""

    def _unblock(self, command):
        self._check("puk", command.data[:8])
        self.memory.pin, self.memory.pin_tries = command.data[8:].rstrip(b"\xff").decode(), TRIES
        self.memory.save()
        return b""

    # ---- objects

    def _get(self, command):
        tag = elements(command.data)[0x5C].hex()
        if tag not in self.memory.objects:
            raise Refused(NOT_FOUND)
        return tlv(0x7E if tag == "7e" else 0x53, bytes.fromhex(self.memory.objects[tag]))

    def _put(self, command):
        if not self.managed:
            raise Refused(NOT_ALLOWED)
        found = elements(command.data)
        self.memory.objects[found[0x5C].hex()] = found[0x53].hex()
        self.memory.save()
        return b""

    # ---- keys

    def _generate(self, command):
        if not self.managed:
            raise Refused(NOT_ALLOWED)
        self.hold()
        key = keys.make(elements(elements(command.data)[0xAC])[0x80][0])
        self.memory.put_key(command.p2, key)
        self.memory.save()
        return tlv(0x7F49, keys.public(key))

    def _metadata(self, command):
        if command.p2 in (PIN_SLOT, PUK_SLOT):
            tries = self.memory.pin_tries if command.p2 == PIN_SLOT else self.memory.puk_tries
            return tlv(0x05, b"\0") + tlv(0x06, bytes([TRIES, tries]))
        if command.p2 == MANAGEMENT_SLOT:
            return tlv(0x01, b"\x03") + tlv(0x02, b"\0\1") + tlv(0x05, b"\1")
        key = self._key(command.p2)
        pin_policy = {SIGNATURE_SLOT: 3, OPEN_SLOT: 1}.get(command.p2, 2)
        return tlv(0x01, bytes([keys.algorithm_of(key)])) + tlv(0x02, bytes([pin_policy, 1])) + \
            tlv(0x03, b"\1") + tlv(0x04, keys.public(key))

    def _attest(self, command):
        """A certificate by the card's own key that tells that the key was made on it."""
        if ATTESTING not in self.memory.objects or command.p1 == ATTESTING_SLOT:
            raise Refused(NOT_FOUND)
        return keys.certificate(self._key(command.p1), f"PIV Attestation {command.p1:02x}",
                                ("attestation", self._key(ATTESTING_SLOT)))

    def _key(self, slot):
        key = self.memory.key(slot)
        if key is None:
            raise Refused(NO_SUCH_KEY)
        return key

    def _use(self, command):
        asked = elements(elements(command.data)[0x7C])
        if command.p2 == MANAGEMENT_SLOT:
            return tlv(0x7C, self._authenticate(asked))
        key = self._key(command.p2)
        if command.p1 != keys.algorithm_of(key):
            raise Refused(BAD_DATA)
        allowed = {SIGNATURE_SLOT: self.fresh, OPEN_SLOT: True}.get(command.p2, self.verified)
        self.fresh = False
        if not allowed:
            raise Refused(NOT_ALLOWED)
        if self.hold():
            raise Refused(FAILED)
        made = keys.agree(key, asked[0x85]) if 0x85 in asked else keys.use(key, asked[0x81])
        return tlv(0x7C, tlv(0x82, made))

    def _authenticate(self, asked):
        """By the management key: the card's challenge or witness, then its answer."""
        cipher = Cipher(algorithms.TripleDES(MANAGEMENT_KEY), modes.ECB())
        if asked.get(0x80) == b"":
            self.challenge = os.urandom(8)
            return tlv(0x80, cipher.encryptor().update(self.challenge))
        if asked.get(0x81) == b"":
            self.challenge = os.urandom(8)
            return tlv(0x81, self.challenge)
        if 0x80 in asked:
            good, answer = asked[0x80] == self.challenge, tlv(0x82, cipher.encryptor().update(asked[0x81]))
        else:
            good, answer = asked[0x82] == cipher.encryptor().update(self.challenge or b""), b""
        if not good:
            raise Refused(NOT_ALLOWED)
        self.managed = True
        return answer
