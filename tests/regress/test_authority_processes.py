"""signet-authority's processes: killed, hung, without a token or with a wrong PIN; init and the command line."""
import contextlib
import glob
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from authority_client import NS_ADD, NS_DISCO, Client, bare, error_of, sha256
from authority_world import LIMIT, revoked_list
from certificates import make_csr, make_key
from processes import running, suspend, until, wait_gone, wait_idle
from world import BUILD, DOMAIN, Failed, TOP, is_sanitized

pytest_plugins = ["authority_fixtures"]

SPY = next(iter(glob.glob("/usr/lib/*/pkcs11-spy.so")), "")


# ---- processes

def children(place):
    """The pids of the authority's workers."""
    return [pid for pid, parent, _ in running() if parent == place.authority.popen.pid]


def test_kill_9_of_the_authority_keeps_the_ledger(place, client):
    csr = make_csr(make_key(), bare(client))
    der, gone = client.added(csr), client.added(make_csr(make_key(), bare(client)))
    client.revoke(sha256(gone))
    place.restart_authority(signal.SIGKILL)
    assert [entry[1] for entry in client.listed()] == [der]
    assert client.added(csr) == der
    assert client.revoke(sha256(gone)).get("type") == "result"
    assert sha256(gone) in revoked_list(place)


def test_kill_9_while_adding_loses_nothing_that_was_answered(place, client):
    csrs = [make_csr(make_key(), bare(client)) for _ in range(LIMIT)]
    for csr in csrs:
        killer = threading.Timer(0.004, place.authority.popen.kill)
        killer.start()
        try:
            der = client.added(csr, timeout=1)
        except (AssertionError, TimeoutError):
            der = None  # killed before the answer: the server says so, or nobody does
        killer.join()
        place.restart_authority(signal.SIGKILL)
        assert der in (None, client.added(csr))
    assert len(client.listed()) == LIMIT


def test_kill_9_of_the_token_worker_and_the_next_request_works(place, client):
    for _ in range(3):
        mark = place.authority.mark()
        (pid,) = children(place)
        os.kill(pid, signal.SIGKILL)
        place.authority.wait_line("the worker ended", since=mark)
        client.added(make_csr(make_key(), bare(client)))


def test_a_token_worker_that_hangs_is_killed_and_the_next_request_works(place, client):
    (pid,) = children(place)
    suspend(pid)
    start = time.monotonic()
    answer = client.add(make_csr(make_key(), bare(client)))
    assert error_of(answer) == ("wait", "internal-server-error")
    assert time.monotonic() - start > 25
    wait_gone(pid)
    client.added(make_csr(make_key(), bare(client)))


def test_the_server_goes_and_comes_back(place):
    mark = place.authority.mark()
    place.server.process.stop()
    place.authority.wait_line("trying again in", since=mark)
    place.start_server()
    place.authority.wait_line("connected to", since=mark)
    place.server.wait_delegated(0)
    with Client(place, "juliet") as juliet:
        answer = juliet.iq("get", f"<query xmlns='{NS_DISCO}'/>", to=DOMAIN)
        assert NS_ADD in {f.get("var") for f in answer.iter(f"{{{NS_DISCO}}}feature")}
        juliet.listed()


def test_a_wrong_component_secret_is_said_and_tried_again_until_it_is_right(place):
    path = place.dir / "authority/component.secret"
    secret = path.read_text()
    place.authority.stop()
    path.write_text("wrong")
    place.authority = place.start("authority-secret", ["signet-authority", "--config", place.authority_conf, "run"],
                                  place.authority_env)
    line = place.authority.wait_line("refused the secret")
    assert str(path) in line
    place.authority.wait_line("trying again in 1 s")
    place.authority.wait_line("trying again in 2 s")
    mark = place.server.process.mark()
    path.write_text(secret)
    place.authority.wait_line("connected to")
    place.server.wait_delegated(mark)
    with Client(place, "juliet") as juliet:
        juliet.listed()


def test_c10_what_is_not_on_the_list_is_not_called_revoked_after_a_restart_either(place, client):
    der = client.added(make_csr(make_key(), bare(client)))
    revoked = place.dir / "authority/revoked.txt"
    kept = revoked.read_text()
    revoked.unlink()
    place.mkdir("authority/revoked.txt")  # which no file takes the place of
    try:
        assert error_of(client.revoke(sha256(der))) == ("wait", "internal-server-error")
        place.restart_authority(signal.SIGKILL)
        assert error_of(client.revoke(sha256(der))) == ("wait", "internal-server-error")
    finally:
        revoked.rmdir()
        place.write("authority/revoked.txt", kept)
    assert client.revoke(sha256(der)).get("type") == "result"
    assert sha256(der) in revoked_list(place)


