"""A card that another program has used since: its PIN is another one, and one try is left.

The modules go on telling what they saw before, so the card itself is asked; no PIN that nobody enters just now is
tried on it, held or from a file.
"""
import pytest

from kinds import JID, Ykcs11
from test_pin import again, wrong_by_another
from test_sign import judged

CHANGED = "654321"


def change_by_another(kind, old, new):
    """Another program sets a new PIN."""
    if isinstance(kind, Ykcs11):
        kind.tool("--login", "--pin", old, "--change-pin", "--new-pin", new)
    else:
        kind.tool("--token-label", kind.tokens()[0]["label"], "--login", "--pin", old, "--change-pin", "--new-pin",
                  new)


def burn(kind):
    """Another program leaves one try of another PIN."""
    change_by_another(kind, kind.pin, CHANGED)
    wrong_by_another(kind, 2)
    assert kind.card("pin-state")["pin_tries"] == 1
    kind.pins()


def unused(kind):
    """No PIN was tried, and the last try is there."""
    assert kind.pins() == []
    assert kind.card("pin-state")["pin_tries"] == 1


@pytest.mark.parametrize("place", ["9a", "9c"])
def test_a_held_pin_is_not_the_last_try(kind, place):
    """Neither for a signature that wants it each time, nor for a login that was lost."""
    if not kind.can["removal"]:
        assert not hasattr(kind, "card")
        return
    token = kind.token
    kind.unlock()
    key = kind.key_in(place)["uri"]
    judged(kind, key)
    burn(kind)
    error = kind.error("MakeCsr", key=key, jid=JID)
    assert error.name == "PinNeeded", error
    unused(kind)
    assert not kind.tokens()[0]["unlocked"]
    assert kind.error("MakeCsr", key=key, jid=JID).name == "PinNeeded"
    error = kind.unlock_error(kind.pin, token)
    assert error.name == "Denied" and "one try left" in error.parameters["message"]
    unused(kind)


@pytest.mark.parametrize("locked", [True, False])
def test_a_pin_from_a_file_is_not_the_last_try(kind, locked):
    """After a lock in the same process, and after a restart of all."""
    if not kind.can["removal"]:
        assert not hasattr(kind, "card")
        return
    token = kind.token
    kind.unlock()
    if locked:
        kind.call("Lock", token=token)
    burn(kind)
    if not locked:
        again(kind)
    error = kind.unlock_error("11112222", token)
    assert error.name == "Denied" and "one try left" in error.parameters["message"]
    unused(kind)


def test_a_pin_that_was_changed(kind):
    """With tries enough: the held PIN is tried once, the token is locked then, and the new one opens it."""
    if not kind.can["removal"]:
        assert not hasattr(kind, "card")
        return
    token = kind.token
    kind.unlock()
    key = kind.key_in("9c")["uri"]
    judged(kind, key)
    change_by_another(kind, kind.pin, CHANGED)
    kind.pins()
    error = kind.error("MakeCsr", key=key, jid=JID)
    assert error.name in ("PinWrong", "PinNeeded"), error
    if error.name == "PinWrong":
        assert "C_Login" in error.parameters["message"]
    tried = [pin for _, pin, _ in kind.pins()]
    assert tried.count(kind.pin) == 1 and set(tried) == {kind.pin}
    assert not kind.tokens()[0]["unlocked"]
    assert kind.error("MakeCsr", key=key, jid=JID).name == "PinNeeded"
    assert kind.unlock_error(kind.pin, token).name == "PinWrong"
    assert kind.pins() == []
    kind.unlock(CHANGED, token)
    judged(kind, key)
