"""Checks tests/ROWS.md: the tests that it names are there, and every row but those of XEP-0257, which has a server of its own,
has one that runs on both servers."""
import re
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROWS = [f"K{n}" for n in range(1, 16)] + [f"C{n}" for n in range(1, 13)]
ROWS_OF_ONE = [f"S{n}" for n in range(1, 6)]
BOTH = ("server_fixtures", "authority_fixtures", "sorted(SERVERS)")  # what a file has whose tests run on each server


def look(line):
    """(row, names of tests on both servers, what is wrong) of a line of the table."""
    row, _, tests = (cell.strip() for cell in line.strip().strip("|").split("|"))
    wrong, both, text = [], [], None
    for word in re.findall(r"`[^`]+`|\w+", tests):
        if word.startswith("`"):
            found = list(TESTS.glob(f"*/{word[1:-1]}"))
            text = found[0].read_text() if found else ""
            wrong += [] if found else [f"{word} is no file"]
        elif not re.search(rf"^(?:def|static void) {word}\(", text or "", re.M):
            wrong.append(f"{row}: there is no {word}")
        elif f"_{row.lower()}_" in word and any(sign in text for sign in BOTH):
            both.append(word)
    return row, both, wrong


def main():
    lines = [look(line) for line in (TESTS / "ROWS.md").read_text().splitlines() if re.match(r"\| [CKS]\d", line)]
    wrong = [text for _, _, texts in lines for text in texts]
    covered = {row for row, both, _ in lines if both}
    wrong += [f"{row} has no test of its name that runs on both servers" for row in ROWS if row not in covered]
    wrong += [f"{row} has no test" for row in ROWS_OF_ONE if row not in {row for row, _, _ in lines}]
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
