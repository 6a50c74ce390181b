"""Other programs use the same token while the agent idles."""
import contextlib
import os
import shutil
import subprocess
import sys

from kinds import JID, OTHER
from processes import PATIENCE, until
from test_sign import judged
from world import TOP

@contextlib.contextmanager
def exclusive(kind):
    """Another program wants the card for itself; gives whether it got it."""
    argv = [sys.executable, TOP / "tests/card/exclusive.py"]
    with subprocess.Popen(argv, env=dict(os.environ, **kind.env), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as other:
        yield other.stdout.readline() == "held\n"


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


def test_a_card_that_another_has_for_itself(kind):
    """From before the agent came: said so, in time; afterwards all goes on."""
    if not kind.can["removal"]:
        assert kind.unlock()["unlocked"]
        return
    with exclusive(kind) as held:
        assert held
        error = kind.unlock_error(token=f"pkcs11:manufacturer={kind.maker}")
        print(error)
        assert error.name == "Busy" and error.parameters["advice"]
        assert "another program" in error.parameters["message"]
        assert "gpgconf --kill scdaemon" in error.parameters["message"]
        assert [t["label"] for t in kind.call("ListTokens")["tokens"]] == [OTHER]
    until(kind.tokens, "the token does not come back")
    assert kind.unlock()["unlocked"]
    judged(kind, kind.any_key())


def test_release(kind):
    """All sessions are closed at once; the next call opens its own."""
    kind.unlock()
    key = kind.any_key()
    judged(kind, key)
    kind.call("ReleaseToken", token=kind.token)
    if kind.can["removal"]:
        with exclusive(kind) as held:
            print(f"{kind.name}: after a release another program gets the card for itself: {held}")
    judged(kind, key)
    kind.call("ReleaseToken")
    judged(kind, key)
    kind.call("Lock", token=kind.token)
    assert kind.error("MakeCsr", key=key, jid=JID).name == "PinNeeded"
