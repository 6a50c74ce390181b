"""libsignet-fault.so by itself: every rule of its language, judged by pkcs11-tool and by raw calls."""
import ctypes
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from p11 import CONTEXT, FAULT, PIN, PRIVATE, SO_PIN, Failed, Folder, Module, SlotInfo
from processes import until

LOW, FINAL, LOCKED, WRITE_PROTECTED = 0x10000, 0x20000, 0x40000, 2

# What stands before the point in the SubjectPublicKeyInfo of a P-256 key.
P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")


@pytest.fixture
def folder():
    folder = Folder()
    yield folder
    folder.close()


@pytest.fixture
def module(folder, monkeypatch):
    """The module in this process, started."""
    for name, value in folder.env.items():
        monkeypatch.setenv(name, value)
    module = Module()
    module.start()
    module.slot = module.slots()[0]
    yield module
    folder.script("")
    module.rv("C_Finalize", None)


@pytest.fixture
def session(module):
    session = module.open(module.slot)
    assert module.login(session) == "CKR_OK"
    return session


def point(folder, number):
    """CKA_EC_POINT of the public key with this identifier, in hex."""
    listed = folder.tool("-O", "--type", "pubkey").split("Public Key Object")
    shown, = (text for text in listed if re.search(rf"^ +ID: +{number}$", text, re.M))
    return re.search(r"^ +EC_POINT: +([0-9a-f]+)$", shown, re.M).group(1)


def key(module, session, label=b"one"):
    found, = module.find(session, CLASS=PRIVATE, LABEL=label)
    return found


def sign(module, session, label=b"one"):
    rv = module.sign_init(session, key(module, session, label))
    return module.sign(session) if rv == "CKR_OK" else rv


# ---- nothing wrong ----

def test_wraps_a_module(folder):
    assert "token label        : token" in folder.tool("-L")
    text = folder.tool("-O", "--login", "--pin", PIN)
    assert text.count("label:      one") == 2 and text.count("label:      two") == 2
    (folder.dir / "data").write_bytes(b"\1" * 32)
    folder.tool("--sign", "--mechanism", "ECDSA", "--login", "--pin", PIN, "--id", "01", "-i", folder.dir / "data",
                "-o", folder.dir / "signature", "--signature-format", "openssl")
    (folder.dir / "key.der").write_bytes(P256 + bytes.fromhex(point(folder, "01")[4:]))
    subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", folder.dir / "key.der", "-keyform", "DER",
                    "-in", folder.dir / "data", "-sigfile", folder.dir / "signature"], check=True, capture_output=True)
    assert "C_GetFunctionList" in subprocess.run(["nm", "-D", "--defined-only", FAULT], check=True, text=True,
                                                 capture_output=True).stdout.split()[-1]


def test_pkcs11_tool_tests_itself(folder):
    folder.tool("--test", "--login", "--pin", PIN)


