"""What the tests of publishing, watching, asking and pushing do with the people of server_fixtures."""
import json
import re

from key_node import _form as form
from live_peer import LivePeer
from peer import NS_PUBKEY, NS_PUBSUB
from world import Failed

PUBKEYS = "<pubkeys xmlns='urn:xmpp:tmp:pubkey'/>"
NOBODY = "absent-resource"
OWNER = NS_PUBSUB + "#owner"


def make_user_key(person):
    """A user key on the person's token, and who has it online. Gives the key's name."""
    made = person.signet("key", "new", "--token", person.name, "--label", "user", "--user", "--account", person.jid,
                         "--algorithm", "p256", "--pin-file", person.world.dir / "pin")
    person.online()
    return made["certificate"]["name"]


def refused(person, *args):
    """The error of a command that fails: its name and its parameters."""
    try:
        person.signet(*args)
    except Failed as failed:
        reply = json.loads(failed.out)
        return reply["error"], reply["parameters"]
    raise AssertionError(f"{args} did not fail")


def live(person, resource="live", priority=0):
    """A client of the person by slixmpp."""
    return LivePeer(person.world, person.name, resource, priority)


def configure(person, access):
    """Another client of the person changes the node behind the agent's back."""
    with live(person, "other", None) as client:
        answer = client.iq("set", f"<pubsub xmlns='{OWNER}'><configure node='{NS_PUBKEY}'>{form(access)}</configure></pubsub>")
        assert answer.get("type") == "result"


def own_resource(person):
    """The full JID of the person's agent."""
    return person.signet("account", "show", person.jid)["account"]["bound_jid"]


def known(person, name):
    """The KnownKey of this name, or None."""
    found = [k for k in person.signet("keyring", "list")["keys"] if k["name"] == name]
    return found[0] if found else None


def sightings(person, name):
    """(jid, source, told_by) of each sighting of a key."""
    key = known(person, name)
    return {(s["jid"], s["source"], s["told_by"]) for s in key["sightings"]} if key else set()


def as_it_stands(text):
    """An answer, element by element in its order and byte for byte, but for whose it is and the order of attributes,
    which is the server's doing: Prosody's changes from one to the next, ejabberd puts the namespace first in what it
    passes on and last in what it makes. Prosody stamps xml:lang on whatever any client sends, too."""
    def tidy(tag):
        name, *attributes = re.findall(r"[^\s=]+=(?:'[^']*'|\"[^\"]*\")|[^\s]+", tag[1].replace('"', "'"))
        if name in ("iq", "message"):
            attributes = [a for a in attributes if not a.startswith(("from=", "xml:lang="))]
        return "<" + " ".join([name, *sorted(attributes)]) + tag[2]
    return re.sub(r"<([^/>][^>]*?)(/?>)", tidy, text)
