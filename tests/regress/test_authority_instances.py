"""Several instances of the authority on one PostgreSQL ledger.

ejabberd takes several connections of one component and shares the requests out among them. Prosody takes one: the
second waits until the first is gone; and a request that was with an instance when it died is never answered by it.
"""
import base64
import concurrent.futures
import contextlib
import re
import signal
import threading

import pytest

from authority_client import NS_ADD, NS_STANZAS, Client, bare, error_of, sha256
from authority_world import LIMIT, AuthorityWorld, key_files, revoked_list
from certificates import make_csr, make_key
from cryptography import x509
from postgres import Postgres
from processes import until
from world import SERVERS

CLIENTS = 6
LOST = 10  # seconds until a client asks again


class InstancesWorld(AuthorityWorld):
    """A server, a database, and two instances with files of their own and the same token."""

    def up(self):
        self.postgres = Postgres(self).start()
        self.postgres.create()
        self.make_pki()
        self.make_authority()
        self.configure(f"ledger = {self.dir}/authority/ledger.db", f"ledger = {self.postgres.where()}")
        self.make_server()
        self.start_server()
        self.start_authority()
        folder = self.mkdir("second")
        text = self.authority_conf.read_text()
        for name in ("crl.pem", "revoked.txt"):
            text = text.replace(f"authority/{name}", f"second/{name}")
        self.second_conf = self.write("second/authority.conf", text)
        self.folders = (self.dir / "authority", folder)
        self.second = self.start_second()

    def start_second(self):
        process = self.start("second", ["signet-authority", "--config", self.second_conf, "run"], self.authority_env)
        process.wait_line("connected to 127.0.0.1" if self.kind == "ejabberd" else "trying again")
        return process


@pytest.fixture(params=sorted(SERVERS))
def place(request):
    with InstancesWorld(request.param) as world:
        world.up()
        yield world


class Load:
    """Accounts that add, list and revoke as fast as they can, each on a thread; it keeps what was answered."""

    def __init__(self, place, stack):
        self.clients = [stack.enter_context(Client(place, place.account())) for _ in range(CLIENTS)]
        self.over, self.lock = threading.Event(), threading.Lock()
        self.added, self.revoked, self.answers = {}, set(), 0
        self.pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(CLIENTS))
        stack.callback(self.over.set)  # before the pool is waited for
        self.futures = [self.pool.submit(self.work, client) for client in self.clients]

    def ask(self, request, *args):
        """The answer, or None when none came."""
        try:
            return request(*args, timeout=LOST)
        except TimeoutError:
            return None

    def condition_of(self, answer):
        """While no instance is there the server says so itself, and Prosody not always with a text."""
        if answer.find(f"{{jabber:client}}error/{{{NS_STANZAS}}}service-unavailable") is not None:
            return "service-unavailable"
        return error_of(answer)[1]

    def work(self, client):
        """Adds one more than it may, and revokes the oldest where it has to."""
        jid, key, mine = bare(client), make_key(), []
        while not self.over.is_set():
            answer = self.ask(client.add, make_csr(key, jid))
            if answer is None:
                continue
            if answer.get("type") == "result":
                der = base64.b64decode(answer.find(f".//{{{NS_ADD}}}x509certificate").text)
                mine.append(der)
                with self.lock:
                    self.added[sha256(der)] = jid
            else:
                condition = self.condition_of(answer)
                assert condition in ("resource-constraint", "internal-server-error", "service-unavailable"), condition
                if condition == "resource-constraint" and mine:
                    answer = self.ask(client.revoke, sha256(mine[0]))
                    if answer is not None and answer.get("type") == "result":
                        with self.lock:
                            self.revoked.add(sha256(mine.pop(0)))
            with self.lock:
                self.answers += 1

    def wait(self, count):
        """Until so many more requests were answered."""
        before = self.answers
        until(lambda: self.answers >= before + count or any(f.done() for f in self.futures), "nothing is answered")

    def end(self):
        self.over.set()
        for future in self.futures:
            future.result()


