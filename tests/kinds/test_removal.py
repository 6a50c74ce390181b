"""Removal and return at any moment, pcscd stopped and started, a card that does not answer."""
import os
import threading
import time

import pytest

from kinds import JID, OTHER
from processes import until
from test_pins_of_others import change_by_another
from test_sign import judged
from varlink_client import AgentError, Client, secret

GONE = ("TokenAbsent", "TokenFailed", "WorkerDied", "TimedOut", "PinNeeded", "KeyAbsent")
CALLS = 200
BACK = 10  # s; the mark is 2 s, which a loaded machine may miss: what was measured is printed


@pytest.fixture
def card(kind):
    """The kinds whose token can leave; of the others it is asserted that the capability file says no."""
    if not kind.can["removal"]:
        assert not hasattr(kind, "card")
        return None
    return kind


class Call(threading.Thread):
    """A call under way."""

    def __init__(self, kind, method, parameters, pin=None):
        super().__init__(daemon=True)
        self.kind, self.method, self.parameters, self.pin = kind, method, parameters, pin
        self.error = self.reply = None
        self.start()

    def run(self):
        try:
            with secret(self.pin or "") as fd:
                fds = [fd] if self.pin else []
                self.reply = self.kind.signetd.call(self.method, self.parameters, fds)
        except AgentError as error:
            self.error = error

    def outcome(self):
        """The error, or None when it went well."""
        self.join(120)
        assert not self.is_alive(), "the call hangs"
        return self.error


def signs_again(kind, key):
    """After the return: measures until the next call works; with the PIN given once when that was forgotten.

    A removal that nobody saw is noticed by the next call alone.
    """
    started = time.monotonic()
    until(kind.tokens, "the token does not come back")
    seen = time.monotonic() - started
    try:
        judged(kind, key)
    except AgentError as error:
        # OpenSC 0.23 may lock itself up in a call that a pull interrupts: the deadline is the end of that.
        assert error.name == "PinNeeded" or (error.name, kind.name) == ("TimedOut", "opensc")
        if error.name == "TimedOut":
            started = time.monotonic()
        kind.unlock()
        judged(kind, key)
    took = time.monotonic() - started
    print(f"{kind.name}: back after {seen:.2f} s, signed after {took:.2f} s")
    assert took < BACK


def test_removal_while_idle(card):
    if card is None:
        return
    card.unlock()
    key = card.key_in("9a")["uri"]
    judged(card, key)
    card.card("remove")
    assert card.error("MakeCsr", key=key, jid=JID).name in GONE
    assert card.tokens() == []
    card.card("insert")
    card.pins()
    error = None
    until(card.tokens)
    if not card.tokens()[0]["unlocked"]:
        error = card.error("MakeCsr", key=key, jid=JID).name
    assert error == "PinNeeded"  # 'remember = removal': its PIN was forgotten
    assert card.pins() == []
    signs_again(card, key)


def test_removal_that_nobody_saw(card):
    """Out and in again while nobody calls."""
    if card is None:
        return
    card.unlock()
    key = card.key_in("9a")["uri"]
    judged(card, key)
    for _ in range(3):
        card.card("remove")
        card.card("insert")
        signs_again(card, key)


def test_removal_during_a_signature(card):
    if card is None:
        return
    card.unlock()
    key = card.key_in("9a")["uri"]
    judged(card, key)
    card.card("touch", 60)
    call = Call(card, "MakeCsr", {"key": key, "jid": JID})
    card.card("held")
    card.card("remove")
    assert call.outcome().name in GONE
    card.card("ok")
    card.card("insert")
    signs_again(card, key)


def test_removal_during_two_touches(card):
    """The PIN is not tried on a card that is not there, and goes on being good: a batch finds back."""
    if card is None:
        return
    card.unlock()
    key = card.key_in("9a")["uri"]
    judged(card, key)
    for _ in range(2):
        card.card("touch", 60)
        calls = [Call(card, "MakeCsr", {"key": key, "jid": JID}) for _ in range(2)]
        card.card("held")
        card.card("remove")
        for call in calls:
            assert call.outcome().name in GONE
        card.card("ok")
        card.card("insert")
        until(card.tokens, "the token does not come back")
        card.pins()
        card.unlock()  # by descriptor: a try that is counted as the last is refused there
        judged(card, key)
        assert {status for _, _, status in card.pins()} <= {"9000"}


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.1, 0.3])
def test_removal_during_a_login(card, moment):
    """At several moments: whatever the login had come to, nothing hangs, and the PIN was tried once."""
    if card is None:
        return
    key = card.key_in("9a")["uri"] if any(k["label"] == card.labels()["9a"] for k in card.keys()) else None
    card.pins()
    call = Call(card, "Unlock", {"token": card.token, "pin": {"fd": 0}}, card.pin)
    time.sleep(moment)
    card.card("remove")
    error = call.outcome()
    assert error is None or error.name in GONE, error
    assert len(card.pins()) <= 1
    card.card("insert")
    until(card.tokens)
    card.unlock()
    signs_again(card, key or card.key_in("9a")["uri"])


