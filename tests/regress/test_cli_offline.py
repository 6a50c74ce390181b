"""signet alone, from outside: help, usage, exit statuses, `signet verify`, and what it does with an agent that is
absent, lies or dies. What it does with a real one stands in the other files."""
import array
import base64
import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import termios
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / os.environ.get("BUILD", "build")
SIGNET = BUILD / "bin/signet"
VECTORS = TOP / "tests/unit/vectors"
NS = "urn:xmpp:tmp:pubkey"
MIB = 1 << 20
SMALL_ENV = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")} | {
    "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "SIGNET_SOCK": "/nonexistent/agent.sock"}


def signet(*args, env=None, **more):
    """Runs signet without a terminal."""
    more.setdefault("stdin", subprocess.DEVNULL) if "input" not in more else None
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([SIGNET, *args], env=env or SMALL_ENV, stderr=subprocess.PIPE, text=True, timeout=60,
                          start_new_session=True, **more)


def commands():
    """Every command, out of the program's own help."""
    text = signet("--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    return [re.match(r"  ([a-z]+( [a-z]+)*)", line).group(1).split() for line in text.splitlines()
            if re.match(r"  [a-z]", line)]


COMMANDS = commands()


# ---- help, usage, exit statuses

def test_there_are_the_commands_of_this_version():
    assert sorted(" ".join(c) for c in COMMANDS) == sorted("""token list,token show,token unlock,token lock,key new,key list,
        key show,csr,sign,verify,account add,account list,account show,account remove,account connect,account disconnect,
        enrol,cert list,cert revoke,publish,keyring fetch,status""".replace("\n", "").replace(" " * 8, "").split(","))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_json(command):
    done = signet(*command, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"Usage: signet {' '.join(command)}") and "--json" in done.stdout
    assert signet("--help", *command).stdout == done.stdout


def test_groups_and_version():
    assert "token unlock" in signet("token", "--help").stdout
    assert re.fullmatch(r"signet \d+\.\d+\.\d+\n", signet("--version").stdout)


@pytest.mark.parametrize("args, says", [
    ([], "which command?"),
    (["token"], "which command of token?"),
    (["tokn", "list"], "did you mean 'token'?"),
    (["token", "lst"], "did you mean 'token list'?"),
    (["statsu"], "did you mean 'status'?"),
    (["xyzzy"], "there is no command 'xyzzy'"),
    (["status", "--jason"], "did you mean '--json'?"),
    (["status", "extra"], "one too many: extra"),
    (["token", "show"], "it takes TOKEN"),
    (["csr", "key"], "it takes KEY JID"),
    (["key", "new", "--label", "x"], "needs the option --token"),
    (["key", "new", "--token", "t", "--label", "x", "--user"], "belong together"),
    (["key", "new", "--token", "t", "--label", "x", "--account", "a@b"], "belong together"),
    (["status", "--json=1"], "takes no argument"),
    (["status", "--socket"], "needs an argument"),
    (["status", "--socket", "a", "--socket", "b"], "given twice"),
    (["status", "--cafile", "x"], "no option '--cafile' here"),
    (["account", "add", "a@b", "--port", "70000"], "no port"),
    (["account", "add", "a@b", "--tls", "none"], "no TLS mode 'none'"),
    (["account", "add", "a@b", "--cafile", "/nonexistent"], "cannot be found"),
    (["account", "add", "a@b", "--cafile", "/etc/passwd"], "no certificate in PEM"),
    (["account", "remove", "a@b"], "nobody can be asked"),
    (["cert", "revoke", "a@b", "00", "--batch"], "nobody can be asked"),
    (["token", "unlock", "t", "--pin-fd", "77"], "no open descriptor"),
    (["token", "unlock", "t", "--pin-fd", "0", "--pin-file", "x"], "two sources"),
    (["token", "unlock", "t", "--pin-fd", "0"], "cannot be read from descriptor 0"),  # /dev/null
    (["token", "unlock", "t", "--pin-file", "/nonexistent"], "cannot be read"),
    (["token", "unlock", "pkcs11:token=t?pin-value=1234"], "holds a PIN"),
    (["token", "unlock", "pkcs11:token=t?pin-source=|cat"], "not a file:"),
    (["verify", "x", "--at", "yesterday"], "is no time"),
    (["verify", "x", "--at", "2026-02-31"], "is no time"),
    (["key", "show", b"\xff\xfe"], "not valid UTF-8"),
])
def test_usage_errors_are_said_and_are_status_2(args, says):
    done = signet(*args)
    assert done.returncode == 2 and done.stdout == ""
    assert says in done.stderr and done.stderr.startswith("signet: ") and len(done.stderr.splitlines()) == 2
    assert "1234" not in done.stderr
    done = signet(*args[:1], "--json", *args[1:]) if args else signet("--json")
    assert done.returncode == 2 and done.stderr == ""
    reply = json.loads(done.stdout)
    assert reply["error"] == "ArgumentWrong" and says in reply["parameters"]["message"]
    assert reply["parameters"]["advice"]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != ["verify"]], ids=" ".join)
