"""A web of people who sign each other's keys, written into the store of an agent that does not run."""
import base64
import hashlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from xml.sax.saxutils import quoteattr

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from certificates import certificate, make_key, to_der, xmpp_addr

NS = "urn:xmpp:tmp:pubkey"
DAY = 86400
NODE, PUSH = 0, 4  # sources of a sighting, as keyring_store.h has them
UNDECIDED, TRUSTED, DISTRUSTED = 0, 1, 2
POOL = []  # keys are slow to make


def pooled(number):
    """The same key for the same number."""
    while len(POOL) <= number:
        POOL.append(make_key())
    return POOL[number]


class Key:
    """A certificate of a person, and what is to be known of it."""

    def __init__(self, jid, key, names=None, days=(-200, 400), **known):
        self.jid, self.key = jid, key
        self.der = to_der(certificate(key.public_key(), key, *map(xmpp_addr, [jid] if names is None else names),
                                      subject=(jid or "nobody")[:60], days=days))
        self.name = hashlib.sha1(self.der).hexdigest()
        self.sha256 = hashlib.sha256(self.der).hexdigest()
        self._known(**known)

    def _known(self, **known):
        self.signatures = []  # (issuer's name, method, value)
        self.decision = known.get("decision", UNDECIDED)
        self.decided_for = known.get("decided_for", self.jid if self.decision == TRUSTED else None)
        self.source = known.get("source", NODE)
        self.retracted = known.get("retracted", False)
        self.shown_by = known.get("shown_by", [self.jid])
        self.told = []  # (jid, source, who told it, keyinfo, issuers): what others say of it

    def tell(self, jid, source, told_by="", signatures=(), reference=False):
        """Somebody shows or tells it with these signatures."""
        shown, self.signatures = self.signatures, list(signatures)
        text = self.keyinfo()
        if reference:
            begin = text.index(f"<{self.element}>")
            text = text[:begin] + text[text.index(f"</{self.element}>") + len(self.element) + 3:]
        self.told.append((jid, source, told_by, text, [s[0] for s in signatures]))
        self.signatures = shown
        return self

    def signed_bytes(self):
        """K3"""
        return self.der

    def sign(self, subject, sha1=False):
        """This key signs the other."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            digest = hashes.SHA1() if sha1 else hashes.SHA256()
            subject.signatures.append((self.name, "RSA-SHA1" if sha1 else "RSA-SHA256",
                                       self.key.sign(subject.signed_bytes(), padding.PKCS1v15(), digest)))
        else:
            subject.signatures.append((self.name, "ECDSA-SHA256", self.key.sign(subject.signed_bytes(), ec.ECDSA(hashes.SHA256()))))
        return subject

    kind, element = 1, "x509cert"

    def forge(self, subject, method="ECDSA-SHA256"):
        """Somebody says that this key has signed the other."""
        subject.signatures.append((self.name, method, make_key().sign(subject.signed_bytes(), ec.ECDSA(hashes.SHA256()))))
        return subject

    def keyinfo(self):
        """As a node shows it."""
        signed = "".join(f"<signature><issuer>{i}</issuer><value{f' method={quoteattr(m)}' if m else ''}>"
                         f"{base64.b64encode(v).decode()}</value></signature>" for i, m, v in self.signatures)
        return f"<keyinfo xmlns='{NS}'><name>{self.name}</name>" \
               f"<{self.element}>{base64.b64encode(self.der).decode()}</{self.element}>{signed}</keyinfo>"


class PgpKey(Key):
    """An OpenPGP key, of a gpg."""
    kind, element = 2, "pgpdata"

    def __init__(self, jid, gpg, fingerprint, **known):
        self.jid, self.gpg, self.name, self.der = jid, gpg, fingerprint, gpg.export(fingerprint)
        self.sha256 = hashlib.sha256(self.der).hexdigest()
        self._known(**known)

    def sign(self, subject, sha1=False):
        subject.signatures.append((self.name, None, self.gpg.sign(self.name, subject.signed_bytes())))
        return subject

    def signed_bytes(self):
        """K4"""
        return bytes.fromhex(self.name)


class Web:
    """The own account with its keys, and all that its keyring holds."""

    def __init__(self, jid="juliet@capulet.example", clients=2):
        self.jid, self.keys = jid, []
        self.user = Key(jid, make_key("rsa2048"))
        self.clients = [self.user.sign(Key(jid, make_key())) for _ in range(clients)]
        self.mine = []  # (subject's name, method, value): what the own user key signed of others

    def add(self, jid, number=None, **known):
        """A key of somebody; number: one of the keys that are made once."""
        self.keys.append(Key(jid, make_key() if number is None else pooled(number), **known))
        return self.keys[-1]

    def cross_sign(self, key, sha1=False):
        """The person signs somebody's key."""
        shown, key.signatures = key.signatures, []
        self.user.sign(key, sha1)
        self.mine.append((key.name, *key.signatures[0][1:]))
        key.signatures = shown
        return key

    def write(self, path):
        """Into the store, which an agent has made."""
        now = int(time.time())
        with sqlite3.connect(path) as db:
            db.execute("INSERT INTO accounts (jid, port, tls_mode, user_certificate, certificate) VALUES (?, 0, 0, ?, ?)",
                       (self.jid, self.user.sha256, self.clients[0].sha256 if self.clients else None))
            for role, key in [(1, self.user), *((0, c) for c in self.clients)]:
                db.execute("INSERT INTO certificates (jid, sha256, name, der, role) VALUES (?, ?, ?, ?, ?)",
                           (self.jid, key.sha256, key.name, key.der, role))
                db.executemany("INSERT INTO signatures (jid, subject, issuer, method, value) VALUES (?, ?, ?, ?, ?)",
                               [(self.jid, key.name, *s) for s in key.signatures])
            db.executemany("INSERT INTO signatures (jid, subject, issuer, method, value) VALUES (?, ?, ?, ?, ?)",
                           [(self.jid, s, self.user.name, m, v) for s, m, v in self.mine])
            for key in self.keys:
                self.write_key(db, key, now)
        db.close()

    @staticmethod
    def write_key(db, key, now):
        """One key of the keyring, with who showed it."""
        text = key.keyinfo()
        decided = now - 30 * DAY if key.decision else 0
        row = db.execute("INSERT INTO keys (name, kind, sha256, data, first_seen, decision, decided, decided_for)"
                         " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                         (key.name, key.kind, key.sha256, key.der, now - 90 * DAY, key.decision, decided, key.decided_for)).fetchone()[0]
        teller = "" if key.source <= 2 else "gossip@example.org"
        shown = [(jid, key.source, teller, text, [s[0] for s in key.signatures]) for jid in key.shown_by]
        for jid, source, told_by, said, issuers in key.told + shown:
            seen = db.execute(
                "INSERT INTO sightings (key, jid, source, told_by, first_seen, last_seen, retracted, size, keyinfo)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (row, jid, source, told_by, now - 90 * DAY, now - DAY,
                 now - DAY if key.retracted else None, len(said), said)).fetchone()[0]
            db.executemany("INSERT OR IGNORE INTO signers (issuer, sighting) VALUES (?, ?)", [(i, seen) for i in issuers])