@pytest.mark.parametrize("between", ["nothing", "another card", "a restart"])
def test_a_wrong_pin_whose_answer_was_lost(card, between):
    """The card has counted it, and is pulled before it says so: it is not tried again, for the card shows the loss."""
    if card is None:
        return
    named = card.token
    card.card("lose")
    call = Call(card, "Unlock", {"token": named, "pin": {"fd": 0}}, "777777")
    card.card("held")
    card.card("remove")
    assert call.outcome().name in GONE
    card.card("ok")
    if between == "another card":
        card.card("insert", "second")
        until(card.tokens)
    if between == "a restart":
        card.signetd.stop()
        card.signetd.start()
    card.card("insert")
    until(lambda: [t["uri"] for t in card.tokens()] == [named])
    card.pins()
    error = card.unlock_error("777777")
    assert error.name == "Denied" and "person" in error.parameters["advice"], error
    assert card.pins() == []
    assert card.card("pin-state")["pin_tries"] == 2
    card.unlock()
    judged(card, card.key_in("9a")["uri"])
    # The agent's own success began the card's count anew: that it is whole says nothing of that PIN.
    card.call("Lock", token=card.token)
    card.pins()
    assert card.unlock_error("777777").name == "Denied"
    assert card.pins() == []


def test_the_old_pin_whose_answer_was_lost(card):
    """It was right, and another program has set a new one: the card shows the loss, so it is not tried again."""
    if card is None:
        return
    card.unlock()
    card.call("Lock", token=card.token)
    change_by_another(card, card.pin, "654321")
    named = card.token
    card.card("lose")
    call = Call(card, "Unlock", {"token": named, "pin": {"fd": 0}}, card.pin)
    card.card("held")
    card.card("remove")
    assert call.outcome().name in GONE
    card.card("ok")
    card.card("insert")
    until(lambda: [t["uri"] for t in card.tokens()] == [named])
    card.pins()
    assert card.unlock_error().name == "Denied"
    assert card.pins() == []
    card.unlock("654321")


def test_another_token_never_gets_the_pin(card):
    """The card's own log shows what PINs it was given."""
    if card is None:
        return
    card.unlock()
    key = card.key_in("9a")["uri"]
    judged(card, key)
    first = card.token
    card.card("remove")
    card.card("insert", "second")
    card.pins()
    until(card.tokens)
    assert card.token != first
    assert not card.tokens()[0]["unlocked"]
    assert card.error("MakeCsr", key=key, jid=JID).name in ("TokenAbsent", "KeyAbsent")
    assert card.error("Unlock", token=first).name == "TokenAbsent"
    assert card.error("MakeCsr", key=card.token, jid=JID).name in ("KeyAmbiguous", "PinNeeded", "KeyAbsent")
    assert card.error("Unlock", token=card.token).name == "PinNeeded"
    with secret(card.pin) as fd:
        assert card.signetd.error("Unlock", {"token": first, "pin": {"fd": 0}}, [fd]).name == "TokenAbsent"
    assert card.pins() == []
    card.card("remove")
    card.card("insert")
    signs_again(card, key)


PINENTRY = """#!/bin/sh
echo OK
while read -r line; do
    case $line in
    GETPIN) echo asked > {asked}; read -r line < {go}; echo "D {pin}"; echo OK ;;
    BYE) exit ;;
    *) echo OK ;;
    esac
done
"""


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("other", ["second", None])
def test_a_card_swapped_while_its_pin_is_typed(card, other, away):
    """Another one, or none, is there then: said so, and the PIN is tried on none."""
    if card is None:
        return
    token, folder = card.token, card.signetd.dir
    asked, go, pinentry = folder / "asked", folder / "go", folder / "slow-pinentry"
    for fifo in (asked, go):
        os.mkfifo(fifo)
    pinentry.write_text(PINENTRY.format(asked=asked, go=go, pin=card.pin))
    pinentry.chmod(0o755)
    card.signetd.conf.write_text(card.signetd.conf.read_text() + f"[agent]\npinentry = {pinentry}\n")
    card.signetd.stop()
    card.signetd.start()
    card.pins()
    with Client(card.signetd.sock) as client:
        client.send("Unlock", {"token": token, "pin": {"pinentry": {}}})
        assert asked.read_text() == "asked\n"
        if away:
            card.card("pcscd", "stop")
        card.card("remove")
        if other:
            card.card("insert", other)
        card.card("pcscd", "start")
        go.write_text("now\n")
        error = client.error_of_next()
    assert error.name == "TokenAbsent" and error.parameters["advice"], error
    assert "PIN" in error.parameters["message"] or "taken out" in error.parameters["message"], error
    assert card.pins() == []
    card.card("remove")
    card.card("insert")
    until(card.tokens)
    with Client(card.signetd.sock) as client:
        client.send("Unlock", {"token": token, "pin": {"pinentry": {}}})
        asked.read_text()
        go.write_text("now\n")
        assert client.receive()["token"]["unlocked"]
    assert [tried[1:] for tried in card.pins()] == [(card.pin, "9000")]