def test_without_an_agent_is_status_3(command):
    operands = re.search(r"\[OPTION\]\.\.\.(.*)", signet(*command, "--help").stdout).group(1).split()
    args = ["x" for o in operands if not o.startswith("[")]
    args += {"key new": ["--token", "t", "--label", "l"], "enrol": ["--key", "k"], "account remove": ["--yes"],
             "cert revoke": ["--yes"]}.get(" ".join(command), [])
    done = signet(*command, *args)
    assert done.returncode == 3 and done.stdout == ""
    assert "no agent listens on /nonexistent/agent.sock" in done.stderr
    reply = json.loads(signet(*command, *args, "--json", "--batch").stdout)
    assert reply["error"] == "AgentAbsent"


def test_the_socket_is_found_as_documented(tmp_path):
    def where(**env):
        return signet("status", env={k: v for k, v in SMALL_ENV.items() if k != "SIGNET_SOCK"} | env).stderr
    assert f"{tmp_path}/signet/agent.sock" in where(XDG_RUNTIME_DIR=str(tmp_path))
    assert f"/run/user/{os.getuid()}/signet/agent.sock" in where()
    assert "/a/b" in where(SIGNET_SOCK="/a/b", XDG_RUNTIME_DIR=str(tmp_path))
    assert "/c/d" in signet("status", "--socket", "/c/d").stderr


def test_output_that_cannot_be_written_is_no_success():
    with open("/dev/full", "w", encoding="ascii") as full:
        assert signet("--help", stdout=full).returncode == 1
        done = signet("verify", "--help", stdout=full)
        assert done.returncode == 1 and "cannot be written" in done.stderr


