"""Other programs use the same token while the agent idles."""
import ctypes
import shutil
import subprocess

import pytest

from kinds import JID
from processes import PATIENCE, until
from test_sign import judged

SCARD_SCOPE_SYSTEM, SCARD_SHARE_EXCLUSIVE, SCARD_PROTOCOL_T1, SCARD_LEAVE_CARD = 2, 1, 2, 0


class Exclusive:
    """Another program that has the card for itself, as gpg's scdaemon has."""

    def __init__(self, kind, monkeypatch):
        monkeypatch.setenv("PCSCLITE_CSOCK_NAME", kind.env["PCSCLITE_CSOCK_NAME"])
        self.pcsc = ctypes.CDLL("libpcsclite.so.1")
        self.context, self.card = ctypes.c_long(), ctypes.c_long()
        assert self.pcsc.SCardEstablishContext(SCARD_SCOPE_SYSTEM, None, None, ctypes.byref(self.context)) == 0

    def connect(self):
        """Whether it got the card."""
        protocol = ctypes.c_ulong()
        return self.pcsc.SCardConnect(self.context, b"Yubico YubiKey OTP+FIDO+CCID 00 00", SCARD_SHARE_EXCLUSIVE,
                                      SCARD_PROTOCOL_T1, ctypes.byref(self.card), ctypes.byref(protocol)) == 0

    def close(self):
        self.pcsc.SCardDisconnect(self.card, SCARD_LEAVE_CARD)
        self.pcsc.SCardReleaseContext(self.context)


def signs(kind, key):
    """A signature without a PIN, or with the one that the other program's use has cost."""
    error = None
    try:
        judged(kind, key)
    except AssertionError:
        raise
    except Exception as why:  # noqa: BLE001 - told below
        error = why
    return error


def test_another_program_while_unlocked_and_idle(kind):
    """No transaction and no exclusive use: it sees the token and logs in; then the agent signs, with no PIN asked."""
    kind.unlock()
    key = kind.any_key()
    judged(kind, key)
    if kind.name == "nss":
        kind.foreign_key("foreign")
    else:
        label = kind.tokens()[0]["label"]
        assert label in kind.tool("--list-token-slots")
        kind.tool("--token-label", label, "--login", "--pin", kind.pin, "--list-objects")
    if kind.can["removal"]:
        said = subprocess.run(["opensc-tool", "--send-apdu", "00a4040005a000000308"], env=dict(kind.env),
                              capture_output=True, text=True, timeout=PATIENCE).stdout
        assert "SW1=0x90" in said
    judged(kind, key)


def test_gpg_while_unlocked_and_idle(kind):
    """gpg's scdaemon looks at the card; then the agent signs."""
    kind.unlock()
    key = kind.any_key()
    if not kind.can["removal"]:
        judged(kind, key)
        return
    judged(kind, key)
    daemon = shutil.which("scdaemon") or "/usr/lib/gnupg/scdaemon"
    said = subprocess.run([daemon, "--server", "--disable-ccid", "--pcsc-driver", "libpcsclite.so.1"],
                          input="SERIALNO\nBYE\n", env=dict(kind.env, GNUPGHOME=str(kind.dir)), capture_output=True,
                          text=True, timeout=PATIENCE).stdout
    assert "ERR" in said or "SERIALNO" in said
    judged(kind, key)


def test_a_card_that_another_has_for_itself(kind, monkeypatch):
    """Said so, in time; afterwards all goes on."""
    if not kind.can["removal"]:
        assert kind.unlock()["unlocked"]
        return
    other = Exclusive(kind, monkeypatch)
    assert other.connect()
    try:
        error = kind.error("Unlock", token=f"pkcs11:manufacturer={'piv_II' if kind.name == 'opensc' else 'x'}")
        print(error)
        assert error.name in ("TokenAbsent", "TokenFailed", "Busy", "PinNeeded") and error.parameters["advice"]
    finally:
        other.close()
    until(kind.tokens, "the token does not come back")
    assert kind.unlock()["unlocked"]
    judged(kind, kind.any_key())


def test_release(kind, monkeypatch):
    """All sessions are closed at once; the next call opens its own."""
    kind.unlock()
    key = kind.any_key()
    judged(kind, key)
    kind.call("ReleaseToken", token=kind.token)
    if kind.can["removal"]:
        other = Exclusive(kind, monkeypatch)
        got = other.connect()
        other.close()
        print(f"{kind.name}: after a release the card can be had exclusively: {got}")
    kind.call("ReleaseToken")
    judged(kind, key)
    kind.call("Lock", token=kind.token)
    assert kind.error("MakeCsr", key=key, jid=JID).name == "PinNeeded"
    with pytest.raises(AssertionError):
        kind.error("ReleaseToken", token=kind.token)
