"""NewKey that fails half-way: nothing half-made stays on the token, or it is said what does."""
import pytest

from test_agent import JULIET, FaultyAgent

USER = {"token": "one", "label": "mine", "algorithm": "p256", "account": JULIET, "user": True}
LATER = (("C_Sign", "CKR_DEVICE_MEMORY"), ("C_SignInit", "CKR_KEY_TYPE_INCONSISTENT"),
         ("C_CreateObject", "CKR_ATTRIBUTE_READ_ONLY"), ("C_CreateObject", "CKR_FUNCTION_FAILED"))


@pytest.fixture
def agent():
    with FaultyAgent() as agent:
        agent.unlock("one")
        agent.call("AddAccount", {"jid": JULIET})
        yield agent


def objects(agent):
    """What is on the token, as another process sees it."""
    agent.script("")
    return agent.call("ListKeys")["keys"]


def fails(agent, rules, parameters=USER):
    agent.script(rules)
    return agent.error("NewKey", parameters).parameters["message"]


@pytest.mark.parametrize("function, rv", LATER)
def test_the_certificate_fails_and_the_key_goes(agent, function, rv):
    assert fails(agent, f"on {function} 1 fail {rv}\n")
    assert objects(agent) == []
    assert agent.call("ShowAccount", {"jid": JULIET})["account"]["user_key"] is None
    made = agent.call("NewKey", USER)
    assert made["certificate"]["jids"] == [JULIET]
    agent.sign("mine")


@pytest.mark.parametrize("rules", ("on C_DestroyObject fail CKR_FUNCTION_FAILED\non C_Sign 1 fail CKR_DEVICE_MEMORY\n",
                                   "on C_Sign crash\n", "on C_Sign hang\n"), ids=("stuck", "crash", "hang"))
def test_a_key_that_cannot_go_is_told_of(agent, rules):
    message = fails(agent, rules)
    agent.script("")
    if not agent.token()["unlocked"]:
        agent.unlock("one")
    key, = objects(agent)
    assert f"signet key use '{key['uri']}' --user --account {JULIET}" in message
    used = agent.call("UseKey", {"key": key["uri"], "user": True, "account": JULIET})
    assert used["key"]["uri"] == key["uri"] and used["certificate"]["jids"] == [JULIET]


def test_a_token_that_makes_a_pair_and_denies_it(agent):
    """At each call: the pair is removed while there is a login to do it with."""
    for rv in ("CKR_DEVICE_ERROR", "CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED"):
        fails(agent, f"after C_GenerateKeyPair fail {rv}\n")
        agent.script("")
        if not agent.token()["unlocked"]:
            agent.unlock("one")
        assert objects(agent) == []
    agent.new_key("mine")


@pytest.mark.parametrize("what", ("crash", "hang"))
def test_a_pair_that_may_be_there_is_told_of(agent, what):
    message = fails(agent, f"after C_GenerateKeyPair {what}\n", {"token": "one", "label": "mine", "algorithm": "p256"})
    assert "'mine', or half of it, may be on the token" in message and "signet key use" in message
