"""A worker that was taken over: a script of the test's in signet-xmpp's place."""
import shutil
import sys

import agent_fixture

SCRIPT = """#!{python}
import sys
sys.path[:0] = {path!r}
import rogue_worker, xmpp_frames as f
{text}"""


def stand_in(folder, monkeypatch, text, programs=("signetd", "signet-token")):
    """From now on agents are started from the folder, with these programs as they are and a signet-xmpp that is the text."""
    for program in programs:
        shutil.copy(agent_fixture.BIN / program, folder)
    worker = folder / "signet-xmpp"
    worker.write_text(SCRIPT.format(python=sys.executable, path=sys.path, text=text))
    worker.chmod(0o755)
    monkeypatch.setattr(agent_fixture, "BIN", folder)
