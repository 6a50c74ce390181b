"""Checks the direction of dependencies between the folders, by their #include lines.

A file includes headers of its own folder, of proto/ and of the parts that its own uses. PKCS#11,
p11-kit and libp11 headers stand in token/ alone, libstrophe's where XMPP is spoken, libevent's and
those of the databases where they are at home.
"""
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PARTS = ("proto", "strophe", "token", "agent/broker", "agent/xmpp", "agent/pgp", "agent/cli", "authority")
USES = {"agent/xmpp": ("strophe",), "authority": ("strophe",)}  # as in the Makefile
AT_HOME = (
    (r"p11-kit/|pkcs11|libp11|p11_kit", {"token"}),
    (r"assuan\.h", {"token"}),
    (r"strophe\.h", {"strophe", "agent/xmpp", "authority"}),
    (r"event2?/|event\.h", {"agent/broker"}),
    (r"rnp/", {"agent/pgp"}),
    (r"gpgme\.h", {"agent/cli"}),
    (r"sqlite3\.h", {"agent/broker", "authority"}),
    (r"libpq-fe\.h", {"authority"}),
    (r"jansson\.h", {"agent/broker", "agent/cli", "authority", "proto"}),
    (r"openssl/ssl\.h", {"agent/xmpp"}),
    (r"expat\.h", {"proto", "strophe"}),
)


def complaints():
    """One line for each #include that points the wrong way."""
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=TOP, check=True, capture_output=True,
                           text=True).stdout.split()
    for name in files:
        part = next((p for p in PARTS if name.startswith(p + "/")), None)
        if part is None:
            continue
        for number, line in enumerate((TOP / name).read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if not found:
                continue
            kind, header = found.groups()
            folders = (part, *USES.get(part, ()), "proto")
            if kind == '"' and header != "interface.inc" and not any((TOP / f / header).exists() for f in folders):
                yield f"{name}:{number}: {header} is in none of {', '.join(folders)}"
            for pattern, home in AT_HOME:
                if kind == "<" and re.search(pattern, header) and part not in home:
                    yield f"{name}:{number}: <{header}> belongs in {', '.join(sorted(home))} alone"


if __name__ == "__main__":
    wrong = list(complaints())
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)