def test_log(folder):
    folder.tool("-O", "--login", "--pin", PIN)
    lines = [line.split() for line in folder.log()]
    numbers = [int(line[1]) for line in lines if line[0] == lines[-1][0]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert lines[-1][2:] == ["C_Finalize", "CKR_OK"]
    assert PIN not in " ".join(word for line in lines for word in line[2:])


def sign_in_threads(module):
    """What many signatures at once came to, each in a session of its own."""
    results = []

    def work():
        for _ in range(50):
            try:
                results.append(sign(module, own := module.open(module.slot)))
                module.rv("C_CloseSession", own)
            except Failed as error:
                results.append(error.name)
            except ValueError:
                results.append("no key")
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 * 50
    return set(results)


def test_threads(folder, module, session):
    """Many at once; then the token is pulled and put back under them: errors, but no crash and no mix-up."""
    assert sign_in_threads(module) == {"CKR_OK"}
    folder.script("on C_Sign 100 remove\non any 2000 insert")
    came_to = sign_in_threads(module)
    assert "CKR_OK" in came_to and "CKR_TOKEN_NOT_PRESENT" in came_to
    assert came_to <= {"CKR_OK", "CKR_TOKEN_NOT_PRESENT", "CKR_DEVICE_REMOVED", "CKR_SESSION_HANDLE_INVALID",
                       "CKR_KEY_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID", "CKR_USER_NOT_LOGGED_IN", "no key"}
    folder.script("now insert")
    session = module.open(module.slot)
    assert module.login(session) == "CKR_OK" and sign(module, session) == "CKR_OK"


# ---- bad scripts ----

@pytest.mark.parametrize("text, why", [
    ("on C_Sign", "line 1: a word is missing after 'C_Sign'"),
    ("\n\nexplode", "line 3: 'explode' begins no rule"),
    ("on C_Sing fail CKR_DEVICE_ERROR", "line 1: 'C_Sing' is no function"),
    ("on C_Sign fail CKR_DEVICE_EROR", "line 1: 'CKR_DEVICE_EROR' is no CKR_ of a failure"),
    ("on C_Sign fail CKR_OK", "line 1: 'CKR_OK' is no CKR_ of a failure"),
    ("on C_Sign 0 hang", "line 1: '0' is no action"),
    ("on C_Sign 3x hang", "line 1: '3x' is no number of a call"),
    ("on C_Sign hang on", "line 1: 'on' is one word too many"),
    ("on C_Sign slow 5s", "line 1: '5s' is no number of milliseconds"),
    ("on C_Sign crash softly", "line 1: 'softly' is neither 'abort' nor 'segv'"),
    ("now hang", "line 1: 'hang' is nothing that happens now"),
    ("after C_Sign corrupt", "line 1: 'corrupt' is only for 'on C_Sign'"),
    ("on C_SignFinal corrupt", "line 1: 'corrupt' is only for 'on C_Sign'"),
    ("now lose face", "line 1: 'face' is neither 'sessions' nor 'login'"),
    ("now insert 12345678901234567", "longer than 16 bytes"),
    ("pin none", "line 1: 'none' is no number of tries"),
    ("pin 3 loud", "line 1: 'loud' is not 'silent'"),
    ("refuse CKM_NONE", "line 1: 'CKM_NONE' is no mechanism"),
    ("refuse CKM_ECDSA soon", "line 1: 'soon' is not 'late'"),
    ("attribute one CKA_NONE true", "line 1: 'CKA_NONE' is no attribute"),
    ("attribute one CKA_ID 0x123", "is no hex"),
    ("duplicate key one two", "line 1: 'key' is neither 'label' nor 'id'"),
    ("swap one", "line 1: a word is missing after 'one'"),
    ("removable now", "line 1: 'now' is one word too many"),
    ("swap \"one two", "line 1: a quotation mark is missing"),
    ("pin 1 2 3 4 5 6 7 8 9", "line 1: more than 8 words"),
    ("now remove\0", "line 1: a byte is zero"),
    ("removable\n\0on C_Sign hang", "line 2: a byte is zero"),
    ("# " + "x" * 2000, "line 1: more than 1022 bytes"),
    ("now remove\n" * 257, "line 257: more than 256 rules"),
    ("refuse CKM_ECDSA\n" * 65, "line 65: more than 64 mechanisms"),
    ("always-authenticate one\n" * 65, "line 65: more than 64 attributes"),
    ("swap " + "x" * 257 + " two", "longer than 256 bytes"),
])
def test_bad_scripts(folder, text, why):
    folder.script(text)
    assert "CKR_ARGUMENTS_BAD" in folder.tool("-L", good=False)
    assert why in next(line for line in folder.log() if " script " in line)


def test_script_goes_bad_and_good_again(folder, module, session):
    folder.script("nonsense")
    assert module.rv("C_FindObjectsFinal", session) == "CKR_ARGUMENTS_BAD"
    folder.script("# \"any thing\"\n\n   on  C_Logout\t2+ fail 0x80000001 # of a vendor\n")
    assert sign(module, session) == "CKR_OK"
    assert [module.rv("C_Logout", session) for _ in range(3)] == ["CKR_OK", "0x80000001", "0x80000001"]


def test_no_module_and_no_state(folder):
    folder.env["SIGNET_FAULT_MODULE"] = "/nonexistent.so"
    folder.tool("-L", good=False)
    assert "SIGNET_FAULT_MODULE is no PKCS#11 module" in "".join(folder.log())
    (folder.dir / "state").write_text("something else")
    folder.tool("-L", good=False)
    assert "is no state file" in "".join(folder.log())
    os.unlink(folder.dir / "script")
    del folder.env["SIGNET_FAULT_STATE"]
    folder.tool("-L", good=False)
    assert "script: No such file" in "".join(folder.log())


# ---- calls ----

def test_fail(folder, module, session):
    """A signature that fails is over: the next one can begin."""
    folder.script("on C_Sign 2 fail CKR_DEVICE_ERROR")
    assert [sign(module, session) for _ in range(3)] == ["CKR_OK", "CKR_DEVICE_ERROR", "CKR_OK"]
    folder.script("on C_SignInit fail CKR_KEY_HANDLE_INVALID")
    assert {sign(module, session) for _ in range(3)} == {"CKR_KEY_HANDLE_INVALID"}
    folder.script("on any 2 fail CKR_GENERAL_ERROR")
    assert [module.rv("C_GetSessionInfo", session, ctypes.create_string_buffer(64)) for _ in range(3)] == \
        ["CKR_OK", "CKR_GENERAL_ERROR", "CKR_OK"]
    assert any(line.endswith("C_GetSessionInfo ! fail line 1") for line in folder.log())


def test_fail_after(folder, module, session):
    """The work is done, and nobody is told."""
    folder.script("after C_GenerateKeyPair fail CKR_DEVICE_ERROR")
    assert module.generate(session) == "CKR_DEVICE_ERROR"
    assert len(module.find(session, LABEL=b"new")) == 2


def test_slow(folder, module, session):
    folder.script("on C_Sign slow 300")
    start = time.monotonic()
    assert sign(module, session) == "CKR_OK"
    assert 0.3 <= time.monotonic() - start < 5


def test_slow_ends_when_the_token_is_pulled(folder, module, session):
    folder.script("on C_Sign slow 60000")
    results = []
    thread = threading.Thread(target=lambda: results.append(sign(module, session)))
    thread.start()
    until(patience=20, check=lambda: any("! slow" in line for line in folder.log()))
    folder.script("now remove")
    thread.join(30)
    assert results == ["CKR_DEVICE_REMOVED"]


def test_corrupt(folder, module, session, tmp_path):
    """The signature is made, and said to be good."""
    data, made, public = (tmp_path / name for name in ("data", "signature", "key.der"))
    data.write_bytes(b"\1" * 32)
    public.write_bytes(P256 + bytes.fromhex(point(folder, "01")[4:]))
    good = []
    for script in ("", "on C_Sign corrupt"):
        folder.script(script)
        folder.tool("--sign", "--mechanism", "ECDSA", "--login", "--pin", PIN, "--id", "01", "-i", data, "-o", made,
                    "--signature-format", "openssl")
        done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-keyform", "DER", "-in", data,
                               "-sigfile", made], check=False, capture_output=True)
        good.append(done.returncode == 0)
    assert good == [True, False]
    folder.script("on C_Sign 2 corrupt")
    assert {sign(module, session) for _ in range(3)} == {"CKR_OK"}
    assert any(line.endswith("C_Sign ! corrupt line 1") for line in folder.log())


