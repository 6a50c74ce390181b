"""The authority: certificates issued a second beside its token's bare rate, its memory over very many, and the list of
an account in a ledger that is very long; and what the server's others wait for while a long list of the revoked comes."""
import concurrent.futures
import contextlib
import hashlib
import os
import re
import secrets
import socket
import sqlite3
import time
from pathlib import Path
from statistics import median

from asking import NS_LIST, Account, Server, ask_many
from processes import PATIENCE, running
from sides import measure
from world import BUILD, DOMAIN, World, say

PROGRAMS = ("signet-authority", "signet-token")
PEERS, DEPTH = 8, 16
PER_ACCOUNT = 1000  # the most that the authority's configuration allows
ISSUED = 100000
LEDGER = 1000000
LISTS = 50
REVOKED = 100000


class Place(World):
    """A server and an authority whose limits are in nobody's way."""

    def __init__(self, ca, accounts, server="prosody"):
        super().__init__(accounts=accounts, certificates=PER_ACCOUNT, requests=60000, programs=PROGRAMS, ca=ca, server=server)


def bare(place, threads, seconds):
    """C_Sign a second, with the CA's key."""
    program = place.install(BUILD / "bench/direct", "bin/bench-direct", 0o755)
    found, = measure(place, [[program, "sign", place.module, "authority", place.dir / "pin", "ca", threads, seconds]],
                     place.authority_env)
    return found["rate"]


def names(count):
    return [f"asker{number}" for number in range(count)]


def issuing(options, out):
    """By turns: so many certificates through the server, and the token alone."""
    for algorithm in ("rsa3072", "p256"):
        each = max(PEERS * DEPTH * 2, int(300 * options.seconds))
        people = names(PEERS * options.rounds)
        with Place(algorithm, people) as place:
            place.up()
            found, cpus = [], len(os.sched_getaffinity(0))
            for number in range(options.rounds):
                peers = [Account(place, name) for name in people[number * PEERS:][:PEERS]]
                ask_many(peers, PEERS * DEPTH, DEPTH)
                started = time.monotonic()
                ask_many(peers, each, DEPTH)
                rate = each / (time.monotonic() - started)
                found.append((rate, bare(place, 1, options.seconds), bare(place, cpus, options.seconds)))
        rate, one, all_ = (median(column) for column in zip(*found))
        out[f"issued_{algorithm}_per_s"], out[f"issued_{algorithm}_bare_per_s"] = round(rate), round(one)
        out[f"issued_{algorithm}_bare_{cpus}_threads_per_s"] = round(all_)
        out[f"issued_{algorithm}_ratio"] = round(median(r / o for r, o, _ in found), 3)
        out[f"issued_{algorithm}_ratio_{cpus}_threads"] = round(median(r / a for r, _, a in found), 3)
        say(f"bench: {algorithm}: {rate:.0f} certificates a second through {place.kind}, C_Sign {one:.0f} (one thread), "
            f"{all_:.0f} ({cpus} threads): {out[f'issued_{algorithm}_ratio']}, {out[f'issued_{algorithm}_ratio_{cpus}_threads']}")


def pss_kb(pid):
    return int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


@contextlib.contextmanager
def played_server(place):
    """The authority alone, with us in the place of its server: nothing else is at work."""
    with socket.create_server(("127.0.0.1", place.component_port)) as listener, \
            concurrent.futures.ThreadPoolExecutor() as pool:
        listener.settimeout(PATIENCE)
        connected = pool.submit(Server, listener, PER_ACCOUNT)
        place.start_authority()
        server = connected.result()
        yield server
        server.sock.close()
        place.authority.stop()


