"""signet on a terminal: what it asks, what it hides, and what an interrupt leaves."""
import json
import select
import signal
import termios
import threading

import pytest

from cli_fixture import error, Rogue, Terminal
from processes import PATIENCE


def test_a_password_is_asked_for_once_without_echo(tmp_path):
    rogue = Rogue(tmp_path, error("PasswordNeeded"), error("LoginRefused"))
    shown = Terminal("account", "connect", "a@b", "--socket", rogue.path)
    shown.wait("Password of a@b: ")
    shown.type("s3cret\n")
    status, text = shown.end()
    rogue.join(PATIENCE)
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
        ready.wait(PATIENCE)
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
        ready.wait(PATIENCE)
        conn.sendall(b'{"parameters":{"token":{"label":"t","unlocked":true}}}\0')
    rogue = Rogue(tmp_path, late)
    # As a pinentry on this terminal does: no echo while it reads.
    shown = Terminal("token", "unlock", "t", "--socket", rogue.path, echo=False)
    assert asked.wait(PATIENCE) and not select.select([shown.fd], [], [], 2.5)[0]
    ready.set()
    status, text = shown.end()
    assert status == 0 and text == "Token 't' is unlocked.\r\n"