def test_a_secret_that_is_a_pipe_holds_nobody_up(place):
    """And the authority ends when it is told to."""
    path = place.dir / "authority/component.secret"
    secret = path.read_text()
    place.authority.stop()
    path.unlink()
    os.mkfifo(path, 0o600)
    os.chown(path, place.uid, place.gid)
    try:
        waiting = place.start("authority-pipe", ["signet-authority", "--config", place.authority_conf, "run"],
                              place.authority_env)
        waiting.wait_line(f"secret file {path}: ")
        waiting.wait_line("trying again in 1 s")
        assert waiting.stop() == 0
    finally:
        path.unlink()
        place.write("authority/component.secret", secret, 0o600)
        place.start_authority()


def spy(place):
    """The log of pkcs11-spy between worker and SoftHSM, which writes down every call, and the environment for it."""
    log = place.dir / "authority/spy.log"
    log.unlink(missing_ok=True)
    return log, dict(place.authority_env, PKCS11SPY=str(place.module), PKCS11SPY_OUTPUT=str(log),
                     ASAN_OPTIONS="detect_leaks=0")  # the spy leaks


def logins_in(log):
    """How often a PIN was tried."""
    return len(re.findall(r"\d+: C_Login\n", log.read_text(errors="replace")))


@contextlib.contextmanager
def spied(place, pin):
    """The authority with this PIN file and the spy. Gives how often a PIN was tried, how to start the authority again,
    and its environment."""
    log, env = spy(place)
    text = place.authority_conf.read_text()
    place.configure(f"module = {place.module}", f"module = {SPY}")
    place.configure(f"pin-file = {place.dir}/pin", f"pin-file = {pin}")
    place.authority.stop()

    def start():
        mark = place.server.process.mark()
        place.authority = place.start("authority-pin", ["signet-authority", "--config", place.authority_conf, "run"],
                                      env)
        place.authority.wait_line("connected to")
        place.server.wait_delegated(mark)

    try:
        start()
        yield lambda: logins_in(log), start, env
    finally:
        place.write("authority/authority.conf", text)
        place.restart_authority()


def hang_up(place):
    """SIGHUP, with a PIN file that is known to be wrong; until it was looked at again."""
    mark = place.authority.mark()
    place.authority.popen.send_signal(signal.SIGHUP)
    place.authority.wait_line("not tried again: correct", since=mark)


def test_c6_a_wrong_pin_is_tried_once(place, client):
    pin = place.write("authority/pin", "9999\n", 0o600)
    der = client.added(make_csr(make_key(), bare(client)))

    def adding_waits():
        return error_of(client.add(make_csr(make_key(), bare(client)))) == ("wait", "internal-server-error")
    with spied(place, pin) as (logins, start, env):
        for _ in range(3):
            assert adding_waits()
        assert logins() == 1
        assert place.authority.count("not tried again: correct") == 1
        # what needs no token goes on
        assert len(client.listed()) == 1
        assert error_of(client.revoke(sha256(der))) == ("wait", "internal-server-error")
        assert sha256(der) in revoked_list(place)
        # neither a reload, nor the same PIN written once more, nor a command, nor another process tries it again
        hang_up(place)
        pin.write_text("9999\n")
        assert adding_waits()
        status, _, told = place.run("signet-authority", "--config", place.authority_conf, "crl", env=env, check=False)
        assert status == 4 and "refused this PIN before" in told and str(pin) in told
        place.authority.stop(signal.SIGKILL)
        start()
        assert adding_waits()
        assert logins() == 1
        # another one is
        pin.write_text("1234\n")
        assert client.revoke(sha256(der)).get("type") == "result"
        place.authority.wait_line("written again")
        client.added(make_csr(make_key(), bare(client)))
        assert logins() == 2


def test_a_refused_pin_that_the_token_was_given_since_is_tried_when_somebody_says_so(place, client):
    pin = place.write("authority/pin", "987654\n", 0o600)
    with spied(place, pin) as (logins, _, _):
        assert error_of(client.add(make_csr(make_key(), bare(client)))) == ("wait", "internal-server-error")
        book = re.search("remove (\\S+) and", place.authority.wait_line("not tried again: correct"))[1]
        assert os.stat(book).st_mode & 0o777 == 0o600
        text = open(book).read()
        assert "987654" not in text and "1234" not in text
        change = ("pkcs11-tool", "--module", place.module, "--token-label", "authority", "--login", "--change-pin")
        place.run(*change, "--pin", "1234", "--new-pin", "987654", env=place.authority_env)
        try:
            os.unlink(book)
            place.authority.popen.send_signal(signal.SIGHUP)
            place.authority.wait_line("written again")
            client.added(make_csr(make_key(), bare(client)))
            assert logins() == 2 and not os.path.exists(book)
        finally:
            place.run(*change, "--pin", "987654", "--new-pin", "1234", env=place.authority_env)