def check_ledger(place, load):
    """Nothing that was answered is missing, nothing is there twice, nobody has too many."""
    rows = place.postgres.ask("SELECT sha256, account, state, encode(serial, 'hex') FROM certificate")
    known = {row[0]: row for row in rows}
    assert len(known) == len(rows) == len({row[3] for row in rows})
    for fingerprint, account in load.added.items():
        assert known[fingerprint][1] == account
    assert {f for f in load.revoked if known[f][2] != "revoked"} == set()
    usable = [row[1] for row in rows if row[2] == "valid"]
    assert max(map(usable.count, set(usable))) <= LIMIT


def crl_of(folder):
    crl = x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())
    return crl, crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def check_crls(place):
    """Both instances' lists and CRLs come to tell of the same, and no number was given twice. What nobody waited for any more
    may still be done."""
    def numbers():
        return [int(n) for process in place.processes if process.name in ("authority", "second")
                for n in re.findall(r"crl number=(\d+) written", "".join(process.said()))]

    def agree():
        rows = place.postgres.ask("SELECT sha256, encode(serial, 'hex') FROM certificate WHERE state = 'revoked'")
        fingerprints, serials = {row[0] for row in rows}, {int(row[1], 16) for row in rows}
        return all(set((f / "revoked.txt").read_text().split()) == fingerprints for f in place.folders) and \
            all({entry.serial_number for entry in crl_of(f)[0]} == serials for f in place.folders) and \
            max(numbers()) == int(place.postgres.ask("SELECT number FROM crl")[0][0])

    until(agree, "lists, CRLs and their numbers do not agree")
    assert len(numbers()) == len(set(numbers()))


def test_one_of_two_instances_is_killed(place):
    with contextlib.ExitStack() as stack:
        load = Load(place, stack)
        load.wait(60)
        place.second.stop(signal.SIGKILL)
        load.wait(60)
        place.second = place.start_second()
        load.wait(60)
        place.authority.stop(signal.SIGKILL)
        if place.kind == "prosody":
            place.second.wait_line("connected to 127.0.0.1")
        load.wait(60)
        place.authority = place.start("authority", ["signet-authority", "--config", place.authority_conf, "run"],
                                      place.authority_env)
        load.wait(30)
        load.end()
    check_ledger(place, load)
    check_crls(place)
    for process in place.processes:
        if process.name == "authority" or process.name == "second" and place.kind == "ejabberd":
            assert process.count("outcome=issued") or process is place.authority


@pytest.mark.parametrize("place", ["ejabberd"], indirect=True)
def test_the_instance_that_is_left_is_asked(place):
    """ejabberd by itself takes the delegation away with any one of a component's connections."""
    def is_served(client):
        return client.add(make_csr(make_key(), bare(client))).get("type") == "result"
    with Client(place, place.account()) as client:
        place.second.stop(signal.SIGKILL)
        until(lambda: is_served(client), "the first is asked nothing")
        place.second = place.start_second()
        place.authority.stop()
        until(lambda: is_served(client), "the second is asked nothing")
    assert place.second.count("outcome=issued")
    place.authority = place.start("authority", ["signet-authority", "--config", place.authority_conf, "run"],
                                  place.authority_env)
    place.authority.wait_line("connected to 127.0.0.1")


def test_the_database_is_killed(place):
    with contextlib.ExitStack() as stack:
        load = Load(place, stack)
        load.wait(60)
        place.postgres.stop(signal.SIGQUIT)
        load.wait(30)
        place.postgres.start()
        for process in (place.authority, place.second):
            until(lambda p=process: p.count("ledger: connected to the database") >= 2, "the database is not found")
        load.wait(60)
        load.end()
    # once each time, for a busy one may be away more than once
    assert place.authority.count("without the database") == place.authority.count("ledger: connected to the database") - 1
    check_ledger(place, load)
    check_crls(place)