def test_hang(folder, module, session):
    """Until there is another script; other calls go on meanwhile."""
    folder.script("on C_Sign hang")
    results = []
    thread = threading.Thread(target=lambda: results.append(sign(module, session)))
    thread.start()
    until(patience=20, check=lambda: any("! hang" in line for line in folder.log()))
    assert module.token(module.slot).flags & 8
    assert results == []
    folder.script("")
    thread.join(30)
    assert results == ["CKR_OK"]


@pytest.mark.parametrize("how, number", [("", signal.SIGABRT), ("abort", signal.SIGABRT), ("segv", signal.SIGSEGV)])
def test_crash(folder, how, number):
    folder.script(f"on C_GetTokenInfo crash {how}")
    folder.tool("-L", good=False)
    assert folder.status == -number
    assert folder.log()[-1].endswith("C_GetTokenInfo ! crash line 1")


# ---- the token comes and goes ----

def test_remove_and_insert(folder, module, session):
    info = SlotInfo()
    folder.script("now remove")
    assert module.slots() == [] and module.slot in module.slots(False)
    assert module.rv("C_GetTokenInfo", module.slot, ctypes.create_string_buffer(512)) == "CKR_TOKEN_NOT_PRESENT"
    assert module.rv("C_OpenSession", module.slot, 6, None, None, ctypes.byref(ctypes.c_ulong())) == \
        "CKR_TOKEN_NOT_PRESENT"
    module.call("C_GetSlotInfo", module.slot, ctypes.byref(info))
    assert not info.flags & 1
    assert module.sign(session) == "CKR_SESSION_HANDLE_INVALID"
    folder.script("now insert")
    assert module.slots()[0] == module.slot
    assert module.sign(session) == "CKR_SESSION_HANDLE_INVALID"
    again = module.open(module.slot)
    assert again != session
    assert module.find(again, CLASS=PRIVATE) == []
    assert module.login(again) == "CKR_OK" and sign(module, again) == "CKR_OK"


