"""A module that fails for good: it is loaded anew, by another process."""
from agent_fixture import PIN
from processes import wait_gone
from test_agent import FaultyAgent, ready
from varlink_client import secret

DEAD = "on C_Sign fail {0}\non C_GenerateRandom fail {0}\n"
ANEW = "loaded anew"


def fails(agent, name="TokenFailed"):
    """A signature that fails; gives the process, and what was said."""
    pid = agent.worker()["pid"]
    error = agent.sign_error()
    assert error.name == name
    return pid, error.parameters["message"]


def test_a_dead_module_is_loaded_anew():
    for rv in ("CKR_GENERAL_ERROR", "CKR_DEVICE_ERROR"):
        with ready() as agent:
            agent.script(DEAD.format(rv))
            pid, message = fails(agent)
            assert ANEW in message and "unlock" in message
            wait_gone(pid)
            agent.script("")
            assert agent.sign_error().name == "PinNeeded"
            agent.unlock("one")
            agent.sign()
            assert agent.worker()["pid"] != pid


def test_with_a_pin_source_the_next_call_works(tmp_path):
    pin = tmp_path / "pin"
    pin.write_text(PIN)
    pin.chmod(0o600)
    with ready(f"[token one]\npin-source = file:{pin}\n") as agent:
        agent.script(DEAD.format("CKR_GENERAL_ERROR"))
        for _ in range(3):  # it goes on being dead
            pid, message = fails(agent)
            assert ANEW in message
            wait_gone(pid)
        agent.script("")
        agent.sign()


def test_a_dead_module_refuses_a_login():
    with ready() as agent:
        agent.call("Lock", {"token": "one"})
        agent.call("ListTokens")
        agent.script("on C_Login fail CKR_GENERAL_ERROR\non C_GenerateRandom fail CKR_GENERAL_ERROR\n")
        pid = agent.worker()["pid"]
        with secret(PIN) as fd:
            error = agent.error("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd])
        assert error.name == "TokenFailed" and ANEW in error.parameters["message"]
        wait_gone(pid)


def test_what_fails_once_is_not_loaded_anew():
    """As long as the token gives random numbers, it takes two of them, with no signature between."""
    with ready() as agent:
        for _ in range(3):
            agent.script("on C_Sign fail CKR_GENERAL_ERROR\n")
            pid, message = fails(agent)
            assert ANEW not in message
            agent.script("")
            agent.sign()
        agent.script("on C_Sign fail CKR_GENERAL_ERROR\n")
        assert ANEW not in fails(agent)[1]
        assert ANEW in fails(agent)[1]
        wait_gone(pid)


def test_another_token_that_works_keeps_its_process():
    with FaultyAgent(labels=("one", "two")) as agent:
        agent.unlock("one")
        agent.unlock("two")
        agent.new_key("client")
        agent.script("on C_Sign fail CKR_GENERAL_ERROR\n")
        for _ in range(3):
            pid, message = fails(agent)
            assert ANEW not in message
        assert agent.call("ShowToken", {"token": "two"})["token"]["unlocked"]
        agent.script(DEAD.format("CKR_GENERAL_ERROR"))
        assert ANEW in fails(agent)[1]
        wait_gone(pid)


def test_what_is_asked_meanwhile_is_answered():
    """By the process that ends, or by the next one."""
    with ready() as agent:
        agent.script(DEAD.format("CKR_GENERAL_ERROR"))
        with agent.client() as client:
            for _ in range(20):
                client.send("MakeCsr", {"key": "client", "jid": "juliet@example.test"})
            names = {client.error_of_next().name for _ in range(20)}
        assert "TokenFailed" in names and names <= {"TokenFailed", "PinNeeded", "WorkerDied"}
        agent.script("")
        agent.unlock("one")
        agent.sign()


def test_a_module_that_does_not_start():
    agent = FaultyAgent()
    agent.script("on C_Initialize fail CKR_GENERAL_ERROR\n")
    with agent:
        for _ in range(2):
            with secret(PIN) as fd:
                assert agent.error("Unlock", {"token": "one", "pin": {"fd": 0}}, [fd]).name == "ModuleRefused"
        agent.script("")
        agent.unlock("one")
        agent.new_key("client")
        agent.sign()