def test_a_database_that_comes_later(place):
    place.postgres.stop()
    place.authority.stop()
    process = place.start("authority", ["signet-authority", "--config", place.authority_conf, "run"],
                          place.authority_env)
    process.wait_line("without the database")
    process.wait_line("connected to 127.0.0.1|trying again")
    place.postgres.start()
    process.wait_line("connected to the database")
    process.wait_line("crl number=")


def test_a_newer_database_is_refused(place):
    place.second.stop()
    place.postgres.ask("UPDATE ledger_version SET version = 99")
    status, _, err = place.run("signet-authority", "--config", place.second_conf, "run", env=place.authority_env,
                               check=False)
    assert status != 0 and "version 99" in err


@contextlib.contextmanager
def one_authority(engine):
    """The world, and its ledger's PostgreSQL where that is the engine."""
    with AuthorityWorld() as world:
        postgres = None
        world.make_pki()
        world.make_authority()
        if engine == "postgresql":
            postgres = Postgres(world).start()
            postgres.create()
            world.configure(f"ledger = {world.dir}/authority/ledger.db", f"ledger = {postgres.where()}")
        world.make_server()
        world.start_server()
        world.start_authority()
        yield world, postgres


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_an_old_copy_of_the_ledger_takes_nothing_back(engine):
    """Backup, revoke, restore: the revoked stays out, and the CRL's number does not go back."""
    with one_authority(engine) as (world, postgres):
        copy, ledger = world.dir / "copy", world.dir / "authority/ledger.db"
        with Client(world, world.account()) as client:
            der = client.added(make_csr(make_key(), bare(client)))
            if engine == "postgresql":
                postgres.run("pg_dump", "-Fc", "-f", copy, "signet")
            else:
                world.run("sqlite3", ledger, f".backup {copy}")
            late = client.added(make_csr(make_key(), bare(client)))
            assert client.revoke(sha256(der)).get("type") == client.revoke(sha256(late)).get("type") == "result"
            number = crl_of(world.dir / "authority")[1]
            world.authority.stop()
            if engine == "postgresql":
                postgres.run("dropdb", "signet")
                postgres.create()
                postgres.run("pg_restore", "-d", "signet", copy)
            else:
                for name in ("ledger.db-wal", "ledger.db-shm"):
                    (world.dir / "authority" / name).unlink(missing_ok=True)
                world.run("cp", copy, ledger)
            world.start_authority()
            world.authority.wait_line("1 certificates were revoked in the ledger, too; 1 it does not know")
            assert set((world.dir / "authority/revoked.txt").read_text().split()) == {sha256(der), sha256(late)}
            world.authority.wait_line("crl number=")
            crl, new_number = crl_of(world.dir / "authority")
            assert new_number > number
            assert {entry.serial_number for entry in crl} == {x509.load_der_x509_certificate(der).serial_number}
            assert client.listed() == []
            assert client.added(make_csr(make_key(), bare(client)))


def test_a_copy_of_the_database_that_takes_over_takes_nothing_back():
    """A replica that lags behind, beneath a running authority: who was revoked stays out."""
    with one_authority("postgresql") as (world, postgres):
        name, key, copy = world.account(), make_key(), world.dir / "copy"
        with Client(world, name) as client:
            der = client.added(make_csr(key, bare(client)))
            postgres.run("pg_dump", "-Fc", "-f", copy, "signet")
            assert client.revoke(sha256(der)).get("type") == "result"
            postgres.create("replica")
            postgres.run("pg_restore", "-d", "replica", copy)
            mark = world.authority.mark()
            postgres.run("dropdb", "--force", "signet")
            postgres.ask("ALTER DATABASE replica RENAME TO signet", "postgres")
            world.authority.wait_line("has more than the ledger: 1 certificates were revoked", since=mark)
            world.authority.wait_line("crl number=", since=mark)
            assert revoked_list(world) == [sha256(der)] and len(crl_of(world.dir / "authority")[0]) == 1
            assert client.listed() == []
        with Client(world, name, key_files(world, key, der)) as gone:
            assert gone.refused
