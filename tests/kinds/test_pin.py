"""PINs: right, wrong, known to be wrong, the last try, locked, changed, unblocked."""
import contextlib
import os
import signal

from kinds import JID
from processes import WorldError, wait_gone
from varlink_client import secret


def pin_error(kind, method, *lines):
    """An error of a call that reads an old secret and a new PIN."""
    with secret("\n".join(lines) + "\n") as fd:
        return kind.signetd.error(method, {"token": kind.token, "pin": {"fd": 0}}, [fd])


def pin_call(kind, method, *lines):
    with secret("\n".join(lines) + "\n") as fd:
        return kind.signetd.call(method, {"token": kind.token, "pin": {"fd": 0}}, [fd])["token"]


def again(kind):
    """signetd ends and starts anew on the same state."""
    assert kind.signetd.stop() == 0
    kind.signetd.start()


def wrong_by_another(kind, times):
    """Another program tries wrong PINs."""
    for _ in range(times):
        with contextlib.suppress(WorldError):
            kind.tool("--token-label", kind.tokens()[0]["label"], "--login", "--pin", "99999999", "--list-objects")


def test_unlock_and_lock(kind):
    assert kind.error("Unlock", token=kind.token).name == "PinNeeded"
    assert kind.unlock()["unlocked"]
    assert kind.tokens()[0]["unlocked"]
    assert not kind.call("Lock", token=kind.token)["token"]["unlocked"]
    assert kind.error("Unlock", token=kind.token).name == "PinNeeded"
    assert kind.unlock()["unlocked"]


def test_a_wrong_pin_is_tried_once(kind):
    """Not by the next call, not by the agent's next life, not by a worker's, and not in a card that came back."""
    assert kind.unlock_error("87654321").name == "PinWrong"
    if kind.can["removal"]:
        assert [tried[1:] for tried in kind.pins()] == [("87654321", "63c2")]

    token = kind.token

    def refused():
        error = kind.unlock_error("87654321", token)
        assert error.name == "PinWrong" and "not tried again" in error.parameters["message"]
        if kind.can["removal"]:
            assert kind.pins() == []
    refused()
    again(kind)
    refused()
    worker = next(w for w in kind.call("Status")["workers"] if kind.name in w["subject"])
    os.kill(worker["pid"], signal.SIGKILL)
    wait_gone(worker["pid"])
    refused()
    if kind.can["removal"]:
        kind.card("remove")
        kind.card("insert")
        refused()
    assert kind.unlock()["unlocked"]
    if kind.can["removal"]:
        assert [tried[1:] for tried in kind.pins()] == [(kind.pin, "9000")]
    kind.call("Lock", token=kind.token)
    refused()


def test_tries_left_are_told(kind):
    """As the token's flags tell, or else as we counted."""
    error = kind.unlock_error("11111111")
    assert error.name == "PinWrong"
    if kind.can["pin-lock"] or not kind.can["pin-flags"]:
        assert error.parameters["tries_left"] in (None, 2, 3)
    error = kind.unlock_error("22222222")
    if "FINAL_TRY" in kind.can["pin-flags"] or not kind.can["pin-flags"]:
        assert error.parameters["tries_left"] == 1


def test_the_last_try_is_a_persons(kind):
    """Without one who was told, it is not used, whatever the PIN; nor after a restart."""
    for pin in ("11111111", "22222222"):
        assert kind.unlock_error(pin).name == "PinWrong"
    if "FINAL_TRY" not in kind.can["pin-flags"] and kind.can["pin-flags"]:
        # It tells that tries are few, and never locks: nothing is to be feared.
        assert kind.unlock_error("33333333").name == "PinWrong"
        assert kind.unlock()["unlocked"]
        return
    for pin in ("33333333", kind.pin):
        error = kind.unlock_error(pin)
        assert error.name == "Denied" and "one try left" in error.parameters["message"], error
    again(kind)
    assert kind.unlock_error(kind.pin).name == "Denied"
    if kind.can["removal"]:
        assert len(kind.pins()) == 2
        assert kind.card("pin-state")["pin_tries"] == 1


def test_tries_are_counted_on(kind):
    """Where no flag tells, each try that failed is one less, also after a restart; a person's success ends that."""
    counts = not kind.can["pin-flags"]
    for left, pin in ((2, "11111111"), (1, "22222222")):
        error = kind.unlock_error(pin)
        assert error.name == "PinWrong"
        again(kind)
        if counts:
            assert error.parameters["tries_left"] == kind.tokens()[0]["tries_left"] == left
    if not counts:
        return
    error = kind.unlock_error()
    assert error.name == "Denied" and "as counted" in error.parameters["message"]
    assert kind.tokens()[0]["tries_left"] == 1 and "as a person" in error.parameters["advice"]
    kind.signetd.stop()
    pinentry = kind.signetd.dir / "pinentry"
    pinentry.write_text("#!/bin/sh\necho OK\nwhile read -r line; do case $line in GETPIN) echo \"D $PIN\"; "
                        "echo OK;; BYE) exit;; *) echo OK;; esac; done\n".replace("$PIN", kind.pin))
    pinentry.chmod(0o755)
    kind.signetd.conf.write_text(kind.signetd.conf.read_text() + f"[agent]\npinentry = {pinentry}\n")
    kind.signetd.start()
    assert kind.call("Unlock", token=kind.token, pin={"pinentry": {}})["token"]["tries_left"] == 3
    kind.call("Lock", token=kind.token)
    assert kind.unlock()["unlocked"]


