"""Checks the interface file against the code: every method has a handler and every handler a method.

The error names are compared by a unit test, and the shapes of the replies by the regress tests.
"""
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def main():
    text = (TOP / "proto/org.signet.Agent.varlink").read_text()
    methods = set(re.findall(r"^method (\w+)\(", text, re.M))
    names = set(re.findall(r"^(?:method|type|error) (\w+)", text, re.M))
    wrong = []
    if len(names) != len(re.findall(r"^(?:method|type|error) \w+", text, re.M)):
        wrong.append("two members of the interface have one name")
    code = "".join((TOP / f).read_text() for f in subprocess.run(
        ["git", "ls-files", "agent/broker/*.c"], cwd=TOP, check=True, capture_output=True, text=True).stdout.split())
    handlers = set(re.findall(r'\{\s*"([A-Z]\w+)",\s*sg_verb_\w+', code))
    wrong += [f"method {m} has no handler" for m in sorted(methods - handlers)]
    wrong += [f"handler {h} stands in no interface" for h in sorted(handlers - methods)]
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