def test_a_closed_output_is_no_success(tmp_path):
    for args in (["status", "--json"], ["--version"], ["account", "remove", "a@b", "--yes"]):
        done = subprocess.run(["/bin/sh", "-c", 'exec "$0" "$@" >&-', SIGNET, *args], env=SMALL_ENV, timeout=60,
                              stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 1 and "standard output is closed" in done.stderr


def test_a_socket_that_cannot_be_is_told_as_asked_for():
    done = signet("status", "--json", "--socket", "/" + "x" * 200)
    assert done.returncode == 1 and done.stderr == ""
    assert json.loads(done.stdout)["parameters"]["message"].endswith("cannot be used: File name too long")
    done = signet("status", "--socket", "/" + "x" * 200)
    assert done.stderr.startswith("signet: the agent's socket /xxx") and len(done.stderr.splitlines()) == 2


# ---- keys and keyinfos to judge

def name_of(der):
    return hashlib.sha1(der).hexdigest()


def b64(data):
    return base64.b64encode(data).decode()


def keyinfo(der, *signatures, name=None, data=None):
    """A keyinfo with signatures of (issuer's DER, method, value)."""
    signed = "".join(f"<signature><issuer>{name_of(i)}</issuer><value method='{m}'>{b64(v)}</value></signature>"
                     for i, m, v in signatures)
    return f"<keyinfo xmlns='{NS}'><name>{name or name_of(der)}</name>" \
           f"<x509cert>{b64(der) if data is None else data}</x509cert>{signed}</keyinfo>"


def certificate(key, common_name, jid=None, days=30):
    """A self-signed certificate as DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.utcnow()
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(
        x509.random_serial_number()).not_valid_before(now - timedelta(days=60)).not_valid_after(
        now + timedelta(days=days))
    if jid:
        utf8 = jid.encode()
        other = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5"), b"\x0c" + bytes([len(utf8)]) + utf8)
        made = made.add_extension(x509.SubjectAlternativeName([other]), critical=False)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


ISSUER = (VECTORS / "xep0189-example1-issuer.der").read_bytes()
SUBJECT = (VECTORS / "xep0189-example3-subject.der").read_bytes()
SIGNED = (ISSUER, "RSA-SHA1", (VECTORS / "xep0189-example3-rsa-sha1.sig").read_bytes())
USER_KEY = rsa.generate_private_key(65537, 2048)
USER = certificate(USER_KEY, "user", "juliet@example.org")
EC_KEY = ec.generate_private_key(ec.SECP256R1())
EC_USER = certificate(EC_KEY, "ec user", "romeo@example.org")
CLIENT = certificate(rsa.generate_private_key(65537, 2048), "client", "juliet@example.org")
BY_RSA = (USER, "RSA-SHA256", USER_KEY.sign(CLIENT, padding.PKCS1v15(), hashes.SHA256()))
BY_EC = (EC_USER, "ECDSA-SHA256", EC_KEY.sign(CLIENT, ec.ECDSA(hashes.SHA256())))


def verify(tmp_path, text, *args):
    """The outcome of verifying this text: (status, object)."""
    path = tmp_path / "keyinfo.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = signet("verify", path, "--json", *args)
    assert done.stderr == "", done.stderr
    reply = json.loads(done.stdout)
    assert (done.returncode == 0) == ("error" not in reply)
    if done.returncode:
        assert done.returncode == 7 and reply["error"] == "KeyinfoRefused"
        people = signet("verify", path, *args)
        assert people.returncode == 7 and people.stderr.startswith(f"signet: {reply['parameters']['message']}\n")
    return done.returncode, reply


def verdicts(reply):
    return [[s["verdict"] for s in key["signatures"]] for key in reply["keys"]]


def flipped(data, at):
    """The bytes with one bit turned."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def test_the_documents_own_signature_verifies(tmp_path):
    issuer = tmp_path / "issuer"
    pem = subprocess.run(["openssl", "x509", "-inform", "DER"], input=ISSUER, capture_output=True, check=True).stdout
    for form in (ISSUER, pem, keyinfo(ISSUER).encode(), b"\n" + pem + pem):
        issuer.write_bytes(form)
        status, reply = verify(tmp_path, keyinfo(SUBJECT, SIGNED), "--issuer", issuer)
        assert status == 0 and verdicts(reply) == [["good"]]
        assert reply["keys"][0]["grade"] == "sha1" and reply["sha1_only"] and reply["keys"][0]["expired"]
        assert not reply["issuer_from_file"]
    done = signet("verify", tmp_path / "keyinfo.xml", "--issuer", issuer)
    assert done.returncode == 0 and "SHA-1 only" in done.stdout and name_of(SUBJECT) in done.stdout
    assert not verify(tmp_path, keyinfo(SUBJECT, SIGNED), "--issuer", issuer, "--at", "2008-10-01")[1]["keys"][0]["expired"]
    assert verify(tmp_path, keyinfo(SUBJECT, SIGNED), "--issuer", issuer, "--at", "2008-09-01T00:00:00Z")[1]["keys"][0]["expired"]


@pytest.mark.parametrize("at", [0, 17, 127])
def test_one_flipped_bit_of_the_signature_is_bad(tmp_path, at):
    bad = (ISSUER, "RSA-SHA1", flipped(SIGNED[2], at))
    status, reply = verify(tmp_path, f"<pubkeys xmlns='{NS}'>{keyinfo(SUBJECT, bad)}{keyinfo(ISSUER)}</pubkeys>")
    assert status == 7 and verdicts(reply) == [["bad"], []] and reply["keys"][0]["grade"] == "bad"
    assert "is bad" in reply["parameters"]["message"] and name_of(SUBJECT) in reply["parameters"]["message"]


def test_one_flipped_bit_of_the_certificate_or_name_is_refused(tmp_path):
    other = flipped(SUBJECT, -1)
    for text in (keyinfo(SUBJECT, SIGNED, data=b64(other)), keyinfo(SUBJECT, SIGNED, name="0" + name_of(SUBJECT)[1:])):
        status, reply = verify(tmp_path, f"<pubkeys xmlns='{NS}'>{text}{keyinfo(ISSUER)}</pubkeys>")
        assert status == 7 and len(reply["refused"]) == 1 and len(reply["keys"]) == 1
        assert reply["refused"][0]["reason"] and reply["refused"][0]["name"]
    # The name made right again: then it is the signature that does not fit.
    status, reply = verify(tmp_path, f"<x>{keyinfo(other, SIGNED)}{keyinfo(ISSUER)}</x>")
    assert status == 7 and verdicts(reply) == [["bad"], []]


def test_methods_and_grades(tmp_path):
    both = f"<pubkeys xmlns='{NS}'>{keyinfo(CLIENT, BY_RSA, BY_EC)}{keyinfo(USER)}{keyinfo(EC_USER)}</pubkeys>"
    status, reply = verify(tmp_path, both)
    assert status == 0 and verdicts(reply) == [["good", "good"], [], []]
    assert reply["keys"][0]["grade"] == "sha256" and not reply["sha1_only"] and reply["issuer_from_file"]
    assert [k["jids"] for k in reply["keys"]] == [["juliet@example.org"]] * 2 + [["romeo@example.org"]]
    done = signet("verify", tmp_path / "keyinfo.xml")
    assert "SHA-256" in done.stdout and "came with the file itself" in done.stdout
    unknown = (USER, "DSA-SHA1", b"x")
    status, reply = verify(tmp_path, f"<a>{keyinfo(CLIENT, BY_RSA, unknown)}{keyinfo(USER)}</a>")
    assert status == 0 and verdicts(reply)[0] == ["good", "unknown_method"]
    # One bad signature is not outweighed by a good one.
    bad = (EC_USER, "ECDSA-SHA256", EC_KEY.sign(USER, ec.ECDSA(hashes.SHA256())))
    status, reply = verify(tmp_path, f"<a>{keyinfo(CLIENT, BY_RSA, bad)}{keyinfo(USER)}{keyinfo(EC_USER)}</a>")
    assert status == 7 and verdicts(reply)[0] == ["good", "bad"]


@pytest.mark.parametrize("text, says", [
    (keyinfo(CLIENT), "unsigned"),
    (keyinfo(CLIENT, BY_RSA), "not at hand"),
    (f"<a>{keyinfo(CLIENT, (USER, 'ROT13', b'x'))}{keyinfo(USER)}</a>", "method is unknown"),
    (keyinfo(USER, (USER, "RSA-SHA256", USER_KEY.sign(USER, padding.PKCS1v15(), hashes.SHA256()))), "by itself"),
    ("<a/>", "no keyinfo"),
    (keyinfo(CLIENT).replace(NS, "urn:other"), "no keyinfo"),
    (f"<keyinfo xmlns='{NS}'><name>{'0' * 40}</name></keyinfo>", "unsigned"),
    ("", "not well-formed"),
    ("<a>", "not well-formed"),
    ("no XML", "not well-formed"),
    ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "not well-formed"),
    (b"<a>\xff</a>", "not well-formed"),
    (f"<a>{keyinfo(CLIENT, BY_EC)}{keyinfo(EC_USER)}</a>".encode("utf-16"), "not well-formed"),
    ("<a>" * 40 + "</a>" * 40, "too large or too deep"),
    ("<a>" + "<b/>" * 250000 + "</a>", "too large or too deep"),
    (keyinfo(CLIENT, data="!!!!"), "refused"),
    (keyinfo(CLIENT, data=b64(os.urandom(300000))), "refused"),
    (keyinfo(CLIENT, data=b64(b"\x30" + os.urandom(99))), "refused"),
    (keyinfo(CLIENT, data=""), "refused"),
    (keyinfo(CLIENT).replace("</x509cert>", f"</x509cert><x509cert>{b64(USER)}</x509cert>"), "more than one key"),
    (keyinfo(CLIENT, BY_RSA).replace("<value method='RSA-SHA256'>", "<value method='RSA-SHA256'>!"), "1 cannot be read"),
    (f"<items><item id='{'0' * 40}'>{keyinfo(CLIENT)}</item></items>", "id of its item"),
], ids=itertools.count())
def test_what_does_not_verify_says_why(tmp_path, text, says):
    status, reply = verify(tmp_path, text)
    assert status == 7 and says in reply["parameters"]["message"]