def memory(out):
    """What the authority's processes hold after so many certificates, asked for at its own socket: through a server it
    would take too long."""
    points, marks = {}, [ISSUED // 100, *(ISSUED * part // 4 for part in (1, 2, 3, 4))]
    with Place("p256", ()) as place:
        place.make_authority()
        with played_server(place) as server:
            authority = place.authority.popen.pid

            def look(total):
                if total >= marks[0]:
                    pids = [pid for pid, parent, _ in running() if authority in (pid, parent)]
                    points[marks.pop(0)] = sum(map(pss_kb, pids))
            started = time.monotonic()
            ask_many([server], ISSUED, PEERS * DEPTH, look)
            took = time.monotonic() - started
    out["issued_pss_kb"] = points
    out["issued_pss_growth_kb"] = points[ISSUED] - points[ISSUED // 4]
    say(f"bench: {ISSUED} certificates issued at the authority's socket in {took:.0f} s; PSS of its processes (kB) after so many: "
        f"{points}")


def fill(path, mine):
    """Writes a long ledger, most of it other accounts', after a certificate that the authority has issued."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        columns = [row[1] for row in db.execute("PRAGMA table_info(certificate)")]
        one = dict(zip(columns, db.execute("SELECT * FROM certificate").fetchone()))
        der, columns = one["der"], [name for name in columns if name != "id"]

        def rows():
            for number in range(LEDGER - 1):
                new = der[:-8] + number.to_bytes(8, "big")
                is_mine = number % (LEDGER // (PER_ACCOUNT + 1)) == 0
                row = dict(one, der=new, serial=b"\1" + secrets.token_bytes(19), csr_sha256=secrets.token_bytes(32),
                           account=mine if is_mine else f"other{number % 100000}@{DOMAIN}",
                           **{name: getattr(hashlib, name)(new).hexdigest() for name in ("sha1", "sha256", "sha512")})
                yield [row[name] for name in columns]
        db.executemany(f"INSERT INTO certificate ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows())


def listing(out):
    """What the authority takes for the list of an account that has very many, among many more, at its socket."""
    mine = "somebody0"
    request = f"<iq type='get' id='l'><list-certificates-request xmlns='{NS_LIST}'/></iq>"
    with Place("p256", ()) as place:
        place.make_authority()
        with played_server(place) as server:
            ask_many([server], 1, 1)
        started = time.monotonic()
        fill(place.dir / "authority/ledger.db", f"{mine}@{DOMAIN}")
        say(f"bench: a ledger of {LEDGER} certificates made in {time.monotonic() - started:.0f} s")
        with played_server(place) as server:
            took = sorted(server.ask(mine, request) for _ in range(LISTS))
            none = median(server.ask("nobody", request)[0] for _ in range(LISTS))
            listed = took[0][1].count(b"<x509cert>")
    out["list_of_1000_ms"], out["list_of_1000_p99_ms"] = (round(t[0] * 1000, 2) for t in (took[LISTS // 2], took[-1]))
    out["list_of_none_ms"], out["list_listed"] = round(none * 1000, 2), listed
    say(f"bench: an account with {PER_ACCOUNT} of {LEDGER} certificates is answered with {listed} of them ({len(took[0][1])} bytes) in "
        f"{out['list_of_1000_ms']} ms (at most {out['list_of_1000_p99_ms']} ms), one with none in {out['list_of_none_ms']} ms")


def write_list(place, lines):
    """As the authority does."""
    place.write("authority/revoked.new", "".join(lines))
    os.rename(place.dir / "authority/revoked.new", place.dir / "authority/revoked.txt")


def stall(out):
    """What the servers' other users wait for at most while a long list of the revoked comes, and then grows."""
    lines = [secrets.token_hex(32) + "\n" for _ in range(REVOKED)]
    for kind in ("prosody", "ejabberd"):
        with Place("p256", names(1), kind) as place:
            place.up()
            account, found = Account(place, names(1)[0]), {}
            for what, count in (("quiet", None), ("comes", REVOKED - 100), ("grows", REVOKED)):
                if count:
                    write_list(place, lines[:count])
                took, until = [], time.monotonic() + 2
                while time.monotonic() < until:
                    started = time.perf_counter()
                    account.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
                    account.hear(b"id=['\"]p['\"]")
                    took.append((time.perf_counter() - started) * 1000)
                found[what] = round(max(took), 1)
        for what, most in found.items():
            out[f"revoked_{kind}_{what}_max_ms"] = most
        say(f"bench: {kind}, a list of {REVOKED} revoked certificates: a ping takes at most {found['comes']} ms while it comes, "
            f"{found['grows']} ms while it grows by 100, {found['quiet']} ms else")


def authority(options, out):
    """All of it."""
    stall(out)
    issuing(options, out)
    memory(out)
    listing(out)
