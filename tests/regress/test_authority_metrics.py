"""The authority's numbers for Prometheus, judged by the client library's own parser, and who may not disturb it."""
import contextlib
import os
import signal
import socket
import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from authority_client import Client, bare, error_of, sha256
from authority_world import AuthorityWorld
from certificates import make_csr, make_key
from processes import PATIENCE, free_ports, running, until, wait_idle
from world import Failed

NAME = "signet_authority_"


class MetricsWorld(AuthorityWorld):
    """With metrics on a loopback port."""

    def make_authority(self):
        super().make_authority()
        (self.metrics_port,) = free_ports(1)
        self.configure("[files]", f"[metrics]\nlisten = 127.0.0.1:{self.metrics_port}\n[files]")


@pytest.fixture(scope="module")
def place():
    """Server and authority."""
    with MetricsWorld() as world:
        world.up()
        yield world


@pytest.fixture
def client(place):
    with Client(place, place.account()) as client:
        yield client


def scrape(place):
    """All samples: (name, sorted labels) -> value."""
    url = f"http://127.0.0.1:{place.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    assert all(f.documentation and f.type != "unknown" for f in families)
    samples = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples
            samples[key] = sample.value
    return samples


def kill_worker(place):
    """SoftHSM keeps what it has read: a worker that comes new sees what is there."""
    mark = place.authority.mark()
    for pid, parent, _ in running():
        if parent == place.authority.popen.pid:
            os.kill(pid, signal.SIGKILL)
    place.authority.wait_line("the worker ended", since=mark)


def value(samples, name, **labels):
    return samples.get((NAME + name, tuple(sorted(labels.items()))), 0)


def test_what_happened_is_counted(place, client):
    before = scrape(place)
    csr = make_csr(make_key(), bare(client))
    der = client.added(csr)
    assert client.added(csr) == der
    client.listed()
    client.revoke(sha256(der))
    client.revoke("00" * 32)
    client.add(b"no request")
    # the ledger is counted seldom where that takes long
    until(lambda: value(scrape(place), "certificates", state="revoked") > value(before, "certificates", state="revoked"),
          "the revoked are not counted")
    after = scrape(place)

    def more(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)
    for verb, outcome in (("add", "issued"), ("add", "repeated"), ("add", "bad-request"), ("list", "listed"),
                          ("revoke", "revoked"), ("revoke", "item-not-found")):
        assert more("requests_total", verb=verb, outcome=outcome) == 1, (verb, outcome)
    assert more("certificates", state="revoked") == 1
    assert more("certificates", state="valid") == 0
    assert more("accounts") == 1
    assert more("issue_seconds_count") == more("issue_seconds_bucket", le="+Inf") == 1
    assert 0 < more("issue_seconds_sum") < PATIENCE
    assert more("issue_seconds_bucket", le="30") == 1
    assert more("crl_number") == 1
    assert value(after, "ledger_errors_total") == 0
    assert value(after, "component_connected") == value(after, "token_up") == 1
    assert value(after, "pin_refused") == 0
    for name in ("crl_written", "revoked_list_written"):
        assert time.time() - PATIENCE < value(after, name + "_timestamp_seconds") <= time.time()
    week = value(after, "crl_next_update_timestamp_seconds") - value(after, "crl_written_timestamp_seconds")
    assert week == 7 * 86400


def test_the_first_failure_is_an_increase(place):
    """A row that is not there before it counts one never increases, as Prometheus sees it."""
    place.restart_authority()
    samples = scrape(place)
    for verb in ("add", "list", "revoke"):
        labels = (("outcome", "internal-server-error"), ("verb", verb))
        assert samples[NAME + "requests_total", labels] == 0


def test_a_server_that_is_gone_shows(place):
    mark = place.authority.mark()
    place.server.process.stop()
    place.authority.wait_line("trying again in", since=mark)
    assert value(scrape(place), "component_connected") == 0
    place.start_server()
    place.authority.wait_line("connected to", since=mark)
    place.server.wait_delegated(0)
    samples = scrape(place)
    assert value(samples, "component_connected") == 1
    tries = sum("trying again" in line for line in place.authority.said(since=mark))
    assert value(samples, "component_connects_total") == 1 + tries


def test_a_refused_pin_shows(place):
    text = place.authority_conf.read_text()
    pin = place.write("authority/pin", "9999\n", 0o600)
    place.configure(f"pin-file = {place.dir}/pin", f"pin-file = {pin}")
    place.restart_authority()
    try:
        samples = scrape(place)
        assert (value(samples, "token_up"), value(samples, "pin_refused")) == (0, 1)
        assert (NAME + "crl_number", ()) not in samples
        pin.write_text("1234\n")
        place.authority.popen.send_signal(signal.SIGHUP)
        place.authority.wait_line("written again")
        samples = scrape(place)
        assert (value(samples, "token_up"), value(samples, "pin_refused")) == (1, 0)
    finally:
        place.write("authority/authority.conf", text)
        place.restart_authority()


