"""A signet-xmpp that was taken over gets signatures by the account's key while it logs in, and no other; and of one that
takes its time nothing is said before it is so."""
import base64
import json
import os
import select

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import rogue_worker
from agent_fixture import Agent
from processes import until
from stand_in import stand_in
from varlink_client import secret
from xmpp_frames import DENIED, DER, ERROR

JULIET = "juliet@example.test"
IN_TURN = 8  # signatures of one login, for libstrophe may try more than one address


def test_signatures_out_of_turn_are_refused(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, "rogue_worker.Rogue().run()\n")
    log = tmp_path / "log"
    agent = Agent()
    agent.env.update(SIGNET_LOG="debug", ROGUE_LOG=str(log))
    with agent, secret("password") as fd:
        agent.call("AddAccount", {"jid": JULIET})
        agent.unlock("one")
        agent.call("NewKey", {"token": "one", "label": "client", "algorithm": "p256"})
        parameters = {"jid": JULIET, "key": "client", "password": {"fd": 0}}
        done = agent.call("Enrol", parameters, [fd])
        assert done["account"]["mechanism"] == "EXTERNAL"
        agent.call("Disconnect", {"jid": JULIET})
        made = agent.count("TLS signature 'pkcs11:")
        refused = agent.count("a TLS signature was asked for out of turn: refused")
        key = x509.load_der_x509_certificate(rogue_cert(done)).public_key()
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    in_turn = [a for a in asked if a[0] == "connecting by certificate"]
    assert len(in_turn) == rogue_worker.TRIES
    for _, kind, signature in in_turn[:IN_TURN]:
        assert kind == DER
        key.verify(bytes.fromhex(signature), rogue_worker.TBS, ec.ECDSA(hashes.SHA256()))
    others = in_turn[IN_TURN:] + [a for a in asked if a[0] != "connecting by certificate"]
    assert {when for when, _, _ in others} == {
        "connecting by certificate", "connecting by password", "online by password", "online by certificate",
        "online, in a call", "leaving"}
    assert {(kind, code) for _, kind, code in others} == {(ERROR, DENIED)}
    # What was refused did not come to the token.
    assert (made, refused) == (IN_TURN, len(others))


# Takes it that nobody is to be answered as soon as it can read a word from a pipe.
SLOW = """
class Slow(rogue_worker.Plain):
    def answer(self, frame_id, kind, message):
        if kind == f.PEP_PUBLISH:
            self.send(frame_id, f.PEP_NODE, {{"exists": 1, "node": "urn:xmpp:tmp:pubkey", "access_model": "presence",
                                             "published": 1}})
            return
        if kind == f.DIRECT_POLICY and message["mode"] == {nobody}:
            open({folder!r} + "/told", "w").close()
            open({folder!r} + "/answer").read()
        self.send(frame_id, f.OK)

Slow().run()
"""
NOBODY = 3  # SG_DIRECT_NOBODY


def test_what_a_person_says_of_direct_requests_holds_when_the_call_ends(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, SLOW.format(folder=str(tmp_path), nobody=NOBODY))
    os.mkfifo(tmp_path / "answer")
    with Agent() as agent, agent.client() as client, secret("password") as fd:
        agent.call("AddAccount", {"jid": JULIET})
        agent.unlock("one")
        agent.call("NewKey", {"token": "one", "label": "user", "algorithm": "p256", "account": JULIET, "user": True})
        client.send("Publish", {"jid": JULIET, "direct": "nobody", "password": {"fd": 0}}, [fd])
        until((tmp_path / "told").exists, "nobody is told")
        agent.call("ListAccounts")
        assert not select.select([client.sock], [], [], 0)[0], "it is answered, and contacts may be, too"
        (tmp_path / "answer").write_text("go on")
        assert client.receive()["keys"]


# Something else of the same kind is always going on.
BUSY = """
class Busy(rogue_worker.Plain):
    def answer(self, frame_id, kind, message):
        if kind == f.FEATURES:
            self.send(frame_id, f.FEATURE_SET, {"features": rogue_worker.CCM2})
        else:
            self.send(frame_id, f.ERROR, {"code": f.BUSY, "message": "it is busy"})

Busy().run()
"""


def test_a_job_that_meets_something_busy_waits(tmp_path, monkeypatch):
    """Not for calls: their ends, its own among them, are no reason to try again."""
    stand_in(tmp_path, monkeypatch, BUSY)
    with Agent() as agent, secret("password") as fd:
        agent.call("AddAccount", {"jid": JULIET})
        agent.unlock("one")
        agent.call("NewKey", {"token": "one", "label": "client", "algorithm": "p256"})
        assert agent.error("Enrol", {"jid": JULIET, "key": "client", "password": {"fd": 0}}, [fd]).name == "Busy"
        for _ in range(3):
            job, = agent.call("ShowAccount", {"jid": JULIET})["account"]["jobs"]
        assert (job["waits_for"], job["running"], job["tries"]) == ("Busy", False, 1), job
        assert agent.count("waits in its state add") == 1


def rogue_cert(done):
    return base64.b64decode(done["certificate"]["der"])