def test_a_pin_is_not_tried_where_its_refusal_could_not_be_kept(place):
    """Every init would try it once more, before the authority's folders are made."""
    log, env = spy(place)
    pin = place.write("authority/pin", "9999\n", 0o600)
    text = place.authority_conf.read_text()
    for old, new in ((f"module = {place.module}", f"module = {SPY}"), (f"{place.dir}/pin", str(pin)),
                     ("authority/crl.pem", "authority/later/crl.pem")):
        text = text.replace(old, new)
    argv = ("signet-authority", "--config", place.write("authority/early.conf", text), "init")
    for _ in range(2):
        status, _, told = place.run(*argv, env=env, check=False)
        assert status and "later is missing: make it" in told and "nothing was tried" in told
    assert logins_in(log) == 0
    place.mkdir("authority/later")
    for told in ("does not take this PIN", "refused this PIN before"):
        assert told in place.run(*argv, env=env, check=False)[2]
    assert logins_in(log) == 1


@pytest.mark.parametrize("text", ["", "\n", "1234\n5678\n", "1" * 5000])
def test_a_pin_file_that_holds_no_pin_costs_no_try(place, client, text):
    pin = place.write("authority/pin", text, 0o600)
    with spied(place, pin) as (logins, _, _):
        told = "the PIN must be its first and only line" if text else "is empty, and was not used"
        place.authority.wait_line(f"{pin}:? {told}")
        assert logins() == 0
        pin.write_text("1234\n")
        client.added(make_csr(make_key(), bare(client)))


