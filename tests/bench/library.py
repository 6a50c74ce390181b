"""The keyring with very many keys: what looking one up takes, and what the agent needs of memory for it."""
import base64
import hashlib
import json
import random
import re
import sqlite3
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from fetch import NS, certificate
from world import say

FEW = 10
LOOKUPS = 400

# As the agent's user: it talks to nobody else. Reads calls, one a line, and gives what each took in milliseconds.
CLIENT = """
import json, socket, sys, time
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
took = []
for line in sys.stdin:
    started, data = time.perf_counter(), b""
    sock.sendall(line.strip().encode() + bytes(1))
    while not data.endswith(bytes(1)):
        data += sock.recv(65536)
    took.append((time.perf_counter() - started) * 1000)
    if b'"error"' in data[:10]:
        sys.exit(data.decode())
print(json.dumps(took))
"""


def keys(count):
    """(number, JID, name, SHA-256, DER, keyinfo) of so many keys of half as many people."""
    der = certificate(ec.generate_private_key(ec.SECP256R1()))
    for number in range(1, count + 1):
        one = der[:-8] + number.to_bytes(8, "big")
        name = hashlib.sha1(one).hexdigest()
        keyinfo = f"<keyinfo xmlns='{NS}'><name>{name}</name><x509cert>{base64.b64encode(one).decode()}</x509cert></keyinfo>"
        yield number, f"user{number // 2}@server{number % 97}.example", name, hashlib.sha256(one).hexdigest(), one, keyinfo


def fill(path, count):
    """Writes the keys into the store of an agent that does not run; gives names and JIDs of some."""
    some = []
    with sqlite3.connect(path) as db:
        for number, jid, name, sha256, der, keyinfo in keys(count):
            db.execute("INSERT INTO keys (id, name, kind, sha256, data, first_seen) VALUES (?, ?, 1, ?, ?, 1000)",
                       (number, name, sha256, der))
            db.execute("INSERT INTO sightings (key, jid, source, told_by, first_seen, last_seen, size, keyinfo)"
                       " VALUES (?, ?, 0, '', 1000, 1000, ?, ?)", (number, jid, len(der) + len(keyinfo), keyinfo))
            some.append((name, jid))
    return random.Random(1).choices(some, k=LOOKUPS)


def private_kb(pid):
    """What the process has of memory for itself."""
    return sum(map(int, re.findall(r"^Private_\w+:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)))


def measure(world, count):
    """What look-ups take with so many keys, in ms, and what the agent has of memory afterwards, in kB."""
    name = f"library{count}"
    env = world.make_agent(name, token=False)
    world.start_agent(name, env).stop()
    some = fill(next((world.dir / f"agent-{name}/state").rglob("agent.db")), count)
    agent = world.start_agent(name, env)
    took = {}
    for what, method, parameters in (("jid", "ListKeyring", [{"jid": j} for _, j in some]),
                                     ("fingerprint", "ShowKeyring", [{"name": n} for n, _ in some])):
        calls = "".join(json.dumps({"method": f"org.signet.Agent.{method}", "parameters": p}) + "\n" for p in parameters)
        calls = world.write(f"calls-{what}", calls)
        with calls.open() as source:
            said = world.run("/usr/bin/python3", "-c", CLIENT, env["SIGNET_SOCK"], env=env, stdin=source)
        took[what] = sorted(json.loads(said))
    memory = private_kb(agent.popen.pid)
    agent.stop()
    return {what: times[len(times) // 2] for what, times in took.items()}, memory


def library(world, count, out):
    """The figures, beside those with few keys."""
    few, small = measure(world, FEW)
    many, large = measure(world, count)
    for what in many:
        out[f"keyring_{what}_ms"] = round(many[what], 3)
        out[f"keyring_few_{what}_ms"] = round(few[what], 3)
    out["keyring_memory_kb"] = large - small
    say(f"bench: {count} keys known: by JID {out['keyring_jid_ms']} ms (few: {out['keyring_few_jid_ms']}), by fingerprint "
        f"{out['keyring_fingerprint_ms']} ms (few: {out['keyring_few_fingerprint_ms']}); memory of signetd + {large - small} kB")
