"""Other programs use the same token while the agent idles."""
import contextlib
import os
import signal
import subprocess
import sys

import pytest

from kinds import JID, OTHER
from processes import PATIENCE, until
from test_agent_remember import holders
from test_pin import pin_call
from test_removal import Call, signs_again
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
        said = kind.run("opensc-tool", "--send-apdu", "00a4040005a000000308")
        assert "SW1=0x90" in said
    judged(kind, key)


@contextlib.contextmanager
def gpg(kind, *options):
    """gpg with a scdaemon of its own, which ends with it; gives what looks at the card, as a person does."""
    home = kind.dir / "gnupg"
    home.mkdir(mode=0o700, exist_ok=True)
    lines = ("disable-ccid", "pcsc-driver libpcsclite.so.1", *options)
    (home / "scdaemon.conf").write_text("".join(f"{line}\n" for line in lines))
    env = dict(os.environ, **kind.env, GNUPGHOME=str(home))
    try:
        yield lambda: subprocess.run(["gpg", "--batch", "--card-status"], env=env, stdin=subprocess.DEVNULL,
                                     capture_output=True, text=True, timeout=PATIENCE, check=False).stdout
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=env, check=True, timeout=PATIENCE)


def test_gpg_while_unlocked_and_idle(kind):
    """gpg's scdaemon shares the card if it is told to, and has it for itself after a release; then the agent signs."""
    kind.unlock()
    key = kind.any_key()
    judged(kind, key)
    if not kind.can["removal"]:
        assert not hasattr(kind, "card")
        return
    with gpg(kind, "pcsc-shared") as look:
        assert "Application type .: OpenPGP" in look()
    signs_again(kind, key)
    kind.call("ReleaseToken", token=kind.token)
    with gpg(kind) as look:
        until(lambda: "Application type .: OpenPGP" in look(), "gpg does not get the card")
    signs_again(kind, key)


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
    """All sessions are closed at once, and the card is free for another program; the next call asks for the PIN."""
    kind.unlock()
    key = kind.any_key()
    judged(kind, key)
    for named in ({"token": kind.token}, {}):
        assert kind.call("ReleaseToken", **named)["note"] is None
        if kind.can["removal"]:
            with exclusive(kind) as held:
                assert held
        assert kind.error("MakeCsr", key=key, jid=JID).name == "PinNeeded"
        kind.unlock()
        judged(kind, key)
    kind.call("Lock", token=kind.token)
    assert kind.error("MakeCsr", key=key, jid=JID).name == "PinNeeded"


def test_a_card_that_was_only_looked_at(kind):
    """After a release a list takes it again, and not for long: gpg has it for itself."""
    if not kind.can["removal"]:
        assert kind.tokens()
        return
    kind.unlock()
    key = kind.any_key()
    kind.call("ReleaseToken", token=kind.token)
    labels = [t["label"] for t in kind.call("ListTokens")["tokens"]]
    assert OTHER in labels and len(labels) == 2
    with gpg(kind) as look:
        until(lambda: kind.call("Status") and "Application type .: OpenPGP" in look(), "gpg does not get the card")
        assert [t["label"] for t in kind.call("Status")["tokens"]] == labels
    signs_again(kind, key)


def test_release_during_a_call(kind):
    """It does not wait for a card that does not answer, nor for a touch."""
    if not kind.can["removal"]:
        assert kind.tokens()
        return
    for words in (("hang",), ("touch", 60)):
        kind.unlock()
        key = kind.any_key()
        judged(kind, key)
        kind.card(*words)
        call = Call(kind, "MakeCsr", {"key": key, "jid": JID})
        kind.card("held")
        assert kind.call("ReleaseToken", token=kind.token)["note"] is None
        assert call.outcome().name == "TokenReleased"
        kind.card("ok")
        with exclusive(kind) as held:
            assert held
    signs_again(kind, key)


def test_nothing_is_left_of_a_pin_that_is_locked(kind):
    """Not on the heap of the module either, which C_Logout does not wipe."""
    pin = kind.pin
    if kind.can["removal"]:
        pin = "71840395"  # that of all the cards is found in a memory by chance
        pin_call(kind, "ChangePin", kind.pin, pin)
        assert holders(kind.signetd, pin) == []
    kind.unlock(pin)
    judged(kind, kind.any_key())
    kind.call("Lock", token=kind.token)
    if kind.can["removal"]:
        assert holders(kind.signetd, pin) == []
    assert kind.error("Unlock", token=kind.token).name == "PinNeeded"


@pytest.mark.parametrize("how", ["Lock", "SIGHUP"])
def test_nothing_is_left_of_a_pin_while_a_touch_is_awaited(kind, how):
    """The module may let no logout in; the call is lost then, and not the PIN."""
    if not kind.can["touch"]:
        assert not hasattr(kind, "card")
        return
    pin = "71840395"
    pin_call(kind, "ChangePin", kind.pin, pin)
    kind.unlock(pin)
    key = kind.key_in("9a")["uri"]
    kind.card("touch", 60)
    call = Call(kind, "MakeCsr", {"key": key, "jid": JID})
    kind.card("held")
    if how == "Lock":
        kind.call("Lock", token=kind.token)
    else:
        kind.signetd.popen.send_signal(signal.SIGHUP)
    until(lambda: holders(kind.signetd, pin) == [], "the PIN is still in memory")
    assert call.outcome() is not None
    kind.card("ok")
    kind.unlock(pin)
    judged(kind, key)