def test_removal_in_a_call(folder, module, session):
    folder.script("on C_Sign remove")
    assert sign(module, session) == "CKR_DEVICE_REMOVED"
    assert module.slots() == []
    folder.script("now insert\nafter C_SignInit remove")
    session = module.open(module.slot)
    module.login(session)
    handle = key(module, session)
    assert module.sign_init(session, handle) == "CKR_OK"
    assert module.sign(session) == "CKR_SESSION_HANDLE_INVALID"
    assert "No slot with a token" in folder.tool("-O", good=False)


def test_another_token(folder, module, session):
    before = bytes(module.token(module.slot).serial)
    folder.script("now insert OTHER1")
    assert bytes(module.token(module.slot).serial) == b"OTHER1".ljust(16)
    assert module.sign(session) == "CKR_SESSION_HANDLE_INVALID"
    folder.script("now insert")
    assert bytes(module.token(module.slot).serial) == before


def test_lost_sessions(folder, module, session):
    old = key(module, session)
    folder.script("now lose sessions")
    assert module.sign_init(session, old) == "CKR_SESSION_HANDLE_INVALID"
    session = module.open(module.slot)
    assert module.login(session) == "CKR_OK"
    assert module.sign_init(session, old) in ("CKR_KEY_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID")
    assert sign(module, session) == "CKR_OK"


def test_lost_login(folder, module, session):
    folder.script("now lose login")
    assert module.find(session, CLASS=PRIVATE) == []
    assert module.generate(session) == "CKR_USER_NOT_LOGGED_IN"
    assert module.login(session) == "CKR_OK" and sign(module, session) == "CKR_OK"


def test_events(folder, module):
    slot = ctypes.c_ulong()
    assert module.rv("C_WaitForSlotEvent", 1, ctypes.byref(slot), None) != "CKR_OK"
    folder.script("events\nremovable")
    assert module.rv("C_WaitForSlotEvent", 1, ctypes.byref(slot), None) == "CKR_NO_EVENT"
    info = SlotInfo()
    module.call("C_GetSlotInfo", module.slot, ctypes.byref(info))
    assert info.flags & 7 == 7
    results = []
    thread = threading.Thread(target=lambda: results.append(
        module.rv("C_WaitForSlotEvent", 0, ctypes.byref(slot), None)))
    thread.start()
    time.sleep(0.1)
    assert results == []
    folder.script("events\nnow remove")
    thread.join(30)
    assert results == ["CKR_OK"] and slot.value == module.slot
    folder.script("events\nnow insert")
    module.slots()
    assert module.rv("C_WaitForSlotEvent", 1, ctypes.byref(slot), None) == "CKR_OK"
    assert module.rv("C_WaitForSlotEvent", 1, ctypes.byref(slot), None) == "CKR_NO_EVENT"