def test_pcscd_stopped_and_started(card):
    if card is None:
        return
    card.unlock()
    key = card.key_in("9a")["uri"]
    judged(card, key)
    card.card("pcscd", "stop")
    error = card.error("MakeCsr", key=key, jid=JID)
    assert error.name in GONE and error.parameters["advice"], error
    assert card.tokens() == []
    assert [t["label"] for t in card.call("ListTokens")["tokens"]] == [OTHER]
    card.card("pcscd", "start")
    signs_again(card, key)


def unlocked(card, how):
    """An agent that remembers the card's PIN so, and has it."""
    label = card.tokens()[0]["label"]
    conf = card.signetd.conf
    conf.write_text(conf.read_text() + f"[token {label}]\nremember = {how}\n")
    card.signetd.stop()
    card.signetd.start()
    card.unlock()


def remembers(card, how):
    """The same; gives the keys in 9a and 9c, which have signed."""
    unlocked(card, how)
    keys = [card.key_in(place)["uri"] for place in ("9a", "9c")]
    for key in keys:
        judged(card, key)
    card.pins()
    return keys


def test_a_returned_card_has_its_pin(card):
    """With "lock": whichever call comes first, though no key was used before."""
    if card is None:
        return
    unlocked(card, "lock")
    for first in ("Unlock", "MakeCsr"):
        card.card("remove")
        card.card("insert")
        until(card.tokens)
        if first == "Unlock":
            assert card.call("Unlock", token=card.token)["token"]["unlocked"]
        else:
            judged(card, card.key_in("9a")["uri"])


OTHER_PIN = "654321"


@pytest.fixture(params=["own PIN", "equal PIN"])
def second(card, request):
    """The second card has another PIN than the first one, or the same; gives its serial number."""
    if card is None:
        yield None
        return
    serial = card.card("insert", "second")["serial"]
    if request.param == "own PIN":
        card.tool("--login", "--pin", card.pin, "--change-pin", "--new-pin", OTHER_PIN)
    card.card("insert", "first")
    until(card.tokens)
    yield serial
    card.card("ok")
    card.card("pcscd", "start")
    card.card("insert", "second")
    card.card("pin-reset")
    card.card("insert", "first")


def swap_unseen(card, name="second"):
    """While pcscd is away: no count of its tells of it."""
    card.card("pcscd", "stop")
    card.card("remove")
    card.card("insert", name)
    card.card("pcscd", "start")


@pytest.mark.parametrize("how", ["removal", "lock"])
def test_a_card_swapped_while_pcscd_is_away(card, second, how):
    """No module knows of it: the PIN goes to the first card alone, which the cards' own log shows."""
    if card is None:
        return
    keys = remembers(card, how)
    first = card.token
    swap_unseen(card)
    for key in keys:
        assert card.error("MakeCsr", key=key, jid=JID).name in ("TokenAbsent", "KeyAbsent")
    assert card.token != first
    assert not card.tokens()[0]["unlocked"]
    assert card.unlock_error(token=first).name == "TokenAbsent"
    for key in keys:
        assert card.error("MakeCsr", key=key, jid=JID).name in ("TokenAbsent", "KeyAbsent")
    assert [tried for tried in card.pins() if tried[0] == second] == []
    swap_unseen(card, "first")
    for key in keys:
        signs_again(card, key)
    assert {tried[1:] for tried in card.pins()} == {(card.pin, "9000")}