def test_items_and_events_are_looked_through(tmp_path):
    text = f"""<message xmlns='jabber:client'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{NS}'>
        <item id='{name_of(CLIENT)}'>{keyinfo(CLIENT, BY_RSA)}</item></items></event></message>"""
    issuer = tmp_path / "user.der"
    issuer.write_bytes(USER)
    assert verify(tmp_path, text, "--issuer", issuer)[0] == 0
    done = signet("verify", "-", "--issuer", issuer, input=text)
    assert done.returncode == 0


def test_the_id_of_an_item_may_be_upper_case(tmp_path):
    text = f"<items><item id='{name_of(CLIENT).upper()}'>{keyinfo(CLIENT, BY_RSA)}</item>{keyinfo(USER)}</items>"
    assert verify(tmp_path, text)[0] == 0


def test_a_signature_that_cannot_be_read_is_dropped_and_told(tmp_path):
    """The key and its other signatures are kept (K6)."""
    broken = keyinfo(CLIENT, BY_RSA, BY_EC).replace("<value method='RSA-SHA256'>", "<value method='RSA-SHA256'>!")
    status, reply = verify(tmp_path, f"<a>{broken}{keyinfo(EC_USER)}</a>")
    assert status == 0 and verdicts(reply) == [["good"], []] and [k["dropped"] for k in reply["keys"]] == [1, 0]
    assert "1 cannot be read, and dropped" in signet("verify", tmp_path / "keyinfo.xml").stdout
    assert verify(tmp_path, f"<a>{broken}{keyinfo(USER)}</a>")[0] == 7


def test_issuers_that_are_none_are_refused(tmp_path):
    issuer = tmp_path / "issuer"
    for data in (b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"<a/>",
                 USER + b"trailing", keyinfo(USER, name="0" * 40).encode(), b"\x30" * 300000, b"\x30" * (10 * MIB)):
        issuer.write_bytes(data)
        status, reply = verify(tmp_path, keyinfo(CLIENT, BY_RSA), "--issuer", issuer)
        assert status == 7 and str(issuer) in reply["parameters"]["message"] and "keys" not in reply
    assert signet("verify", tmp_path / "keyinfo.xml", "--issuer", tmp_path / "absent").returncode == 1


