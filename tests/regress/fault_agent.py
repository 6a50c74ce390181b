"""signetd on SoftHSM behind libsignet-fault.so, which does what a script says (signet-fault(7))."""
import os

from agent_fixture import MODULE, Agent
from world import BUILD

FAULT = BUILD / "lib/libsignet-fault.so"


class FaultAgent(Agent):
    """An agent with one token, "one", that goes wrong by the script; conf goes on in its [module]."""

    def __init__(self, script="", conf="", labels=("one",)):
        super().__init__(softhsm=False, conf=f"[agent]\nmodule-dirs = {FAULT.parent}\n"
                         f"[module fault]\npath = {FAULT}\n{conf}")
        self.env.update(SOFTHSM2_CONF=self.make_tokens("tokens", *labels), SIGNET_FAULT_MODULE=str(MODULE),
                        SIGNET_FAULT_SCRIPT=str(self.dir / "script"),
                        SIGNET_FAULT_STATE=str(self.dir / "state-of-fault"))
        self.script(script)

    def script(self, text):
        """What happens from now on."""
        new = self.dir / "script.new"
        new.write_text(text)
        os.rename(new, self.dir / "script")