DIES_IN_LOGIN = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static CK_RV die(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
	int fd = open(getenv("LOGINS"), O_WRONLY | O_APPEND | O_CREAT, 0600);

	_exit(write(fd, "login\\n", 6) != 6);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	static CK_FUNCTION_LIST ours;
	CK_RV (*get)(CK_FUNCTION_LIST **) = dlsym(dlopen(getenv("REAL_MODULE"), RTLD_NOW), "C_GetFunctionList");
	CK_RV rv = get(list);

	ours = **list;
	ours.C_Login = die;
	*list = &ours;
	return rv;
}
"""


def test_a_pin_is_not_tried_again_when_the_worker_dies_of_it(place, client):
    """A module between worker and SoftHSM that ends the process in C_Login; the spy may load it from any folder."""
    folder = place.mkdir("dies")
    module, log = folder / "dies.so", folder / "logins"
    flags = subprocess.run(["pkg-config", "--cflags", "p11-kit-1"], stdout=subprocess.PIPE, text=True, check=True)
    subprocess.run(["cc", "-shared", "-fPIC", *flags.stdout.split(), "-o", module, "-xc", "-"], input=DIES_IN_LOGIN,
                   text=True, check=True)
    text = place.authority_conf.read_text()
    place.configure(f"module = {place.module}", f"module = {SPY}")
    place.authority.stop()
    mark = place.server.process.mark()
    place.authority = place.start(
        "authority-dies", ["signet-authority", "--config", place.authority_conf, "run"],
        dict(place.authority_env, PKCS11SPY=str(module), PKCS11SPY_OUTPUT="/dev/null", REAL_MODULE=str(place.module),
             LOGINS=str(log), ASAN_OPTIONS="detect_leaks=0"))
    try:
        place.authority.wait_line("connected to")
        place.server.wait_delegated(mark)
        for _ in range(2):
            assert error_of(client.add(make_csr(make_key(), bare(client)))) == ("wait", "internal-server-error")
        assert log.read_text() == "login\n"
        place.authority.wait_line("never answered and is not tried again")
        place.authority.popen.send_signal(signal.SIGHUP)
        until(lambda: log.read_text() == "login\nlogin\n")
        assert error_of(client.add(make_csr(make_key(), bare(client)))) == ("wait", "internal-server-error")
        assert log.read_text() == "login\nlogin\n"
    finally:
        place.write("authority/authority.conf", text)
        place.restart_authority()


def test_an_hsms_module_may_lie_where_the_configuration_says(place):
    vendor = place.mkdir("vendor")
    module = shutil.copy(place.module, vendor / "libvendor-pkcs11.so")
    text = place.authority_conf.read_text().replace(f"module = {place.module}", f"module = {module}")
    for more, wanted in (("", "in none of the folders"), (f"module-dirs = /nowhere:{vendor}\n", "BEGIN CERTIFICATE")):
        conf = place.write("authority/vendor.conf", text.replace("[token]\n", f"[token]\n{more}"))
        status, out, err = place.run("signet-authority", "--config", conf, "init", env=place.authority_env, check=False)
        assert wanted in out + err and (status == 0) == bool(more)


def test_a_pin_file_that_others_can_read_is_not_used(place, client):
    text = place.authority_conf.read_text()
    pin = place.write("authority/open-pin", "1234\n", 0o644)
    place.configure(f"pin-file = {place.dir}/pin", f"pin-file = {pin}")
    place.restart_authority()
    try:
        assert error_of(client.add(make_csr(make_key(), bare(client)))) == ("wait", "internal-server-error")
        place.authority.wait_line(f"{pin}: is open to others, and was not used")
        pin.chmod(0o600)
        client.added(make_csr(make_key(), bare(client)))
    finally:
        place.write("authority/authority.conf", text)
        place.restart_authority()


def test_c6_a_token_that_is_gone_is_no_end(place, client):
    tokens = place.dir / "authority/token/tokens"
    place.authority.stop()
    tokens.rename(f"{tokens}.gone")
    place.mkdir("authority/token/tokens")
    place.start_authority()
    assert error_of(client.add(make_csr(make_key(), bare(client)))) == ("wait", "internal-server-error")
    tokens.rmdir()
    tokens.with_name("tokens.gone").rename(tokens)
    client.added(make_csr(make_key(), bare(client)))


def test_a_missing_pin_file_is_no_end(place, client):
    text = place.authority_conf.read_text()
    place.configure(f"pin-file = {place.dir}/pin", f"pin-file = {place.dir}/no-pin")
    place.restart_authority()
    try:
        assert error_of(client.add(make_csr(make_key(), bare(client)))) == ("wait", "internal-server-error")
        place.write("no-pin", "1234", 0o600)
        client.added(make_csr(make_key(), bare(client)))
    finally:
        place.write("authority/authority.conf", text)
        place.restart_authority()


def test_idle_it_makes_no_system_call(place):
    with Client(place, "juliet") as juliet:
        juliet.listed()
    workers = children(place)
    assert len(workers) == 1
    wait_idle(place.authority.popen.pid, *workers)


def test_files_of_the_ledger_are_closed_to_others(place):
    folder = place.dir / "authority"
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.glob("ledger.db*"):
        assert path.stat().st_mode & 0o777 == 0o600, path
    rows = sqlite3.connect(f"file:{folder}/ledger.db?mode=ro", uri=True).execute(
        "SELECT count(*), count(DISTINCT serial), count(DISTINCT sha256) FROM certificate").fetchone()
    assert rows[0] == rows[1] == rows[2] > 0


# ---- init and the command line

def test_init_again_gives_the_same_certificate(place):
    again = place.run("signet-authority", "--config", place.authority_conf, "init", env=place.authority_env)
    assert again == (place.dir / "authority/ca.pem").read_text()


def years_ahead(place, years):
    """The authority's environment, and its clock so much ahead."""
    library = place.install(BUILD / "lib/shifted-clock.so", "lib/shifted-clock.so", 0o755)
    return dict(place.authority_env, LD_PRELOAD=str(library), CLOCK_OF="signet-authority",
                CLOCK_SHIFT=str(int(years * 365 * 86400)))


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer is to be loaded before what has another clock")
@pytest.mark.parametrize("years, said", [(11, "the CA's certificate has expired: nothing can be issued"),
                                         (9.5, "the CA's certificate ends before those that are issued would")])
def test_a_certificate_that_ends_is_told_of_at_the_start(place, years, said):
    env = place.authority_env
    assert place.authority.count("the CA's certificate") == 0
    try:
        place.authority_env = years_ahead(place, years)
        place.restart_authority()
        assert said in place.authority.wait_line("the CA's certificate")
    finally:
        place.authority_env = env
        place.restart_authority()


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer is to be loaded before what has another clock")
def test_init_says_that_the_certificate_that_is_there_has_expired(place):
    argv = ("signet-authority", "--config", place.authority_conf, "init")
    status, out, err = place.run(*argv, env=years_ahead(place, 11), check=False)
    assert status == 0 and out == (place.dir / "authority/ca.pem").read_text()
    assert "it has expired" in err and "name another key" in err
    assert place.run(*argv, env=place.authority_env, check=False)[2] == ""


