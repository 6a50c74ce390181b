"""What signet stands on in a server of each kind, byte for byte, and where they differ."""
import base64
import hashlib
import itertools
import os
import re
from pathlib import Path

import pytest

from authority_client import Stream
from key_node import _form as form
from key_people import make_user_key
from peer import NS_PUBKEY, NS_PUBSUB, fetch_items
from processes import running
from world import Failed

pytest_plugins = ["server_fixtures"]
OWNER = NS_PUBSUB + "#owner"
IDS = (f"n{i}" for i in itertools.count())


class Client(Stream):
    """A person's client that asks, and keeps what comes unasked in between."""

    def __init__(self, person):
        super().__init__(person.world, person.name)
        self.bind("bytes")

    def iq(self, kind, payload, to=None):
        """The answer as text."""
        ident = next(IDS)
        address = f" to='{to}'" if to else ""
        self.send(f"<iq type='{kind}' id='{ident}'{address}>{payload}</iq>")
        found = self.hear(f"<iq [^>]*id=['\"]{ident}['\"][^>]*?(/>|>.*?</iq>)")[0]
        return found.replace('"', "'")

    def publish(self, name, options=""):
        item = f"<item id='{name}'><keyinfo xmlns='{NS_PUBKEY}'><name>{name}</name></keyinfo></item>"
        return self.iq("set", f"<pubsub xmlns='{NS_PUBSUB}'><publish node='{NS_PUBKEY}'>{item}</publish>{options}"
                       "</pubsub>")

    def items(self, owner=None, more=""):
        """The ids of the items, or the error's condition."""
        answer = self.iq("get", f"<pubsub xmlns='{NS_PUBSUB}'><items node='{NS_PUBKEY}'>{more}</items></pubsub>", owner)
        return re.findall("<item [^>]*id='([^']*)'", answer) if is_result(answer) else condition(answer)

    def configure(self, access):
        return self.iq("set", f"<pubsub xmlns='{OWNER}'><configure node='{NS_PUBKEY}'>{form(access)}</configure>"
                       "</pubsub>")

    def watch(self):
        """Sends presence with '+notify' (XEP-0115, XEP-0163), and tells the server what that stands for."""
        feature = NS_PUBKEY + "+notify"
        ver = base64.b64encode(hashlib.sha1(f"client/pc//<{feature}<".encode()).digest()).decode()
        self.send("<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:x' "
                  f"ver='{ver}'/></presence>")
        for _ in range(3):  # it asks once for each node that it thinks of
            self.iq("get", "<ping xmlns='urn:xmpp:ping'/>")
            for query in re.findall("<iq [^>]*type='get'[^>]*>.*?</iq>", self.before.replace('"', "'")):
                ident, asker = (re.search(f" {name}='([^']*)'", query)[1] for name in ("id", "from"))
                self.send(f"<iq type='result' id='{ident}' to='{asker}'><query node='urn:x#{ver}' "
                          "xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/>"
                          f"<feature var='{feature}'/></query></iq>")


def is_result(answer):
    return "type='result'" in answer.partition(">")[0]


def condition(answer):
    """The stanza error's, wherever it stands among the others."""
    return next(name for name in re.findall(r"<([a-z-]+) [^>]*xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'", answer)
                if name != "text")


def options(**fields):
    """publish-options."""
    values = "".join(f"<field var='pubsub#{name}'><value>{value}</value></field>" for name, value in fields.items())
    return "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>" \
           f"{NS_PUBSUB}#publish-options</value></field>{values}</x></publish-options>"


def test_a_friend_sees_what_a_stranger_does_not(served, people):
    owner, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    make_user_key(owner)
    owner.signet("publish", owner.jid)
    assert len(friend.signet("keyring", "fetch", owner.jid, "--account", friend.jid, *friend.password)["keys"]) == 1
    with pytest.raises(Failed):
        stranger.signet("keyring", "fetch", owner.jid, "--account", stranger.jid, *stranger.password)
    assert len(fetch_items(served, friend.name, owner.jid)) == 1
    assert isinstance(fetch_items(served, stranger.name, owner.jid), str)


def test_access_models_and_who_reads(served, people):
    """ejabberd has all five; under 'roster' not even the owner can read the own node."""
    owner, friend, stranger = people(3, friends=[(0, 1)])
    with Client(owner) as mine, Client(friend) as theirs, Client(stranger) as strange:
        assert is_result(mine.publish("one"))
        readers = {}
        for access in ("open", "presence", "whitelist", "roster", "authorize"):
            if is_result(mine.configure(access)):
                readers[access] = [client.items(jid) == ["one"] for client, jid in
                                   ((mine, None), (theirs, owner.jid), (strange, owner.jid))]
    expected = {"open": [True, True, True], "presence": [True, True, False], "whitelist": [True, False, False]}
    if served.kind == "ejabberd":
        expected |= {"roster": [False, False, False], "authorize": [True, False, False]}
    assert readers == expected


def test_publish_options_guard_the_access_model(served, people):
    """Prosody takes more fields than access_model and persist_items; ejabberd refuses them."""
    owner, = people(1)
    with Client(owner) as mine:
        assert is_result(mine.publish("one", options(access_model="whitelist", persist_items="1")))
        assert is_result(mine.publish("two", options(access_model="whitelist", persist_items="1")))
        assert condition(mine.publish("three", options(access_model="presence", persist_items="1"))) == "conflict"
        answer = mine.publish("four", options(access_model="whitelist", send_last_published_item="never"))
        assert not is_result(answer), answer


def test_a_node_that_publishing_made_keeps_one_item(served, people):
    """So the node is configured before anything is published that must stay."""
    owner, = people(1)
    with Client(owner) as mine:
        mine.publish("one")
        mine.publish("two")
        assert mine.items() == ["two"]
        assert mine.items(more="<item id='one'/>") == []  # what is not there is no error
        assert is_result(mine.configure("presence"))
        mine.publish("three")
        assert sorted(mine.items()) == ["three", "two"]


def test_what_is_retracted_is_not_told_by_ejabberd(served, people):
    """Not to who watches by presence, that is; and it may tell an item twice."""
    owner, friend = people(2, friends=[(0, 1)])
    with Client(owner) as mine, Client(friend) as theirs:
        mine.send("<presence/>")
        mine.publish("one")
        assert is_result(mine.configure("presence"))
        theirs.watch()
        mine.publish("two")
        theirs.hear("<item [^>]*id=['\"]two['\"]")
        assert is_result(mine.iq("set", f"<pubsub xmlns='{NS_PUBSUB}'><retract node='{NS_PUBKEY}' notify='true'>"
                                 "<item id='two'/></retract></pubsub>"))
        assert mine.items() == ["one"]
        mine.publish("three")
        theirs.hear("<item [^>]*id=['\"]three['\"]")
        assert ("<retract " in theirs.before) == (served.kind == "prosody"), theirs.before


def test_nothing_leaves_for_another_server(served, people):
    owner, = people(1)
    with Client(owner) as mine:
        answer = mine.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "elsewhere.invalid")
        assert condition(answer) == ("forbidden" if served.kind == "ejabberd" else "not-allowed"), answer


def test_ejabberd_needs_no_epmd(served):
    """Nor does anything else of Erlang's run beside it."""
    names = [Path(os.readlink(f"/proc/{pid}/exe")).name for pid, _, session in running()
             if session == served.server.process.popen.pid]
    assert "epmd" not in names
    assert ("beam.smp" in names) == (served.kind == "ejabberd")