def realistic(people=30):
    """Juliet and so many accounts: whom she met, whose keys she signed, whom those know, and strangers."""
    web = Web()
    names = ["romeo@montague", "benvolio@montague", "nurse@capulet", "tybalt@capulet", "laurence@friars", "paris@verona",
             "mercutio@verona", "rosaline@capulet", "balthasar@montague", "peter@capulet", "john@friars", "escalus@verona",
             "abram@montague", "sampson@capulet", "gregory@capulet", "valentine@verona", "lucio@verona", "helena@verona",
             "livia@verona", "tiberio@verona", "potpan@capulet", "anthony@capulet", "apothecary@mantua", "page@verona",
             "watchman@verona", "musician@mantua", "simon@mantua", "hugh@mantua", "james@mantua", "susan@capulet"]
    jids = [f"{name}.example" for name in names][:people] + [f"guest{i}@inn.example" for i in range(people - len(names))]
    users = {}
    for at, jid in enumerate(jids):
        met, signed = at < 5, 5 <= at < 13
        known = {"decision": TRUSTED} if met else {}
        if at == 14:
            known = {"decision": DISTRUSTED}
        if at == 3:
            known["days"] = (-400, -20)  # compared once, and over now
        user = web.add(jid, None if at == 6 else at, **known) if at != 7 else web.add(jid, at, retracted=True)
        if at == 6:  # signs as in 2008
            web.keys.pop()
            user = Key(jid, make_key("rsa2048"))
            web.keys.append(user)
        users[jid] = user
        if signed:
            web.cross_sign(user, sha1=at == 6)
        for device in range(1 + at % 3 if at < 20 else at % 2):
            client = web.add(jid, days=(-100, -3) if (at, device) == (1, 1) else (-100, 300))
            if (at, device) != (8, 2):  # a new device that nobody has signed yet
                (user.forge if (at, device) == (9, 0) else user.sign)(client)
    for at, jid in enumerate(jids):
        for step in (1, 3, 7):
            other = (at + step * (at % 4 + 1)) % people
            if other != at and (at < 13 or 15 <= at < 22) and not (at < 13 and 22 <= other):
                users[jid].sign(users[jids[other]], sha1=at == 6)
    web.user.forge(users[jids[22]], "RSA-SHA256")
    users[jids[23]].shown_by.append("mallory@inn.example")
    return web