@pytest.mark.parametrize("label, algorithm, said, token, key", [
    ("ö; (1%)", "p256", "prime256v1", "ö; (1%)", "the CA; 100%"),
    ("ö; (1%)", "p384", "secp384r1", "PKCS11:token=%C3%B6%3B%20%281%25%29", "ca"),
    ("ö; (1%)", "rsa2048", "2048 bit", "ö; (1%)", "PKCS11:token=%C3%B6%3B%20%281%25%29;object=the%20CA%3B"),
    ("object=no", "rsa3072", "3072 bit", "object=no", "pkcs11:token=object=no;object=ca"),
])
def test_init_makes_a_ca_that_openssl_takes(place, label, algorithm, said, token, key):
    folder = place.mkdir(f"ca-{algorithm}")
    env = place.env(SOFTHSM2_CONF=place.make_token(f"ca-{algorithm}/token", label))
    conf = place.write(f"ca-{algorithm}/authority.conf", place.authority_conf.read_text()
                       .replace("token = authority", f"token = {token}").replace("key = ca", f"key = {key}"))
    place.run("signet-authority", "--config", conf, "init", "--name", "Ünï CA", "--algorithm", algorithm, "--out",
              folder / "ca.pem", env=env)
    assert place.run("signet-authority", "--config", conf, "init", env=env) == (folder / "ca.pem").read_text()
    text = place.run("openssl", "x509", "-in", folder / "ca.pem", "-noout", "-text", "-nameopt", "utf8")
    assert said in text and "CN=Ünï CA" in text and "CA:TRUE, pathlen:0" in text
    assert "Certificate Sign, CRL Sign" in text
    assert "OK" in place.run("openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", folder / "ca.pem",
                             folder / "ca.pem")


def test_init_does_not_touch_a_key_without_a_certificate(place):
    place.mkdir("ca-key")
    env = place.env(SOFTHSM2_CONF=place.make_token("ca-key/token", "other"))
    conf = place.write("ca-key/authority.conf",
                       place.authority_conf.read_text().replace("token = authority", "token = other"))
    tool = ("pkcs11-tool", "--module", place.module, "--token-label", "other", "--login", "--pin", "1234")
    place.run(*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "ca", env=env)
    with pytest.raises(Failed) as failed:
        place.run("signet-authority", "--config", conf, "init", env=env)
    assert "without a CA certificate" in failed.value.err
    assert "cert" not in place.run(*tool, "--list-objects", "--type", "cert", env=env)


def test_installed_units_start_what_was_installed(place):
    target = place.mkdir("installed")
    subprocess.run(["make", "-s", "-C", TOP, "-o", "all", "install", "PREFIX=/opt/signet", f"DESTDIR={target}",
                    f"BUILD={BUILD}"], check=True)
    starts = {}
    for unit in target.rglob("*.service"):
        assert unit.stat().st_mode & 0o777 == 0o644 and "@PREFIX" not in unit.read_text()
        starts[unit.name] = re.search("^ExecStart=([^ ]+)", unit.read_text(), re.M).group(1)
    assert starts == {"signet.service": "/opt/signet/bin/signetd",
                      "signet-authority.service": "/opt/signet/sbin/signet-authority"}
    assert all((target / program[1:]).exists() for program in starts.values())


@pytest.mark.parametrize("setting, name", [("revoked", "revoked.txt"), ("crl", "crl.pem")])
def test_a_missing_folder_is_named_at_the_start(place, setting, name):
    text = place.authority_conf.read_text()
    folder = place.dir / f"authority/public-{setting}"
    place.configure(f"{setting} = {place.dir}/authority/{name}", f"{setting} = {folder}/{name}")
    place.restart_authority()
    try:
        place.authority.wait_line(f"{folder}/{name}\\S* cannot be written: the folder {folder} is missing: make it")
        place.mkdir(f"authority/public-{setting}")
        place.authority.popen.send_signal(signal.SIGHUP)
        place.authority.wait_line("revocation list and CRL are written again")
        assert (folder / name).exists()
    finally:
        place.write("authority/authority.conf", text)
        place.restart_authority()


def test_run_says_what_is_missing(place):
    path = place.write("authority/broken.conf", "[component]\njid = ccm.xmpp.test\n")
    with pytest.raises(Failed) as failed:
        place.run("signet-authority", "--config", path, "run")
    assert failed.value.status != 0
    assert f"{path}: the setting 'secret-file' in the section [component] is missing" in failed.value.err
    for args in ((), ("walk",), ("run", "--name", "x"), ("run", "init"), ("--config",)):
        with pytest.raises(Failed) as failed:
            place.run("signet-authority", *args)
        assert failed.value.status == 2 and "usage:" in failed.value.err
    assert "usage:" in place.run("signet-authority", "--help")