def test_files_over_the_limit_are_not_read(tmp_path):
    big = tmp_path / "big.xml"
    big.write_bytes(b"<a>" + b" " * (12 * MIB) + b"</a>")
    done = signet("verify", big)
    assert done.returncode == 7 and "larger than" in done.stderr
    with open("/dev/zero", "rb") as endless:
        assert signet("verify", "-", stdin=endless).returncode == 7


def test_many_keys_do_not_take_for_ever(tmp_path):
    head = f"<signature><issuer>{name_of(USER)}</issuer><value method='x'>AAAA</value></signature>"
    one = f"<keyinfo xmlns='{NS}'><name>%040x</name>{head}</keyinfo>"
    started = time.monotonic()
    status, reply = verify(tmp_path, "<a>" + "".join(one % i for i in range(19000)) + keyinfo(USER) + "</a>")
    assert status == 7 and len(reply["keys"]) == 19001 and time.monotonic() - started < 30
    status, reply = verify(tmp_path, "<a>" + f"<keyinfo xmlns='{NS}'/>" * 20001 + "</a>")
    assert status == 7 and "too many keys" in reply["parameters"]["message"]


def test_signatures_over_the_limit_are_not_checked(tmp_path):
    many = keyinfo(CLIENT, *[BY_EC] * 9999)
    text = f"<a>{many}{many}{keyinfo(CLIENT, *[BY_EC] * 3)}{keyinfo(EC_USER)}</a>"
    path = tmp_path / "keys.xml"
    path.write_text(text)
    done = signet("verify", path, "--json")
    reply = json.loads(done.stdout)
    assert done.returncode == 7 and reply["error"] == "LimitExceeded"
    assert "more than 20000 signatures" in reply["parameters"]["message"] and "; 1 were" in reply["parameters"]["message"]
    assert verdicts(reply)[2] == ["good", "good", "unchecked"]
    assert "not checked" in signet("verify", path).stdout


def test_text_of_others_cannot_move_the_terminal(tmp_path):
    evil = certificate(USER_KEY, "x", "a\x1b]0;owned\x07@example.org")
    text = f"<a>{keyinfo(evil)}{keyinfo(CLIENT, name='&#x9b;31m')}</a>"
    path = tmp_path / "k.xml"
    path.write_text(text)
    done = signet("verify", path)
    assert "\x1b" not in done.stdout + done.stderr and "\x9b" not in done.stdout + done.stderr
    assert "\\u009b31m" in done.stdout and "\\u009b31m" in done.stderr


# ---- an agent that is not what it should be

class Rogue(threading.Thread):
    """Listens as an agent would, and answers each call by the next of the scripted replies."""

    def __init__(self, tmp_path, *replies):
        super().__init__(daemon=True)
        self.path = str(tmp_path / "rogue.sock")
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        self.replies, self.calls, self.secrets = replies, [], []
        self.start()

    def run(self):
        conn, _ = self.server.accept()
        for reply in self.replies:
            data, fds = b"", array.array("i")
            while not data.endswith(b"\0"):
                part, control, _, _ = conn.recvmsg(65536, socket.CMSG_SPACE(16))
                if not part:
                    return
                data += part
                for _, _, cdata in control:
                    fds.frombytes(cdata)
            self.calls.append(json.loads(data[:-1]))
            self.secrets.append([os.fdopen(fd, "rb").read() for fd in fds])
            if callable(reply):
                reply(conn)
            elif reply is not None:
                with contextlib.suppress(BrokenPipeError):
                    conn.sendall(reply if isinstance(reply, bytes) else json.dumps(reply).encode() + b"\0")
        conn.close()

    def signet(self, *args, **more):
        done = signet(*args, "--socket", self.path, **more)
        self.join(10)
        return done


def error(name, **parameters):
    return {"error": f"org.signet.Agent.{name}", "parameters": {"message": "it is so", "advice": "Do that."} | parameters}


@pytest.mark.parametrize("name, status", [
    ("Internal", 1), ("ArgumentWrong", 2), ("TokenAbsent", 3), ("PinWrong", 4), ("TokenFailed", 5), ("WorkerDied", 5),
    ("TlsFailed", 6), ("CertificateRefused", 7), ("Denied", 8), ("NeverHeardOf", 1)])
def test_errors_become_statuses(tmp_path, name, status):
    done = Rogue(tmp_path, error(name)).signet("status")
    assert done.returncode == status and done.stdout == ""
    assert done.stderr == "signet: it is so\nDo that.\n"


