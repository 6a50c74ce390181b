"""What stands between the module and its token is started anew: the TPM's resource manager."""
import time

from kinds import JID, Tpm2
from test_sign import judged
from varlink_client import secret

BACK = 10  # s; the mark is 2 s, which a loaded machine may miss: what was measured is printed


def test_the_resource_manager_is_started_anew(kind, tmp_path):
    """A call that finds it gone says so; the next one after its return works with the PIN at hand."""
    if not isinstance(kind, Tpm2):
        assert not hasattr(kind, "manager")
        return
    kind.unlock()
    key = kind.any_key()
    judged(kind, key)
    for calls_between in (False, True):
        kind.unlock()
        kind.manager.stop()
        if calls_between:
            assert kind.error("MakeCsr", key=key, jid=JID).name in ("TokenFailed", "ModuleRefused")
        kind.start_manager()
        started = time.monotonic()
        error = None if calls_between else kind.error("MakeCsr", key=key, jid=JID)
        with secret(kind.pin) as fd:
            assert kind.signetd.call("MakeCsr", {"key": key, "jid": JID, "pin": {"fd": 0}}, [fd])["csr"]
        took = time.monotonic() - started
        print(f"works {took:.2f} s after the resource manager was back")
        assert took < BACK
        if error is not None:
            assert error.name == "TokenFailed" and "loaded anew" in error.parameters["message"]
        judged(kind, key)
