"""A signature that waits for a finger is told of; nothing else waits."""
import contextlib
import time

from kinds import JID, OTHER
from test_removal import Call
from test_sign import judged
from varlink_client import Client


def test_touch(kind):
    kind.unlock()
    key = kind.any_key("rsa2048")
    judged(kind, key)
    if not kind.can["touch"]:
        assert not hasattr(kind, "card")
        return
    token, = kind.tokens()  # while it waits it answers to nothing else
    kind.signetd.unlock(OTHER)
    other = kind.call("NewKey", token=OTHER, label="other key", algorithm="p256")["key"]["uri"]
    with Client(kind.signetd.sock) as monitor:
        monitor.send("Monitor", more=True)
        kind.card("touch", 2)
        started = time.monotonic()
        call = Call(kind, "MakeCsr", {"key": key, "jid": JID})
        event = wait_event(monitor, "touch_wanted")
        told = time.monotonic() - started
        judged(kind, other)
        meanwhile = time.monotonic() - started
        assert event["label"] == token["label"] and event["token"] == token["uri"]
        assert event["pid"] and event["purpose"]
        assert call.outcome() is None
        took = time.monotonic() - started
        wait_event(monitor, "touch_over")
    print(f"{kind.name}: touch told after {told:.2f} s; the other token signed by {meanwhile:.2f} s of {took:.2f} s")
    assert 0.3 <= told < took
    kind.card("ok")
    judged(kind, key)


def test_touch_that_never_comes(kind):
    """Bounded by the deadline, or ended by the caller; the agent goes on."""
    if not kind.can["touch"]:
        assert not hasattr(kind, "card")
        return
    kind.unlock()
    key = kind.key_in("9a")["uri"]
    kind.card("touch", 60)
    with Client(kind.signetd.sock) as caller:
        caller.send("MakeCsr", {"key": key, "jid": JID})
        kind.card("held")
    assert kind.call("Status")["tokens"] is not None  # whose caller left is no burden
    error = Call(kind, "MakeCsr", {"key": key, "jid": JID}).outcome()
    assert error.name in ("TimedOut", "WorkerDied", "Busy")
    kind.card("ok")


def test_touches_for_many_callers(kind):
    """Each has the time-out from when the one before it was touched; whoever leaves before his turn costs none."""
    if not kind.can["touch"]:
        assert not hasattr(kind, "card")
        return
    conf = kind.signetd.conf
    conf.write_text(conf.read_text().replace("timeout = 3\n", "timeout = 5\n"))  # more than a slow machine needs for one
    kind.signetd.stop()
    kind.signetd.start()
    kind.unlock()
    key = kind.key_in("9a")["uri"]
    judged(kind, key)
    kind.card("touch", 1)
    with contextlib.ExitStack() as stack:
        leaving = [stack.enter_context(Client(kind.signetd.sock)) for _ in range(10)]
        calls = [Call(kind, "MakeCsr", {"key": key, "jid": JID}) for _ in range(6)]
        kind.card("held")
        for client in leaving:
            client.send("MakeCsr", {"key": key, "jid": JID})
        kind.call("Status")
    assert [call.outcome() for call in calls] == [None] * len(calls)
    kind.card("ok")
    started = time.monotonic()
    judged(kind, key)
    print(f"{kind.name}: the next call took {time.monotonic() - started:.1f} s")


def test_removal_and_return_are_told(kind):
    """Token in and out are events, while somebody watches."""
    if not kind.can["removal"]:
        assert not hasattr(kind, "card")
        return
    uri = kind.token
    with Client(kind.signetd.sock) as monitor:
        monitor.send("Monitor", more=True)
        # The watch is on when the agent has told of a lock.
        kind.unlock()
        wait_event(monitor, "unlocked")
        kind.card("remove")
        assert wait_event(monitor, "token_out")["token"] == uri
        kind.card("insert")
        assert wait_event(monitor, "token_in")["token"] == uri


def wait_event(monitor, kind):
    """The next event of the kind."""
    while True:
        event = monitor.receive()["event"]
        if event["kind"] == kind:
            return event