@pytest.mark.parametrize("how", ["removal", "lock"])
def test_a_card_swapped_while_pcscd_is_away_and_signatures_wait(card, second, how):
    if card is None:
        return
    keys = remembers(card, how)
    card.card("touch", 60)
    calls = [Call(card, "MakeCsr", {"key": key, "jid": JID}) for key in keys * 4]
    card.card("held")
    swap_unseen(card)
    card.card("ok")
    calls += [Call(card, "MakeCsr", {"key": key, "jid": JID}) for key in keys]
    for call in calls:
        error = call.outcome()
        assert error is not None and error.name in GONE, error
    assert [tried for tried in card.pins() if tried[0] == second] == []
    swap_unseen(card, "first")
    for key in keys:
        signs_again(card, key)
    assert {tried[1:] for tried in card.pins()} == {(card.pin, "9000")}


@pytest.mark.parametrize("how", ["removal", "lock"])
def test_removal_while_pcscd_is_away(card, how):
    """Out and in again: a PIN that was to be remembered until the removal is not, one until the lock is."""
    if card is None:
        return
    keys = remembers(card, how)
    card.card("pcscd", "stop")
    card.card("remove")
    card.card("insert")
    card.card("pcscd", "start")
    started = time.monotonic()
    for key in keys:
        if how == "lock":
            judged(card, key)
        else:
            assert card.error("MakeCsr", key=key, jid=JID).name == "PinNeeded"
    took = time.monotonic() - started
    print(f"{card.name}: after {took:.2f} s")
    assert took < BACK
    if how == "removal":
        assert card.pins() == []
        card.unlock()
        for key in keys:
            judged(card, key)
    assert {tried[1:] for tried in card.pins()} == {(card.pin, "9000")}


@pytest.mark.parametrize("how", ["removal", "lock"])
def test_pcscd_started_anew_with_the_card_in(card, how):
    """Nobody can tell whether it was out: for 'removal' it was."""
    if card is None:
        return
    keys = remembers(card, how)
    card.card("pcscd", "stop")
    card.card("pcscd", "start")
    for key in keys:
        if how == "lock":
            judged(card, key)
        else:
            assert card.error("MakeCsr", key=key, jid=JID).name == "PinNeeded"
    assert card.tokens()[0]["unlocked"] == (how == "lock")
    assert {tried[1:] for tried in card.pins()} <= {(card.pin, "9000")}


def test_removal_during_a_signature_with_a_login_of_its_own(card):
    """The token has gone, and not the key from it."""
    if card is None:
        return
    card.unlock()
    key = card.key_in("9c")["uri"]
    judged(card, key)
    card.card("touch", 60)
    call = Call(card, "MakeCsr", {"key": key, "jid": JID})
    card.card("held")
    card.card("remove")
    error = call.outcome()
    # The module may notice before pcscd has told that the card is out.
    assert error.name in ("TokenAbsent", "KeyAbsent"), error
    card.card("ok")
    card.card("insert")
    signs_again(card, key)


def test_a_card_that_does_not_answer(card):
    """A typed error by the deadline; the other token goes on meanwhile; then all is well again."""
    if card is None:
        return
    card.unlock()
    key = card.key_in("9a")["uri"]
    judged(card, key)
    card.signetd.unlock(OTHER)
    other = card.call("NewKey", token=OTHER, label="other key", algorithm="p256")["key"]["uri"]
    card.card("hang")
    started = time.monotonic()
    call = Call(card, "MakeCsr", {"key": key, "jid": JID})
    card.card("held")
    times = []
    while call.is_alive() and len(times) < CALLS:
        began = time.monotonic()
        card.call("MakeCsr", key=other, jid=JID)
        times.append(time.monotonic() - began)
    error = call.outcome()
    took = time.monotonic() - started
    times.sort()
    print(f"{card.name}: {error.name} after {took:.1f} s; {len(times)} calls on the other token meanwhile: p50 "
          f"{1000 * times[len(times) // 2]:.1f} ms, p99 {1000 * times[len(times) * 99 // 100]:.1f} ms (the mark is "
          f"50 ms), slowest {1000 * times[-1]:.1f} ms")
    assert error.name == "TimedOut" and error.parameters["message"]
    assert took < 30
    assert times[len(times) * 99 // 100] < 2
    card.card("ok")
    signs_again(card, key)


def test_a_card_that_fails(card):
    """An error each time is an error, and no try of a PIN."""
    if card is None:
        return
    card.unlock()
    key = card.key_in("9a")["uri"]
    judged(card, key)
    card.card("error")
    card.pins()
    error = card.error("MakeCsr", key=key, jid=JID)
    assert error.name in ("TokenFailed", "TokenAbsent", "WorkerDied", "PinNeeded") and error.parameters["advice"]
    assert len(card.pins()) <= 1
    card.card("ok")
    signs_again(card, key)
