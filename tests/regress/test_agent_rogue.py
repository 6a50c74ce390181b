"""A signet-xmpp that was taken over gets signatures by the account's key while it logs in, and no other; and of one that
takes its time nothing is said before it is so."""
import base64
import json
import os
import select
import shutil
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import agent_fixture
import rogue_worker
from agent_fixture import Agent
from processes import until
from varlink_client import secret
from xmpp_frames import DENIED, DER, ERROR

JULIET = "juliet@example.test"
IN_TURN = 8  # signatures of one login, for libstrophe may try more than one address


def test_signatures_out_of_turn_are_refused(tmp_path, monkeypatch):
    for program in ("signetd", "signet-token"):
        shutil.copy(agent_fixture.BIN / program, tmp_path)
    stand_in = tmp_path / "signet-xmpp"
    stand_in.write_text(f"#!{sys.executable}\nimport sys\nsys.path[:0] = {sys.path!r}\n"
                        "import rogue_worker\nrogue_worker.Rogue().run()\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(agent_fixture, "BIN", tmp_path)
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
SLOW = """#!{python}
import sys
sys.path[:0] = {path!r}
import rogue_worker, xmpp_frames as f

class Slow(rogue_worker.Rogue):
    def run(self):
        while True:
            frame_id, kind, message = self.receive()
            if kind == f.CONNECT:
                self.send(frame_id, f.ONLINE, {{"jid": message["jid"] + "/r", "mechanism": "SCRAM-SHA-256",
                                               "tls_version": "TLSv1.3", "tls_cipher": "none"}})
            elif kind == f.PEP_PUBLISH:
                self.send(frame_id, f.PEP_NODE, {{"exists": 1, "node": "urn:xmpp:tmp:pubkey", "access_model": "presence",
                                                 "published": 1}})
            else:
                if kind == f.DIRECT_POLICY and message["mode"] == {nobody}:
                    open({folder!r} + "/told", "w").close()
                    open({folder!r} + "/answer").read()
                self.send(frame_id, f.OK)

Slow().run()
"""
NOBODY = 3  # SG_DIRECT_NOBODY


def test_what_a_person_says_of_direct_requests_holds_when_the_call_ends(tmp_path, monkeypatch):
    for program in ("signetd", "signet-token"):
        shutil.copy(agent_fixture.BIN / program, tmp_path)
    stand_in = tmp_path / "signet-xmpp"
    stand_in.write_text(SLOW.format(python=sys.executable, path=sys.path, folder=str(tmp_path), nobody=NOBODY))
    stand_in.chmod(0o755)
    os.mkfifo(tmp_path / "answer")
    monkeypatch.setattr(agent_fixture, "BIN", tmp_path)
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
BUSY = """#!{python}
import sys
sys.path[:0] = {path!r}
import rogue_worker, xmpp_frames as f

class Busy(rogue_worker.Rogue):
    def run(self):
        while True:
            frame_id, kind, message = self.receive()
            if kind == f.CONNECT:
                self.send(frame_id, f.ONLINE, {{"jid": message["jid"] + "/r", "mechanism": "SCRAM-SHA-256",
                                               "tls_version": "TLSv1.3", "tls_cipher": "none"}})
            elif kind == f.FEATURES:
                self.send(frame_id, f.FEATURE_SET, {{"features": rogue_worker.CCM2}})
            else:
                self.send(frame_id, f.ERROR, {{"code": f.BUSY, "message": "it is busy"}})

Busy().run()
"""


def test_a_job_that_meets_something_busy_waits(tmp_path, monkeypatch):
    """Not for calls: their ends, its own among them, are no reason to try again."""
    for program in ("signetd", "signet-token"):
        shutil.copy(agent_fixture.BIN / program, tmp_path)
    stand_in = tmp_path / "signet-xmpp"
    stand_in.write_text(BUSY.format(python=sys.executable, path=sys.path))
    stand_in.chmod(0o755)
    monkeypatch.setattr(agent_fixture, "BIN", tmp_path)
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