# ---- PINs ----

def flags(module):
    return module.token(module.slot).flags & (LOW | FINAL | LOCKED)


def test_pin_counter(folder, module):
    folder.script("pin 3")
    session = module.open(module.slot)
    assert flags(module) == 0
    assert module.login(session, "0000") == "CKR_PIN_INCORRECT" and flags(module) == LOW
    assert module.login(session, "0000") == "CKR_PIN_INCORRECT" and flags(module) == LOW | FINAL
    assert module.login(session) == "CKR_OK" and flags(module) == 0
    module.rv("C_Logout", session)
    assert [module.login(session, "0000") for _ in range(3)] == ["CKR_PIN_INCORRECT"] * 2 + ["CKR_PIN_LOCKED"]
    assert flags(module) == LOCKED
    assert module.login(session) == "CKR_PIN_LOCKED"
    # In another process it is locked as well, until the security officer sets a new one.
    assert "CKR_PIN_LOCKED" in folder.tool("-O", "--login", "--pin", PIN, good=False)
    assert "user PIN locked" in folder.tool("-L")
    module.rv("C_CloseAllSessions", module.slot)
    folder.tool("--init-pin", "--login", "--login-type", "so", "--so-pin", SO_PIN, "--new-pin", PIN)
    folder.tool("-O", "--login", "--pin", PIN)


def test_silent_pin_counter(folder, module):
    folder.script("pin 2 silent")
    session = module.open(module.slot)
    assert module.login(session, "0000") == "CKR_PIN_INCORRECT" and flags(module) == 0
    assert module.rv("C_SetPIN", session, b"0000", 4, b"4321", 4) == "CKR_PIN_LOCKED" and flags(module) == 0
    assert module.login(session) == "CKR_PIN_LOCKED"
    # The counter belongs to the serial number.
    folder.script("pin 2 silent\nnow insert OTHER1")
    assert module.login(module.open(module.slot)) == "CKR_OK"


def test_always_authenticate(folder, module, session):
    folder.script("pin 3\nalways-authenticate one")
    handle = key(module, session)
    assert module.get(session, handle, "ALWAYS_AUTHENTICATE") == b"\1"
    assert module.get(session, key(module, session, b"two"), "ALWAYS_AUTHENTICATE") == b"\0"
    assert module.sign_init(session, handle) == "CKR_OK"
    assert module.sign(session) == "CKR_USER_NOT_LOGGED_IN"
    for _ in range(2):
        assert module.sign_init(session, handle) == "CKR_OK"
        assert module.login(session, "0000", CONTEXT) == "CKR_PIN_INCORRECT" and flags(module)
        assert module.login(session, PIN, CONTEXT) == "CKR_OK" and not flags(module)
        assert module.sign(session) == "CKR_OK"
    assert sign(module, session, b"two") == "CKR_OK"


# ---- objects and mechanisms ----

def test_refused_mechanisms(folder, module, session):
    assert "ECDSA, " in folder.tool("-M").replace("ECDSA-KEY", "")
    folder.script("refuse CKM_ECDSA\nrefuse CKM_EC_KEY_PAIR_GEN late")
    listed = folder.tool("-M")
    assert "  ECDSA," not in listed and "ECDSA-KEY-PAIR-GEN" in listed
    info = ctypes.create_string_buffer(64)
    assert module.rv("C_GetMechanismInfo", module.slot, 0x1041, info) == "CKR_MECHANISM_INVALID"
    assert module.rv("C_GetMechanismInfo", module.slot, 0x1040, info) == "CKR_OK"
    assert sign(module, session) == "CKR_MECHANISM_INVALID"
    assert module.generate(session) == "CKR_MECHANISM_INVALID"


