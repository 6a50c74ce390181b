"""signet doctor: what an agent finds, and what is found without one."""
import json
import os
import socket

import pytest

from cli_fixture import error, Rogue, signet, SMALL_ENV

GOOD = {"level": "good", "subject": "store", "message": "it can be written", "advice": None}
NOTE = {"level": "note", "subject": "pcscd", "message": "nobody listens", "advice": "Start it."}
PROBLEM = {"level": "problem", "subject": "token 't\x1b[2J'", "message": "its PIN is locked", "advice": "Unblock it."}


@pytest.mark.parametrize("findings, status, last", [
    ([], 0, "No problem was found."), ([GOOD, NOTE], 0, "No problem was found."),
    ([GOOD, PROBLEM], 5, "1 problem was found."), ([PROBLEM, NOTE, PROBLEM], 5, "2 problems were found.")])
def test_findings_of_the_agent(tmp_path, findings, status, last):
    reply = {"parameters": {"findings": findings}}
    done = Rogue(tmp_path, reply).signet("doctor")
    assert done.returncode == status and done.stderr == "" and done.stdout.splitlines()[-1] == last
    assert done.stdout.count("PROBLEM  token 't\\x1b[2J': its PIN is locked\n         Unblock it.\n") == findings.count(PROBLEM)
    assert done.stdout.count("good     store: it can be written\n") == findings.count(GOOD)
    assert done.stdout.count("note     pcscd: nobody listens\n         Start it.\n") == findings.count(NOTE)
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, reply).signet("doctor", "--json")
    assert done.returncode == status and json.loads(done.stdout) == reply["parameters"]


def test_no_program_that_draws(tmp_path):
    """Nothing in PATH but what this test puts there."""
    (tmp_path / "empty").mkdir()
    rogue = Rogue(tmp_path, {"parameters": {"findings": [GOOD]}})
    done = rogue.signet("doctor", env=SMALL_ENV | {"PATH": f"{tmp_path}/empty::/nonexistent"})
    assert done.returncode == 0 and "note     dot: " in done.stdout and "graphviz" in done.stdout
    dot = tmp_path / "empty/dot"
    dot.write_text("#!/bin/sh\n")
    dot.chmod(0o755)
    (tmp_path / "rogue.sock").unlink()
    done = Rogue(tmp_path, {"parameters": {"findings": [GOOD]}}).signet("doctor", env=SMALL_ENV | {"PATH": f"/nonexistent:{tmp_path}/empty"})
    assert done.returncode == 0 and "dot" not in done.stdout


@pytest.mark.parametrize("reply, status", [
    (error("Denied"), 8), (None, 3), ({"parameters": {"findings": 7}}, 0), ({"parameters": {"findings": [7, {}]}}, 0)])
def test_an_agent_that_cannot_tell(tmp_path, reply, status):
    done = Rogue(tmp_path, reply).signet("doctor")
    assert done.returncode == status, done.stderr


def findings(env, *args):
    """Those of `signet doctor` without an agent, checked in both forms."""
    env = {k: v for k, v in SMALL_ENV.items() if k != "SIGNET_SOCK"} | env
    done = signet("doctor", "--json", *args, env=env)
    assert done.returncode == 5 and done.stderr == "", done.stderr
    found = json.loads(done.stdout)["findings"]
    assert all(set(f) == {"level", "subject", "message", "advice"} for f in found)
    people = signet("doctor", *args, env=env)
    assert people.returncode == 5 and people.stdout.splitlines()[-1].endswith("found.")
    for finding in found:
        assert finding["subject"] + ": " in people.stdout and (finding["advice"] or "") in people.stdout
    return found


def problem(found):
    (one,) = [f for f in found if f["level"] == "problem"]
    assert one["advice"] and one["subject"] == "agent"
    return one["message"]


def test_where_it_is_looked_for(tmp_path):
    path = str(tmp_path / "none.sock")
    assert "as SIGNET_SOCK says" in findings({"SIGNET_SOCK": path})[0]["message"]
    assert f"{path}, as --socket says" in findings({"SIGNET_SOCK": "/other"}, "--socket", path)[0]["message"]
    found = findings({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert f"{tmp_path}/signet/agent.sock, where it is by default" in found[0]["message"]
    assert problem(found) == f"There is no folder {tmp_path}/signet: signetd, which makes it, does not run."
    found = findings({})
    assert (found[1]["level"], found[1]["subject"]) == ("note", "XDG_RUNTIME_DIR")
    found = findings({"XDG_RUNTIME_DIR": "relative"})
    assert (found[1]["level"], found[1]["message"]) == ("problem", "'relative' is no whole path, and is ignored.")


def test_why_there_is_none(tmp_path):
    def of(path):
        return problem(findings({"SIGNET_SOCK": str(path)}))
    assert of(tmp_path / "a") == f"There is no socket {tmp_path}/a: signetd does not run."
    assert of(tmp_path / "a/b/c") == f"There is no folder {tmp_path}/a."
    (tmp_path / "file").write_text("")
    assert of(tmp_path / "file") == f"{tmp_path}/file is no socket."
    assert of(tmp_path / "file/a") == f"{tmp_path}/file cannot be entered: Not a directory."
    assert "longer than" in of("/" + "x" * 200)
    ended = socket.socket(socket.AF_UNIX)
    ended.bind(str(tmp_path / "ended"))
    ended.close()
    assert of(tmp_path / "ended") == f"Nobody listens on {tmp_path}/ended any more: signetd has ended."
    assert "There is no socket" in of(os.fsencode(tmp_path / "\x1b[2J").decode())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's files")
def test_what_belongs_to_somebody_else_is_named(tmp_path):
    path = tmp_path / "agent.sock"
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(path))
    os.chown(path, 65534, 65534)
    assert problem(findings({"SIGNET_SOCK": str(path)})) == f"{path} belongs to uid 65534, and you are uid 0."
    other.close()
    os.chown(tmp_path, 65534, 65534)
    found = findings({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert found[1]["level"] == "problem" and "belongs to uid 65534, and you are uid 0" in found[1]["message"]


def test_a_configuration_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "signet").write_text("")  # no folder
    assert not any(f["subject"] == "signet.conf" for f in findings({"XDG_CONFIG_HOME": f"{tmp_path}/none"}))
    for env in ({"XDG_CONFIG_HOME": str(tmp_path)}, {"HOME": str(tmp_path / "signet")}):
        (found,) = [f for f in findings(env) if f["subject"] == "signet.conf"]
        assert found["level"] == "problem" and found["message"].endswith("signet/signet.conf cannot be read: Not a directory.")


def test_an_agent_at_the_usual_place_is_found(tmp_path):
    (tmp_path / "signet").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "signet/agent.sock"))
    listener.listen()
    found = findings({"SIGNET_SOCK": str(tmp_path / "a"), "XDG_RUNTIME_DIR": str(tmp_path)})
    assert any(f["message"] == f"An agent listens at {tmp_path}/signet/agent.sock, the place by default." for f in found)
    listener.close()
