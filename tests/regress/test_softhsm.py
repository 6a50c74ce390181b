"""The tokens that softhsm-fixtures makes are what their capability file says: other tests choose by it."""
import pytest

from world import Failed, World, capabilities

KEY_TYPES = {"rsa2048": "rsa:2048", "rsa3072": "rsa:3072", "rsa4096": "rsa:4096", "p256": "EC:prime256v1",
             "p384": "EC:secp384r1"}


@pytest.fixture(scope="module")
def tool():
    """Runs pkcs11-tool on a token."""
    with World(programs=()) as world:
        env = world.env(SOFTHSM2_CONF=world.make_token("token", "one"))
        yield lambda *args: world.run("pkcs11-tool", "--module", world.module, *args, env=env)


def login(pin="1234"):
    return "--token-label", "one", "--login", "--pin", pin


@pytest.mark.parametrize("algorithm", capabilities()["generate"])
def test_keys_that_it_makes(tool, algorithm):
    assert "Private Key Object" in tool(*login(), "--keypairgen", "--key-type", KEY_TYPES[algorithm], "--label",
                                       algorithm)


def test_mechanisms_that_it_signs_by(tool):
    offered = {line.split(",")[0].strip(): line for line in tool("--list-mechanisms").splitlines()}
    for name in capabilities()["sign"]:
        assert " sign," in offered[name.removeprefix("CKM_").replace("_", "-")]


def test_its_pin_is_never_locked(tool):
    assert capabilities()["pin-lock"] == ["no"] and capabilities()["pin-flags"] == ["COUNT_LOW"]
    for _ in range(12):
        with pytest.raises(Failed) as failed:
            tool(*login("0000"), "--list-objects")
        assert "CKR_PIN_INCORRECT" in failed.value.err
    assert "user PIN count low" in tool("--list-slots")
    tool(*login(), "--list-objects")