def test_duplicates(folder, module, session):
    folder.script("duplicate label one two")
    assert len(module.find(session, CLASS=PRIVATE, LABEL=b"one")) == 2
    assert module.find(session, LABEL=b"two") == []
    assert folder.tool("-O", "--login", "--pin", PIN).count("label:      one") == 4
    folder.script("duplicate id one two")
    assert len(module.find(session, CLASS=PRIVATE, ID=b"\1")) == 2
    assert module.get(session, key(module, session, b"two"), "ID") == b"\1"
    assert module.find(session, ID=b"\2") == []


def test_swap(folder, module, session):
    one, two = point(folder, "01"), point(folder, "02")
    assert one != two
    folder.script("swap one two")
    assert (point(folder, "01"), point(folder, "02")) == (two, one)
    assert module.get(session, key(module, session, b"two"), "ID") == b"\2"


def test_attributes(folder, module, session):
    folder.script('attribute one CKA_SIGN false\nattribute two CKA_LABEL "a longer label"\n'
                  'attribute two CKA_ID 0xabcdef')
    assert module.get(session, key(module, session), "SIGN") == b"\0"
    two = key(module, session, b"a longer label")
    assert module.get(session, two, "ID") == b"\xab\xcd\xef"
    with pytest.raises(Exception, match="CKR_BUFFER_TOO_SMALL"):
        module.get(session, two, "LABEL", 4)
    public, = set(module.find(session, LABEL=b"one")) - {key(module, session)}
    with pytest.raises(Exception, match="CKR_ATTRIBUTE_TYPE_INVALID"):
        module.get(session, public, "SIGN")


def test_read_only(folder, module):
    folder.script("read-only")
    assert module.token(module.slot).flags & WRITE_PROTECTED
    assert module.rv("C_OpenSession", module.slot, 6, None, None, ctypes.byref(ctypes.c_ulong())) == \
        "CKR_TOKEN_WRITE_PROTECTED"
    session = module.open(module.slot, 4)
    assert module.login(session) == "CKR_OK" and sign(module, session) == "CKR_OK"
    assert module.generate(session) == "CKR_TOKEN_WRITE_PROTECTED"
    assert module.rv("C_SetPIN", session, b"1234", 4, b"4321", 4) == "CKR_TOKEN_WRITE_PROTECTED"
    assert module.rv("C_InitPIN", session, b"1234", 4) == "CKR_TOKEN_WRITE_PROTECTED"
    assert "CKR_TOKEN_WRITE_PROTECTED" in folder.tool("--init-token", "--so-pin", SO_PIN, "--label", "x", "--slot",
                                                      str(module.slot), good=False)


def test_memory_full(folder, module, session):
    folder.script("memory-full")
    assert module.generate(session) == "CKR_DEVICE_MEMORY"
    assert sign(module, session) == "CKR_OK"
    (folder.dir / "data").write_bytes(b"data")
    assert "CKR_DEVICE_MEMORY" in folder.tool("--login", "--pin", PIN, "--write-object", folder.dir / "data", "--type",
                                              "data", "--label", "x", good=False)


# ---- several processes ----

def test_shared_state(folder, module, session):
    """What happens to the token happens to all who share its state; a call is counted once among them."""
    folder.script("on C_GetSlotList 2 fail CKR_GENERAL_ERROR")
    module.slots()
    assert "CKR_GENERAL_ERROR" in folder.tool("-L", good=False)
    folder.tool("-L")
    folder.script("on C_Login remove")
    folder.tool("-O", "--login", "--pin", PIN, good=False)
    assert module.slots() == []
    assert module.sign(session) == "CKR_SESSION_HANDLE_INVALID"
