"""signet alone, from outside: help, usage, exit statuses and `signet verify`."""
import itertools
import json
import os
import re
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from cli_fixture import (
    b64, BY_EC, BY_RSA, CLIENT, COMMANDS, EC_KEY, EC_USER, flipped, ISSUER, keyinfo, MIB,
    name_of, NS, self_signed, SIGNED, SIGNET, signet, SMALL_ENV, SUBJECT, USER, USER_KEY, VECTORS, verdicts, verify)
from processes import PATIENCE


def test_there_are_the_commands_of_this_version():
    assert sorted(" ".join(c) for c in COMMANDS) == sorted("""token list,token show,token unlock,token lock,token release,
        token pin change,token pin unblock,key new,key list,key show,key use,key pgp add,key pgp list,key pgp remove,csr,sign,verify,account add,account list,account show,account remove,account connect,account disconnect,
        enrol,cert list,cert revoke,cert renew,cert adopt,cert remove,publish,retract,graph,keyring fetch,keyring request,keyring send,keyring list,keyring show,keyring trust,keyring distrust,keyring forget,
        keyring export,keyring import,keyring seen,status,monitor,doctor""".replace("\n", "").replace(" " * 8, "").split(","))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_json(command):
    done = signet(*command, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"Usage: signet {' '.join(command)}") and "--json" in done.stdout
    assert signet("--help", *command).stdout == done.stdout


def test_groups_and_version():
    assert "token unlock" in signet("token", "--help").stdout
    assert re.findall("^  (token.*) TOKEN", signet("token", "--json", "pin", "--help").stdout, re.M) == [
        "token pin change", "token pin unblock"]
    assert re.fullmatch(r"signet \d+\.\d+\.\d+\n", signet("--version").stdout)


@pytest.mark.parametrize("args, says", [
    ([], "which command?"),
    (["token"], "which command of token?"),
    (["tokn", "list"], "did you mean 'token'?"),
    (["token", "lst"], "did you mean 'token list'?"),
    (["token", "pin"], "which command of token pin?"),
    (["token", "pinn", "change", "t"], "did you mean 'token pin'?"),
    (["token", "pin", "chnge", "t"], "did you mean 'token pin change'?"),
    (["token", "pin", "change"], "it takes TOKEN"),
    (["token", "pin change", "t"], "there is no command 'token pin change'"),
    (["token", ""], "there is no command 'token '"),
    (["token", "x" * 100], "there is no command 'token xxx"),
    (["statsu"], "did you mean 'status'?"),
    (["xyzzy"], "there is no command 'xyzzy'"),
    (["--version", "foo"], "one too many: foo"),
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
    (["token", "unlock", "t", "--pin-fd", "2"], "not open for reading"),
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


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in (["verify"], ["doctor"])], ids=" ".join)
def test_without_an_agent_is_status_3(command):
    operands = re.search(r"\[OPTION\]\.\.\.(.*)", signet(*command, "--help").stdout).group(1).split()
    file = VECTORS / ("pgp-rsa.asc" if command[:2] == ["key", "pgp"] else "xep0189-example1-issuer.der")
    args = [file if o == "FILE" else "x" for o in operands if not o.startswith("[")]
    args += ["--account", "a@b"] if command[:2] == ["key", "pgp"] else []
    args += {"key new": ["--token", "t", "--label", "l"], "enrol": ["--key", "k"], "account remove": ["--yes"],
             "cert revoke": ["current", "--yes"], "keyring forget": ["--yes"]}.get(" ".join(command), [])
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


CANNOT_BE_WRITTEN = "standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("args, status", [
    (["--help"], 1), (["--version"], 1), (["verify", "--help"], 1), (["token", "--help"], 1),
    (["--json", "--xyzzy"], 2), (["--json", "xyzzy"], 2), (["status", "--json", "--xyzzy"], 2), (["status", "--json"], 3),
])
def test_output_that_cannot_be_written_is_no_success(args, status):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = signet(*args, stdout=full)
    assert (done.returncode, done.stderr) == (status, "signet: " + CANNOT_BE_WRITTEN)


@pytest.mark.parametrize("option", ["--help", "--version"])
@pytest.mark.parametrize("program", ["signetd", "signet-authority"])
def test_the_other_programs_say_it_too(program, option):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([SIGNET.parent / program, option], env=SMALL_ENV, stdout=full, stderr=subprocess.PIPE,
                              timeout=PATIENCE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"{program}: {CANNOT_BE_WRITTEN}")


def test_a_closed_output_is_no_success(tmp_path):
    for args in (["status", "--json"], ["--version"], ["account", "remove", "a@b", "--yes"]):
        done = subprocess.run(["/bin/sh", "-c", 'exec "$0" "$@" >&-', SIGNET, *args], env=SMALL_ENV, timeout=PATIENCE,
                              stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 1 and "standard output is closed" in done.stderr


def test_a_socket_that_cannot_be_is_told_as_asked_for():
    done = signet("status", "--json", "--socket", "/" + "x" * 200)
    assert done.returncode == 1 and done.stderr == ""
    assert json.loads(done.stdout)["parameters"]["message"].endswith("cannot be used: File name too long")
    done = signet("status", "--socket", "/" + "x" * 200)
    assert done.stderr.startswith("signet: the agent's socket /xxx") and len(done.stderr.splitlines()) == 2


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
    status, reply = verify(tmp_path, "<a>" + "".join(one % i for i in range(19000)) + keyinfo(USER) + "</a>")
    assert status == 7 and len(reply["keys"]) == 19001
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
    evil = self_signed(USER_KEY, "x", "a\x1b]0;owned\x07@example.org")
    text = f"<a>{keyinfo(evil)}{keyinfo(CLIENT, name='&#x9b;31m')}</a>"
    path = tmp_path / "k.xml"
    path.write_text(text)
    done = signet("verify", path)
    assert "\x1b" not in done.stdout + done.stderr and "\x9b" not in done.stdout + done.stderr
    assert "\\u009b31m" in done.stdout and "\\u009b31m" in done.stderr