def test_a_token_that_is_pulled_shows_until_it_is_back(place, client):
    tokens = place.dir / "authority/token/tokens"
    tokens.rename(f"{tokens}.gone")
    place.mkdir("authority/token/tokens")
    kill_worker(place)
    assert error_of(client.add(make_csr(make_key(), bare(client)))) == ("wait", "internal-server-error")
    samples = scrape(place)
    assert value(samples, "token_up") == 0
    assert value(samples, "requests_total", verb="add", outcome="internal-server-error") > 0
    tokens.rmdir()
    tokens.with_name("tokens.gone").rename(tokens)
    client.added(make_csr(make_key(), bare(client)))
    assert value(scrape(place), "token_up") == 1


# ---- who asks

def connect(place):
    return socket.create_connection(("127.0.0.1", place.metrics_port), PATIENCE)


def ask(sock, data):
    """Everything that comes back for this."""
    with sock:
        sock.sendall(data)
        answer = b""
        while more := sock.recv(1 << 16):
            answer += more
        return answer


def is_dropped(sock):
    """Waits for what comes: whether it is the end, with nothing said. What was sent and not read makes it a reset."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def sockets(pid):
    """How many a process has; one may be closed meanwhile."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
    return count


@pytest.mark.parametrize("data, status", [
    (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
    (b"GET /metrics HTTP/1.0\n\n", b"200"),
    (b"GET / HTTP/1.0\r\n\r\n", b"404"),
    (b"GET /metricsx HTTP/1.0\r\n\r\n", b"404"),
    (b"POST /metrics HTTP/1.0\r\n\r\n", b"405"),
    (b"get /metrics HTTP/1.0\r\n\r\n", b"405"),
    (b"GET /metrics\r\n\r\n", b"400"),
    (b"GET /metrics HTTP/2\r\n\r\n", b"400"),
    (b"\r\n\r\n", b"400"),
    (b"\0\xff GET\r\n\r\n", b"400"),
    (b"GET /metrics HTTP/1.0\r\nX: " + b"x" * 4100, b"431"),
])
def test_what_is_asked_gets_one_answer(place, data, status):
    answer = ask(connect(place), data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 " + status)
    assert f"Content-Length: {len(body)}".encode() in head
    assert (b"# HELP" in body) == (status == b"200")


def test_a_request_in_pieces_is_a_request(place):
    with connect(place) as sock:
        for piece in (b"GET /met", b"rics HTTP/1.0\r", b"\n\r"):
            sock.sendall(piece)
            time.sleep(0.02)
        assert ask(sock, b"\n").startswith(b"HTTP/1.0 200")


def test_who_says_nothing_or_reads_nothing_is_dropped_and_keeps_nobody_out(place, client):
    silent = [connect(place) for _ in range(30)]
    for sock in silent[::2]:
        sock.sendall(b"GET /metrics HTTP/1.0\r\n")
    assert value(scrape(place), "component_connected") == 1
    client.listed()
    # eight places: who came first has been told to go
    assert all(is_dropped(sock) for sock in silent[:20])
    for sock in silent[20:]:  # their time is over some seconds later
        assert is_dropped(sock)
        sock.close()
    until(lambda: sockets(place.authority.popen.pid) < 8)
    wait_idle(place.authority.popen.pid)


# ---- where it listens

@pytest.mark.parametrize("where", ["0.0.0.0:9633", "192.0.2.1:9633", "[::]:9633", "localhost:9633", "127.0.0.1",
                                   "127.0.0.1:0", "127.0.0.1:65536", "[127.0.0.1]:1", "::1:9633", "metrics.sock",
                                   "/" + "x" * 108])
def test_only_this_machine_is_listened_to(place, where):
    conf = place.write("authority/listen.conf", place.authority_conf.read_text().replace(
        f"listen = 127.0.0.1:{place.metrics_port}", f"listen = {where}"))
    with pytest.raises(Failed) as failed:
        place.run("signet-authority", "--config", conf, "run", env=place.authority_env)
    assert failed.value.status == 2
    assert f"listen = {where} in the section [metrics]: " in failed.value.err


def test_a_port_that_is_taken_is_said(place):
    with pytest.raises(Failed) as failed:
        place.run("signet-authority", "--config", place.authority_conf, "run", env=place.authority_env)
    assert f"cannot listen on 127.0.0.1:{place.metrics_port}: Address already in use" in failed.value.err


def test_a_socket_and_what_was_left_of_it(place):
    path = place.dir / "authority/metrics.sock"
    text = place.authority_conf.read_text()
    place.configure(f"listen = 127.0.0.1:{place.metrics_port}", f"listen = {path}")
    place.restart_authority()
    try:
        for _ in range(2):  # after kill -9 the file is still there
            assert path.stat().st_mode & 0o777 == 0o660
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                assert ask(sock, b"GET /metrics HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200")
            place.restart_authority(signal.SIGKILL)
        place.authority.stop()
        assert not path.exists()
        path.write_text("mine")  # no socket: not ours to remove
        with pytest.raises(Failed) as failed:
            place.run("signet-authority", "--config", place.authority_conf, "run", env=place.authority_env)
        assert f"cannot listen on {path}" in failed.value.err and path.read_text() == "mine"
        path.unlink()
    finally:
        place.write("authority/authority.conf", text)
        place.start_authority()
