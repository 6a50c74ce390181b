"""The main job, step by step, through the command line: what the demo shows and the playground prepares.

Each step takes the MainJob, does its work on real parts, checks the result, and gives one line
that says what came of it; a step that fails raises.
"""
import base64
import json

from world import DOMAIN, Failed


class MainJob:
    """The world, the agents of juliet and romeo, and what the steps learn."""

    def __init__(self, world, algorithm="rsa2048", tls="starttls"):
        self.world = world
        self.algorithm = algorithm
        self.tls = tls
        self.juliet = f"juliet@{DOMAIN}"
        self.romeo = f"romeo@{DOMAIN}"
        self.out = world.mkdir("out")

    def start(self):
        """The agents, and the accounts in them."""
        self.juliet_env = self.world.make_agent("juliet")
        self.world.start_agent("juliet", self.juliet_env)
        self.add_account(self.juliet_env, self.juliet)

    def start_romeo(self):
        """Romeo's own agent: another process, another state, no token."""
        self.romeo_env = self.world.make_agent("romeo", token=False)
        self.world.start_agent("romeo", self.romeo_env)
        self.add_account(self.romeo_env, self.romeo)

    def add_account(self, env, jid):
        """Tells the agent where the account's server is and whose certificate to trust."""
        port = self.world.direct_port if self.tls == "direct" else self.world.c2s_port
        self.signet(env, "account", "add", jid, "--host", "127.0.0.1", "--port", port, "--tls", self.tls,
                    "--cafile", self.world.cafile)

    def signet(self, env, *args):
        """Runs signet --json and gives what it printed."""
        return json.loads(self.world.signet(env, "--json", *args))

    def save(self, name, data):
        """Keeps an artifact for the person."""
        path = self.out / name
        path.write_bytes(data)
        path.chmod(0o644)


def expect(condition, text):
    """A check of a step."""
    if not condition:
        raise AssertionError(text)


def keys(job):
    """1. Client key and user key on the token, the user key with its self-signed certificate."""
    pin = ("--pin-file", job.world.dir / "pin")
    client = job.signet(job.juliet_env, "key", "new", "--token", "juliet", "--label", "client",
                        "--algorithm", job.algorithm, *pin)["key"]
    made = job.signet(job.juliet_env, "key", "new", "--token", "juliet", "--label", "user", "--user",
                      "--account", job.juliet, "--algorithm", job.algorithm)
    user, job.user_certificate = made["key"], made["certificate"]
    for key in (client, user):
        expect(key["sensitive"] and not key["extractable"], f"{key['label']} is not safe on the token: {key}")
    expect(job.user_certificate["jids"] == [job.juliet], "the user certificate names somebody else")
    job.client_key = client["uri"]
    job.save("user-certificate.der", base64.b64decode(job.user_certificate["der"]))
    return f"client key and user key ({job.algorithm}) made on the token, sensitive, not extractable; " \
           f"user certificate {job.user_certificate['name'][:16]}…"


def csr(job):
    """2. A request for juliet's bare JID, signed on the token."""
    reply = job.signet(job.juliet_env, "csr", job.client_key, job.juliet)
    job.save("csr.der", base64.b64decode(reply["csr"]))
    text = job.world.run("openssl", "req", "-inform", "DER", "-in", job.out / "csr.der", "-verify", "-noout",
                         "-text")
    expect(job.juliet in text, "openssl does not find the JID in the request")
    return f"request for {job.juliet} made on the token; openssl: self-signature verify OK"


def enrol(job):
    """3. Enrolled by ccm2 after a password login."""
    _, _, said = job.world.signet(job.juliet_env, "enrol", job.juliet, "--key", job.client_key, "--name", "signet demo",
                                  "--password-file", job.world.dir / "password", "--out", job.out / "certificate.der",
                                  check=False)
    features = next((line for line in said.splitlines() if "add-cert" in line), "").removeprefix("signet: ")
    expect(features == "add-cert: yes, list-certs: yes, revoke-cert: yes", f"enrol said: {said}")
    (job.out / "certificate.der").chmod(0o644)
    shown = job.signet(job.juliet_env, "key", "show", job.client_key)["certificates"]
    expect(len(shown) == 1, f"{len(shown)} certificates are beside the key")
    job.certificate = shown[0]
    expect(base64.b64decode(job.certificate["der"]) == (job.out / "certificate.der").read_bytes(),
           "the certificate beside the key is another one")
    expect(job.certificate["jids"] == [job.juliet], "the certificate names somebody else")
    ca_pem = job.world.dir / "authority/ca.pem"
    job.world.run("openssl", "x509", "-in", ca_pem, "-outform", "DER", "-out", job.out / "ca.der")
    job.world.run("openssl", "verify", "-CAfile", ca_pem, "-purpose", "sslclient", job.out / "certificate.der")
    return f"password login, {features}; certificate {job.certificate['sha256'][:16]}… checked, stored beside its " \
           "key; openssl verify OK"


