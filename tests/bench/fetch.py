"""All keys of a node with very many of them, fetched in one go: whether others are kept waiting meanwhile."""
import base64
import datetime
import hashlib
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from world import DOMAIN, Failed, say

NS = "urn:xmpp:tmp:pubkey"
ISSUERS = 10
OWNER, READER = "romeo", "juliet"

# As the agent's user. Two processes with a connection each: one fetches (and only counts what it gets), the other
# meanwhile does calls, one after the other, and gives what each took in milliseconds; first those of two seconds in
# which nothing else goes on.
CLIENT = """
import json, os, socket, sys, time

def connect():
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(sys.argv[1])
    return sock

def fetch():
    call = {"method": "org.signet.Agent.FetchKeys", "more": True, "parameters": {"jid": sys.argv[2], "from": sys.argv[3]}}
    sock, found, last, replies = connect(), {"keys": 0, "good": 0}, b"", 0
    sock.sendall(json.dumps(call).encode() + bytes(1))
    while True:
        data = sock.recv(1 << 20)
        if not data:
            sys.exit("the agent is gone")
        *whole, rest = (last + data).split(bytes(1))
        for message in whole:
            replies += 1
            found["keys"] += message.count(b'"grade":')
            found["good"] += message.count(b'"grade":"sha256"')
            if b'"error"' in message[:10]:
                sys.exit(message.decode()[:500])
            if b'"continues":true' not in message[-40:]:
                return dict(found, replies=replies)
        last = rest

sock, call = connect(), json.dumps({"method": "org.signet.Agent." + sys.argv[4]}).encode() + bytes(1)

def once():
    started, data = time.perf_counter(), b""
    sock.sendall(call)
    while not data.endswith(bytes(1)):
        data += sock.recv(65536)
    return (time.perf_counter() - started) * 1000

quiet, busy, until = [], [], time.monotonic() + 2
while time.monotonic() < until:
    quiet.append(once())
read, write = os.pipe()
started = time.monotonic()
child = os.fork()
if child == 0:
    os.close(read)
    os.write(write, json.dumps(fetch()).encode())
    os._exit(0)
os.close(write)
while os.waitpid(child, os.WNOHANG) == (0, 0):
    busy.append(once())
found = json.loads(os.read(read, 65536) or "{}")
print(json.dumps(dict(found, seconds=time.monotonic() - started, quiet=sorted(quiet), busy=sorted(busy))))
"""


def certificate(key):
    """A user's certificate as DER; its last bytes are the signature's, and may be anything."""
    now = datetime.datetime.utcnow()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(1))
    builder = builder.not_valid_after(now + datetime.timedelta(30))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def keys(count):
    """(name, DER, issuer's name, signature) of so many keys; those of the first few are None, for they sign the others."""
    pairs = [ec.generate_private_key(ec.SECP256R1()) for _ in range(ISSUERS)]
    issuers = [(pair, certificate(pair)) for pair in pairs]
    names = [hashlib.sha1(der).hexdigest() for _, der in issuers]
    for name, (_, der) in zip(names, issuers):
        yield name, der, None, None
    model = certificate(ec.generate_private_key(ec.SECP256R1()))
    for number in range(count - ISSUERS):
        der = model[:-8] + number.to_bytes(8, "big")
        by = number % ISSUERS
        yield hashlib.sha1(der).hexdigest(), der, names[by], pairs[by].sign(der, ec.ECDSA(hashes.SHA256()))


def element(name, *children, **attributes):
    """An element as Prosody keeps it."""
    attributes["xmlns"] = NS
    return f'{{ {" ".join(f"{c};" for c in children)} ["name"] = "{name}"; ["attr"] = {{ ' + \
        "".join(f'["{k}"] = "{v}"; ' for k, v in attributes.items()) + "} }"


def item(jid, number, name, der, issuer, signature):
    """An item of the node in Prosody's store."""
    parts = [element("name", f'"{name}"'), element("x509cert", f'"{base64.b64encode(der).decode()}"')]
    if issuer:
        value = element("value", f'"{base64.b64encode(signature).decode()}"', method="ECDSA-SHA256")
        parts.append(element("signature", element("issuer", f'"{issuer}"'), value))
    return f'item({element("keyinfo", *parts)[:-1]}; ["with"] = "{jid}"; ["when"] = {1700000000 + number}; ' \
           f'["key"] = "{name}" }});\n'


def fill(server, count):
    """Writes the node and its items where Prosody keeps them: to publish so many takes it hours."""
    jid, folder = f"{OWNER}@{DOMAIN}", f"{server.name}/data/{DOMAIN.replace('.', '%2e')}"
    for name in ("pep", "pep_urn%3axmpp%3atmp%3apubkey"):
        server.world.mkdir(f"{folder}/{name}")
    server.world.write(f"{folder}/pep/{OWNER}.dat", f"""\
return {{ ["{NS}"] = {{ ["name"] = "{NS}"; ["subscribers"] = {{}}; ["affiliations"] = {{ ["{jid}"] = "owner" }};
["config"] = {{ ["persist_items"] = true; ["max_items"] = "max"; ["access_model"] = "open";
["send_last_published_item"] = "never" }} }} }};
""")
    items = "".join(item(jid, number, *key) for number, key in enumerate(keys(count)))
    server.world.write(f"{folder}/pep_urn%3axmpp%3atmp%3apubkey/{OWNER}.list", items)


def rank(times, part):
    return round(times[min(len(times) - 1, int(len(times) * part))], 3)


def fetch(world, count, out):
    """The longest that a call of another connection took while the keys came, and what most took."""
    if world.kind != "prosody":
        raise Failed(("fetch",), 1, "", "this part fills the store of Prosody")
    world.server.stop()  # it remembers which nodes there are
    fill(world.server, count)
    world.server.start()
    env, jid = world.make_agent("fetch", token=False), f"{READER}@{DOMAIN}"
    agent = world.start_agent("fetch", env)
    world.signet(env, "account", "add", jid, "--host", "127.0.0.1", "--port", world.c2s_port, "--cafile", world.cafile)
    world.signet(env, "account", "connect", jid, "--password-file", world.dir / "password")
    found = json.loads(world.run("/usr/bin/python3", "-c", CLIENT, env["SIGNET_SOCK"], jid, f"{OWNER}@{DOMAIN}", "ListAccounts",
                                 env=env, timeout=300))
    agent.stop()
    if (found["keys"], found["good"]) != (count, count - ISSUERS):
        raise Failed(("FetchKeys",), 1, "", f"{found['keys']} keys came, {found['good']} of them signed well")
    out["fetch_keys"] = count
    out["fetch_s"] = round(found["seconds"], 2)
    out["fetch_stall_max_ms"] = rank(found["busy"], 1)
    out["fetch_stall_p99_ms"] = rank(found["busy"], 0.99)
    out["fetch_call_p50_ms"] = rank(found["busy"], 0.5)
    out["fetch_quiet_max_ms"] = rank(found["quiet"], 1)
    out["fetch_quiet_p50_ms"] = rank(found["quiet"], 0.5)
    say(f"bench: {count} keys of a node fetched and judged in {out['fetch_s']} s ({found['replies']} replies); a call of another "
        f"connection meanwhile {out['fetch_call_p50_ms']} ms (p50), {out['fetch_stall_p99_ms']} ms (p99), "
        f"{out['fetch_stall_max_ms']} ms at most; else {out['fetch_quiet_p50_ms']} ms (p50), {out['fetch_quiet_max_ms']} ms at most")
