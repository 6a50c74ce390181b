"""How tokens and keys are named, and what is known of a key whose token is locked."""
import subprocess

import pytest

from agent_fixture import BIN, MODULE, PIN, Agent


@pytest.fixture
def agent():
    with Agent(labels=("one", "two")) as started:
        yield started


def test_every_standard_attribute_names_a_token(agent):
    """RFC 7512 2.3, and the same for the broker and the worker."""
    tokens = agent.call("ListTokens")["tokens"]
    one = next(t for t in tokens if t["label"] == "one")["uri"]
    for more in ("library-manufacturer=SoftHSM", "library-description=Implementation%20of%20PKCS11",
                 "slot-manufacturer=SoftHSM%20project"):
        assert agent.call("ShowToken", {"token": f"pkcs11:token=one;{more}"})["token"]["uri"] == one
        both = agent.error("ShowToken", {"token": f"pkcs11:{more}"})
        assert both.name == "TokenAmbiguous" and len(both.parameters["candidates"]) == 2
    for more in ("library-manufacturer=Another", "library-version=99.1", "slot-id=77777"):
        assert agent.error("ShowToken", {"token": f"pkcs11:token=one;{more}"}).name == "TokenAbsent"
        assert agent.error("ShowKey", {"key": f"pkcs11:token=one;{more}"}).name == "KeyAbsent"


@pytest.mark.parametrize("selector", ["pkcs11:token=%zz", "pkcs11:token=one%", "pkcs11:token=one%2", "pkcs11:token",
                                      "pkcs11:token=one;surprise=1"])
def test_malformed_uris(agent, selector):
    assert agent.error("ShowToken", {"token": selector}).name == "ArgumentWrong"
    assert agent.error("ShowKey", {"key": selector}).name == "ArgumentWrong"


def test_what_is_known_of_a_locked_key(agent):
    agent.unlock("one")
    made = agent.call("NewKey", {"token": "one", "label": "mine", "algorithm": "p256"})["key"]
    assert (made["sensitive"], made["extractable"], made["always_authenticate"]) == (True, False, False)
    agent.call("Lock", {"token": "one"})
    key = agent.call("ShowKey", {"key": "mine"})["key"]
    assert (key["sensitive"], key["extractable"], key["always_authenticate"]) == (None, None, None)
    assert key["uri"] == made["uri"] and key["public_key"] == made["public_key"]
    shown = subprocess.run([BIN / "signet", "key", "show", "mine"], env=agent.env, check=True, capture_output=True,
                           text=True).stdout
    assert shown.count("unknown (token locked)") == 3


def test_label_of_the_longest(agent):
    agent.unlock("one")
    made = agent.call("NewKey", {"token": "one", "label": "x" * 64, "algorithm": "p256"})["key"]
    assert made["label"] == "x" * 64
    error = agent.error("NewKey", {"token": "one", "label": "x" * 65, "algorithm": "p256"})
    assert error.name == "ArgumentWrong" and "1 to 64 bytes" in error.parameters["message"]


def test_keys_that_cannot_be_told_apart(agent):
    for _ in range(2):
        subprocess.run(["pkcs11-tool", "--module", MODULE, "--token-label", "one", "--login", "--pin", PIN,
                        "--keypairgen", "--key-type", "EC:prime256v1", "--label", "alike", "--id", "55"],
                       env=agent.env, check=True, capture_output=True)
    agent.unlock("one")
    error = agent.error("ShowKey", {"key": "alike"})
    assert error.name == "KeyAmbiguous" and "cannot be told apart" in error.parameters["message"]
    assert error.parameters["candidates"][0]["uri"] == error.parameters["candidates"][1]["uri"]