def login(job):
    """4. Login again with SASL EXTERNAL, no password."""
    job.signet(job.juliet_env, "account", "disconnect", job.juliet)
    account = job.signet(job.juliet_env, "account", "connect", job.juliet)["account"]
    expect(account["state"] == "online" and account["mechanism"] == "EXTERNAL", f"not so: {account}")
    return f"{account['bound_jid']} online by SASL EXTERNAL over {account['tls_version']}, " \
           "TLS signature made on the token, no password"


def sign(job):
    """5. The client certificate cross-signed on the token by the user key."""
    key = job.signet(job.juliet_env, "sign", job.juliet)["key"]
    methods = [s["method"] for s in key["signatures"]]
    wanted = ["RSA-SHA1", "RSA-SHA256"] if job.algorithm.startswith("rsa") else ["ECDSA-SHA256"]
    expect(sorted(methods) == wanted, f"signed by {methods}")
    expect(all(s["verdict"] == "good" for s in key["signatures"]), f"not all good: {key['signatures']}")
    return f"client certificate {key['name'][:16]}… cross-signed by the user key: {', '.join(methods)}"


def publish(job):
    """6. Both keyinfos published to the own PEP node."""
    reply = job.signet(job.juliet_env, "publish", job.juliet)
    node = reply["node"]
    expect(node["access"] == "presence" and not node["more_open"], f"the server has {node}")
    expect(len(reply["keys"]) == 2, f"{len(reply['keys'])} keys published")
    return f"{len(reply['keys'])} keyinfos published to {node['node']}, access model {node['access']}"


def fetch(job):
    """7. Fetched and verified by romeo, from an agent of his own."""
    fetched = ("keyring", "fetch", job.juliet, "--account", job.romeo)
    password = ("--password-file", job.world.dir / "password")
    found = {k["name"]: k for k in job.signet(job.romeo_env, *fetched, *password)["keys"]}
    expect(set(found) == {job.certificate["name"], job.user_certificate["name"]}, f"fetched {sorted(found)}")
    key = found[job.certificate["name"]]
    grade = "sha256"
    expect(key["grade"] == grade and all(s["verdict"] == "good" for s in key["signatures"]), f"verdict {key}")
    job.save("keyinfo.xml", key["keyinfo"].encode())
    job.save("user-keyinfo.xml", found[job.user_certificate["name"]]["keyinfo"].encode())
    job.world.signet(job.romeo_env, "verify", job.out / "keyinfo.xml", "--issuer", job.out / "user-certificate.der")
    return f"romeo fetched {len(found)} keys; names match, " + \
           ", ".join(f"{s['method']} {s['verdict']}" for s in key["signatures"]) + f"; grade {grade}"


def revoke(job):
    """8. Listed, revoked, and the next EXTERNAL login refused."""
    listed = job.signet(job.juliet_env, "cert", "list", job.juliet)["certificates"]
    expect([c["certificate"]["sha256"] for c in listed] == [job.certificate["sha256"]], f"listed {listed}")
    job.signet(job.juliet_env, "cert", "revoke", job.juliet, job.certificate["sha256"], "--yes")
    try:
        job.signet(job.juliet_env, "account", "disconnect", job.juliet)
        job.signet(job.juliet_env, "account", "connect", job.juliet)
    except Failed as refused:
        error = json.loads(refused.out)["error"]
        expect(error == "LoginRefused", f"the login failed by {error}")
        return f"1 certificate listed as '{listed[0]['name']}', revoked; the next EXTERNAL login: {error}"
    raise AssertionError("the revoked certificate still logs in")


STEPS = (keys, csr, enrol, login, sign, publish, fetch, revoke)