def small():
    """One of each kind: the picture of the README."""
    web = Web()
    romeo, nurse = web.add("romeo@montague.example", decision=TRUSTED), web.add("nurse@capulet.example", decision=TRUSTED)
    laurence = web.cross_sign(web.add("laurence@friars.example"))
    mercutio = Key("mercutio@verona.example", make_key("rsa2048"))
    web.keys.append(web.cross_sign(mercutio, sha1=True))
    rosaline = web.cross_sign(web.add("rosaline@capulet.example", retracted=True))
    paris, tybalt = web.add("paris@verona.example"), web.add("tybalt@capulet.example", decision=DISTRUSTED)
    abram, page = web.add("abram@montague.example"), web.add("page@verona.example")
    for user, days in ((romeo, 300), (romeo, 300), (nurse, 300), (nurse, -3), (laurence, 300), (mercutio, 300), (rosaline, 300),
                       (paris, 300), (tybalt, 300), (abram, 300)):
        user.sign(web.add(user.jid, days=(-100, days)))
    web.add(romeo.jid)  # a new device
    web.user.forge(web.add("apothecary@mantua.example"), "RSA-SHA256")
    for issuer, subject in ((laurence, paris), (romeo, mercutio), (mercutio, romeo), (paris, abram), (abram, page),
                            (nurse, rosaline), (tybalt, page), (laurence, romeo)):
        issuer.sign(subject)
    return web


if __name__ == "__main__":
    # BUILD=... python3 tests/regress/trust_web.py FILE.svg [PEOPLE]: draws it
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "world")]
    from agent_fixture import Agent, BIN

    agent = Agent(softhsm=False)
    try:
        agent.start().stop()
        (realistic(int(sys.argv[2])) if len(sys.argv) > 2 else small()).write(agent.dir / "state/signet/agent.db")
        agent.start()
        subprocess.run([BIN / "signet", "graph", "--output", sys.argv[1]], check=True,
                       env=dict(agent.env, SIGNET_SOCK=str(agent.sock)))
        agent.stop()
    finally:
        agent.close()