def test_candidates_and_tries_are_shown(tmp_path):
    reply = error("KeyAmbiguous", candidates=["pkcs11:object=a", "pkcs11:object=\x1b[31m"], subject="x")
    done = Rogue(tmp_path, reply).signet("key", "show", "x")
    assert done.returncode == 3
    assert done.stderr.splitlines()[2:] == ["  pkcs11:object=a", "  pkcs11:object=\\x1b[31m"]
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, error("PinWrong", tries_left=2)).signet("token", "unlock", "x")
    assert "Tries left: 2" in done.stderr
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, reply).signet("key", "show", "x", "--json")
    assert json.loads(done.stdout) == {"error": "KeyAmbiguous", "parameters": reply["parameters"]} and done.stderr == ""


@pytest.mark.parametrize("reply, status", [
    (None, 3), (b"", 3), (b"{\"parameters\":", 3), (b"nonsense\0", 7), (b"[]\0", 7), (b"\xff\0", 7), (b"{" * 40 + b"\0", 7),
    (b"x" * (2 * MIB), 7), (b"{\"parameters\":[]}\0", 7), ({"parameters": {}}, 0), ({}, 0),
    ({"parameters": {"tokens": 7, "accounts": [7, None], "workers": [{"pid": "x"}]}}, 0),
    ({"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "x"}}, 1)],
    ids=itertools.count())
def test_nonsense_from_the_agent_is_survived(tmp_path, reply, status):
    done = Rogue(tmp_path, reply).signet("status")
    assert done.returncode == status, done.stderr
    assert (status == 0) == (done.stderr == "")


def test_the_agents_text_cannot_move_the_terminal(tmp_path):
    evil = "\x1b]0;owned\x07\u009b31m\u202e"
    token = {"label": evil, "serial": evil, "uri": evil, "pin": evil, "unlocked": False}
    done = Rogue(tmp_path, {"parameters": {"tokens": [token]}}).signet("token", "list")
    assert done.returncode == 0 and not set("\x1b\x07\u009b\u202e") & set(done.stdout)


def test_what_is_sent(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_bytes(subprocess.run(["openssl", "x509", "-inform", "DER"], input=USER, capture_output=True, check=True).stdout)
    rogue = Rogue(tmp_path, {"parameters": {}})
    done = rogue.signet("account", "add", "--port", "5222", "juliet@example.org", "--cafile", "ca.pem", "--tls", "direct",
                        cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rogue.calls == [{"method": "org.signet.Agent.AddAccount", "parameters": {
        "jid": "juliet@example.org", "port": 5222, "tls": "direct", "cafile": str(ca)}}]


def test_pins_travel_as_descriptors_only(tmp_path):
    pin = tmp_path / "my pin"
    pin.write_text("1234\n")
    pin.chmod(0o600)
    uri = f"pkcs11:token=t?module-path=/evil.so&pin-source=file:{tmp_path}/my%20pin"
    for args, more in ((("t", "--pin-file", pin), {}), (("t", "--pin-fd", "0"), {"input": "1234\n"}), ((uri,), {})):
        rogue = Rogue(tmp_path, {"parameters": {"token": {"label": "t", "unlocked": True}}})
        done = rogue.signet("token", "unlock", *args, **more)
        assert done.returncode == 0, done.stderr
        assert rogue.calls[0]["parameters"] == {"token": uri.split("?")[0] if args[0] == uri else "t", "pin": {"fd": 0}}
        assert rogue.secrets == [[b"1234\n"]]
        (tmp_path / "rogue.sock").unlink()
    pin.chmod(0o644)
    done = signet("token", "unlock", "t", "--pin-file", pin)
    assert done.returncode == 8 and "open to others" in done.stderr


def test_a_pipe_that_nobody_writes_to_is_the_agents_to_wait_for(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    rogue = Rogue(tmp_path, error("TimedOut"))
    done = rogue.signet("token", "unlock", "t", "--pin-file", fifo)
    assert done.returncode == 5 and rogue.calls[0]["parameters"]["pin"] == {"fd": 0}


def test_a_silent_agent_is_told_of(tmp_path):
    """Who waits without a terminal hears of it once; an interrupt ends the waiting."""
    ready = threading.Event()
    rogue = Rogue(tmp_path, lambda conn: ready.wait(60))
    asking = subprocess.Popen([SIGNET, "token", "list", "--socket", rogue.path], env=SMALL_ENV, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert asking.stderr.readline() == "signet: the agent has not answered yet; still waiting for the token\n"
    asking.send_signal(signal.SIGINT)
    assert asking.wait(20) == -signal.SIGINT and asking.communicate() == ("", "")
    ready.set()


def test_pin_and_password_together(tmp_path):
    for name in ("pin", "password"):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o400)
    rogue = Rogue(tmp_path, {"parameters": {}})
    done = rogue.signet("account", "connect", "a@b", "--password-file", tmp_path / "password", "--pin-file", tmp_path / "pin")
    assert done.returncode == 0, done.stderr
    sent = rogue.calls[0]["parameters"]
    assert rogue.secrets[0][sent["pin"]["fd"]] == b"pin" and rogue.secrets[0][sent["password"]["fd"]] == b"password"


def test_pinentry_is_offered_only_where_a_person_may_be(tmp_path):
    display = SMALL_ENV | {"DISPLAY": ":9"}
    for env, args, offered in ((SMALL_ENV, [], False), (display, [], True), (display, ["--batch"], False)):
        rogue = Rogue(tmp_path, {"parameters": {}})
        rogue.signet("csr", "key", "a@b", *args, env=env)
        assert ("pin" in rogue.calls[0]["parameters"]) == offered
        assert not offered or rogue.calls[0]["parameters"]["pin"]["pinentry"]["display"] == ":9"
        (tmp_path / "rogue.sock").unlink()


def test_a_request_is_written_whole_or_not_at_all(tmp_path):
    out = tmp_path / "csr.der"
    done = Rogue(tmp_path, {"parameters": {"csr": b64(b"request")}}).signet("csr", "key", "a@b", "--out", out)
    assert done.returncode == 0 and out.read_bytes() == b"request" and out.stat().st_mode & 0o777 == 0o644
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, {"parameters": {"csr": b64(b"request")}}).signet("csr", "key", "a@b")
    assert done.stdout == f"-----BEGIN CERTIFICATE REQUEST-----\n{b64(b'request')}\n-----END CERTIFICATE REQUEST-----\n"
    (tmp_path / "rogue.sock").unlink()
    out.write_bytes(b"old")
    done = Rogue(tmp_path, error("TokenFailed")).signet("csr", "key", "a@b", "--out", out)
    assert done.returncode == 5 and out.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    # Found before anything is asked of the agent.
    done = signet("csr", "key", "a@b", "--out", tmp_path / "no/such/folder")
    assert done.returncode == 1 and "cannot be written" in done.stderr


def test_progress_is_told_and_the_result_is_alone_on_stdout(tmp_path):
    def enrol(conn):
        for text in ("one", "two"):
            conn.sendall(json.dumps({"continues": True, "parameters": {"step": text, "text": text}}).encode() + b"\0")
        conn.sendall(json.dumps({"parameters": {"step": "done", "text": "three", "certificate": {
            "name": "n", "der": b64(b"der")}}}).encode() + b"\0")
    out = tmp_path / "c.der"
    rogue = Rogue(tmp_path, enrol)
    done = rogue.signet("enrol", "a@b", "--key", "k", "--out", out)
    assert done.returncode == 0 and done.stderr == "signet: one\nsignet: two\n" and out.read_bytes() == b"der"
    assert rogue.calls[0]["more"] is True
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, enrol).signet("enrol", "a@b", "--key", "k", "--json")
    assert json.loads(done.stdout)["certificate"]["name"] == "n" and done.stderr == ""


def test_fetched_keys_are_written_and_judged(tmp_path):
    account = {"parameters": {"accounts": [{"jid": "me@example.org"}]}}
    def key(text, grade):
        return {"name": name_of(CLIENT), "kind": "x509", "jids": [], "keyinfo": text, "grade": grade, "expired": False,
                "signatures": []}
    good, bad = key(keyinfo(CLIENT, BY_RSA), "sha256"), key(keyinfo(USER), "bad")
    out = tmp_path / "out.xml"
    for keys, status in (([good], 0), ([good, good], 0), ([good, bad], 7)):
        rogue = Rogue(tmp_path, account, {"parameters": {"keys": keys, "refused": 0}})
        done = rogue.signet("keyring", "fetch", "juliet@example.org", "--out", out)
        assert done.returncode == status, done.stderr
        assert rogue.calls[1]["parameters"] == {"jid": "me@example.org", "from": "juliet@example.org"}
        assert out.read_text().startswith("<keyinfo" if len(keys) == 1 else "<pubkeys")
        read = json.loads(signet("verify", out, "--json").stdout)
        assert len(read["keys"]) == len(keys) and read["refused"] == []
        (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, {"parameters": {"accounts": [{"jid": "a@b"}, {"jid": "c@d"}]}}).signet("keyring", "fetch", "x@y")
    assert done.returncode == 2 and "--account" in done.stderr


# ---- on a terminal

class Terminal:
    """A program on a terminal of its own. The other end stays open here too, so that nothing shown is lost."""
    END = "-- end --"

    def __init__(self, *args, program=SIGNET):
        try:
            self.fd, self.other = pty.openpty()
        except OSError as why:
            pytest.skip(f"no terminal can be made ({why}): is /dev/pts mounted?")
        self.text = ""
        self.popen = subprocess.Popen([program, *args], env=SMALL_ENV | {"TERM": "dumb"}, stdin=self.other,
                                      stdout=self.other, stderr=self.other, preexec_fn=self._take)

    @staticmethod
    def _take():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background passes it on ignored
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def wait(self, text, timeout=20):
        deadline = time.monotonic() + timeout
        while text not in self.text:
            assert select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0], self.text
            self.text += os.read(self.fd, 4096).decode()

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """The exit status, and all that was shown."""
        status = self.popen.wait(20)
        self.echo = bool(termios.tcgetattr(self.other)[3] & termios.ECHO)
        os.write(self.other, self.END.encode())
        self.wait(self.END)
        os.close(self.other)
        os.close(self.fd)
        return status, self.text.replace(self.END, "")


def test_a_password_is_asked_for_once_without_echo(tmp_path):
    rogue = Rogue(tmp_path, error("PasswordNeeded"), error("LoginRefused"))
    shown = Terminal("account", "connect", "a@b", "--socket", rogue.path)
    shown.wait("Password of a@b: ")
    shown.type("s3cret\n")
    status, text = shown.end()
    rogue.join(10)
    assert status == 4 and "s3cret" not in text and text.count("Password of") == 1
    assert len(rogue.calls) == 2 and "password" not in rogue.calls[0]["parameters"]
    assert rogue.secrets[1] == [b"s3cret"] and rogue.calls[1]["parameters"]["password"] == {"fd": 0}
    assert rogue.calls[1]["parameters"]["pin"]["pinentry"]["ttyname"].startswith("/dev/pts/")


@pytest.mark.parametrize("typed", ["\n", "x" * 300 + "\n", "\x04"])
def test_no_password_is_no_second_call(tmp_path, typed):
    rogue = Rogue(tmp_path, error("PasswordNeeded"), None)
    shown = Terminal("account", "connect", "a@b", "--socket", rogue.path)
    shown.wait("Password of a@b: ")
    shown.type(typed)
    assert shown.end()[0] == 4 and len(rogue.calls) == 1


def test_an_interrupt_gives_the_terminal_back(tmp_path):
    rogue = Rogue(tmp_path, error("PasswordNeeded"), None)
    shown = Terminal("account", "connect", "a@b", "--socket", rogue.path)
    shown.wait("Password of a@b: ")
    assert not termios.tcgetattr(shown.other)[3] & termios.ECHO
    shown.type("half\x03")
    status, text = shown.end()
    assert status == -signal.SIGINT and shown.echo and "half" not in text and len(rogue.calls) == 1


def test_batch_asks_nothing(tmp_path):
    rogue = Rogue(tmp_path, error("PasswordNeeded"), None)
    status, text = Terminal("account", "connect", "a@b", "--batch", "--socket", rogue.path).end()
    assert status == 4 and "Password of" not in text and len(rogue.calls) == 1
    assert "pin" not in rogue.calls[0]["parameters"]


@pytest.mark.parametrize("answer, status", [("yes\n", 0), ("y\n", 8), ("\n", 8), ("yes indeed, by all means\n", 8)])
def test_removal_asks_for_a_whole_yes(tmp_path, answer, status):
    rogue = Rogue(tmp_path, {"parameters": {}})
    shown = Terminal("account", "remove", "a@b", "--socket", rogue.path)
    shown.wait("Type 'yes': ")
    shown.type(answer)
    assert shown.end()[0] == status and len(rogue.calls) == (status == 0)


def test_json_asks_nobody_for_a_yes(tmp_path):
    status, text = Terminal("account", "remove", "a@b", "--json", "--socket", str(tmp_path / "none")).end()
    assert status == 2 and "Type 'yes'" not in text and json.loads(text)["error"] == "ArgumentWrong"


def test_a_long_call_says_what_it_waits_for(tmp_path):
    ready = threading.Event()

    def late(conn):
        ready.wait(20)
        conn.sendall(b'{"parameters":{"tokens":[]}}\0')
    rogue = Rogue(tmp_path, late)
    shown = Terminal("token", "list", "--socket", rogue.path)
    shown.wait("waiting for the token...")
    ready.set()
    status, text = shown.end()
    assert status == 0 and "There is no token." in text


def test_nothing_is_written_into_a_prompt_of_the_agents(tmp_path):
    asked, ready = threading.Event(), threading.Event()

    def late(conn):
        asked.set()
        ready.wait(20)
        conn.sendall(b'{"parameters":{"token":{"label":"t","unlocked":true}}}\0')
    rogue = Rogue(tmp_path, late)
    shown = Terminal("token", "unlock", "t", "--socket", rogue.path)
    # As a pinentry on this terminal does: no echo while it reads.
    taken = termios.tcgetattr(shown.other)
    taken[3] &= ~termios.ECHO
    termios.tcsetattr(shown.other, termios.TCSANOW, taken)
    assert asked.wait(20) and not select.select([shown.fd], [], [], 2.5)[0]
    ready.set()
    status, text = shown.end()
    assert status == 0 and text == "Token 't' is unlocked.\r\n"