def test_a_locked_pin(kind):
    """Locked by another program: said so, and nothing is tried."""
    tries = int(kind.can["pin-lock"][0]) if kind.can["pin-lock"] else 12
    if kind.name != "nss":  # pkcs11-tool has no way to give softoken its folder
        wrong_by_another(kind, tries)
    if not kind.can["pin-lock"]:
        assert kind.unlock()["unlocked"]
        return
    error = kind.unlock_error()
    assert error.name == "PinLocked" and error.parameters["advice"]
    if "LOCKED" in kind.can["pin-flags"]:
        assert kind.tokens()[0]["pin"] == "locked"
        kind.pins()
        assert kind.unlock_error().name == "PinLocked"
        assert kind.pins() == []


def test_a_change_of_pin(kind):
    token = pin_call(kind, "ChangePin", kind.pin, "24682468")
    assert token["pin"] == "ok"
    kind.call("Lock", token=kind.token)
    assert kind.unlock("24682468")["unlocked"]
    kind.call("Lock", token=kind.token)
    assert kind.unlock_error().name == "PinWrong"
    assert pin_error(kind, "ChangePin", "13571357", "24682469").name == "PinWrong"
    assert kind.unlock("24682468")["unlocked"]
    pin_call(kind, "ChangePin", "24682468", kind.pin)
    kind.call("Lock", token=kind.token)
    assert kind.unlock()["unlocked"]


def test_an_unblocked_pin(kind):
    """By the SO PIN or the PUK, where the kind lets that set a new one; it costs no try of the user's PIN."""
    kind.unlock_error("11111111")
    if kind.can["removal"]:
        kind.pins()
    if kind.can["unblock"]:
        assert pin_error(kind, "UnblockPin", "00000000", "24682468").name in ("PinWrong", "PinLocked")
        pin_call(kind, "UnblockPin", kind.so_pin, "24682468")
        if kind.can["removal"]:
            assert kind.pins() == []
        assert kind.unlock("24682468")["unlocked"]
    else:
        error = pin_error(kind, "UnblockPin", kind.so_pin, "24682468")
        assert error.name in kind.can["refuses-unblock"] and error.parameters["advice"], error
        if kind.name == "opensc":
            assert "pkcs15-tool --unblock-pin" in error.parameters["message"]
            assert "ykman" in error.parameters["message"]
            assert pin_error(kind, "UnblockPin", "87654321", "24682468").name == "Unsupported"
            assert {c["command"] for c in kind.card("log")["log"]}.isdisjoint({"CHANGE", "UNBLOCK"})
            assert kind.card("pin-state") == {"pin_tries": 2, "puk_tries": 3}
        assert kind.unlock()["unlocked"]


def test_a_locked_pin_is_unblocked(kind):
    """By the PUK, where the kind has one: no try of the PIN, and nothing of what was counted is left."""
    if kind.can["unblock"] != ["puk"]:
        assert kind.can["unblock"] in ([], ["so"])
        return
    wrong_by_another(kind, int(kind.can["pin-lock"][0]))
    assert kind.unlock_error().name == "PinLocked"
    kind.pins()
    token = pin_call(kind, "UnblockPin", kind.so_pin, "246824")
    assert token["pin"] == "ok" and kind.pins() == []
    assert kind.card("pin-state") == {"pin_tries": 3, "puk_tries": 3}
    again(kind)
    assert kind.unlock("246824")["unlocked"]
    assert pin_error(kind, "UnblockPin", "87654321", "135713").name == "PinWrong"
    error = pin_error(kind, "UnblockPin", "87654321", "135713")
    assert error.name == "PinWrong" and "not tried again" in error.parameters["message"]
    assert kind.card("pin-state")["puk_tries"] == 2


def test_a_pin_is_no_other_tokens(kind):
    """The PIN of one token is not tried on another, also when a call needs both in turn."""
    kind.unlock()
    if kind.can["removal"]:
        kind.pins()
    assert kind.error("NewKey", token="other", label="x").name == "PinNeeded"
    assert kind.error("MakeCsr", key="x", jid=JID).name == "KeyAbsent"
    if kind.can["removal"]:
        assert kind.pins() == []
