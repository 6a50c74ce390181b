"""signet-authority as a systemd service: the unit judged by systemd's own tools, readiness, credentials, and what
comes later than it."""
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from authority_client import Client, bare
from authority_world import AuthorityWorld
from certificates import make_csr, make_key
from processes import PATIENCE, wait_idle
from world import BUILD, TOP, is_sanitized

CREDENTIALS = (("secret-file = ", "authority/component.secret", "secret-credential = secret", "secret"),
               ("pin-file = ", "pin", "pin-credential = pin", "pin"))


@pytest.fixture(scope="module")
def place():
    """A server and the files of an authority that is not started."""
    with AuthorityWorld() as world:
        world.make_pki()
        world.make_authority()
        world.make_server()
        world.start_server()
        yield world


@pytest.fixture(scope="module")
def unit(place):
    """The unit as it is installed."""
    target = place.mkdir("installed")
    subprocess.run(["make", "-s", "-C", TOP, "-o", "all", "install", f"PREFIX={target}", f"BUILD={BUILD}"], check=True)
    path = target / "lib/systemd/system/signet-authority.service"
    assert str(target) in path.read_text()
    return path


def systemd_analyze(*args):
    done = subprocess.run(["systemd-analyze", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "SYSTEMD_COLORS": "0"})
    return done.returncode, done.stdout


def test_systemd_understands_all_of_the_unit(unit):
    status, said = systemd_analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (status, said) == (0, "")


def test_systemd_finds_little_that_the_unit_leaves_open(unit):
    status, said = systemd_analyze("security", "--offline=true", "--threshold=25", str(unit))
    assert status == 0, said


def allowed_calls(name="@system-service"):
    """The system calls of a filter group, with those of its groups."""
    calls = set()
    for word in systemd_analyze("syscall-filter", name)[1].splitlines()[1:]:
        word = word.split("#")[0].strip()
        calls |= allowed_calls(word) if word.startswith("@") else {word}
    return calls - {""}


def credentials(place):
    """A folder as systemd passes it, and a configuration that names what is in it."""
    folder = place.mkdir("credentials")
    text = place.authority_conf.read_text()
    for setting, path, instead, name in CREDENTIALS:
        text = text.replace(f"{setting}{place.dir}/{path}", instead)
        place.write(f"credentials/{name}", (place.dir / path).read_text(), 0o400)
    assert text.count("-credential") == 2
    return place.write("authority/unit.conf", text), folder


def start(place, *before):
    """As the unit starts it: with credentials, and a socket to be told on when it serves."""
    conf, folder = credentials(place)
    path = place.dir / "notify.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.bind(str(path))
        path.chmod(0o666)
        place.authority = place.start(
            "authority-unit", [*before, place.dir / "bin/signet-authority", "--config", conf, "run"],
            dict(place.authority_env, CREDENTIALS_DIRECTORY=str(folder), NOTIFY_SOCKET=str(path)))
        assert sock.recv(100) == b"READY=1"


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer does not work under strace")
def test_it_needs_no_system_call_that_the_unit_forbids(place):
    trace = place.dir / "trace"
    mark = place.server.process.mark()
    start(place, "strace", "-f", "-qq", "-o", trace, "-e", "signal=none")
    place.authority.wait_line("connected to")
    place.server.wait_delegated(mark)
    with Client(place, place.account()) as client:
        client.added(make_csr(make_key(), bare(client)))
        client.listed()
    for pid in re.findall(r"^(\d+) +execve\(.*signet-authority", trace.read_text(), re.M):
        os.kill(int(pid), signal.SIGTERM)
    place.authority.popen.wait(PATIENCE)
    calls = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M))
    assert {"execve", "poll", "pidfd_open"} <= calls
    assert calls - allowed_calls() == set()


def test_it_serves_what_it_can_before_server_and_token_are_there(place):
    tokens = place.dir / "authority/token/tokens"
    place.server.process.stop()
    tokens.rename(f"{tokens}.gone")
    place.mkdir("authority/token/tokens")
    start(place)  # ready all the same
    place.authority.wait_line("cannot reach")
    place.authority.wait_line("could not be written")
    mark = place.authority.mark()
    tokens.rmdir()
    tokens.with_name("tokens.gone").rename(tokens)
    place.start_server()
    place.authority.wait_line("connected to", since=mark)
    place.server.wait_delegated(0)
    with Client(place, place.account()) as client:
        client.added(make_csr(make_key(), bare(client)))
    assert place.authority.stop() == 0


def test_it_tries_the_server_again_less_and_less_often(place):
    """1 s, 2 s, 4 s: no more tries than that, also while the server refuses them at once."""
    place.server.process.stop()
    begin = time.monotonic()
    start(place)
    last = place.authority.wait_line("trying again in 4 s")
    took = time.monotonic() - begin
    said = place.authority.said()
    said = said[:said.index(last) + 1]  # the next try may have been made meanwhile
    assert sum("cannot reach" in line for line in said) == 3 and took >= 3
    assert [int(s) for line in said for s in re.findall(r"trying again in (\d+) s", line)] == [1, 2, 4]
    wait_idle(place.authority.popen.pid, seconds=2)  # asleep between two of them
    mark = place.authority.mark()
    place.start_server()
    place.authority.wait_line("connected to", since=mark)
    # after a connection the pause is a short one again
    mark = place.authority.mark()
    place.server.process.stop()
    place.authority.wait_line("trying again in 1 s", since=mark)
    place.start_server()
    place.authority.wait_line("connected to", since=mark)
    assert place.authority.stop() == 0


def test_the_operator_finds_the_credentials_of_the_unit(place):
    """Without systemd's variable it looks where the unit's are, and says so."""
    conf, _ = credentials(place)
    place.run("signet-authority", "--config", conf, "stats", env=place.authority_env)
    status, _, said = place.run("signet-authority", "--config", conf, "crl", env=place.authority_env, check=False)
    assert status == 4 and "/run/credentials/signet-authority.service/pin: No such file" in said
