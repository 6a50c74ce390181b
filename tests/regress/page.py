"""The blocks of a page in Markdown, with what is said of each in a comment before it."""
import re
from dataclasses import dataclass


@dataclass
class Block:
    """section: the heading above. only: which server it is for, or None. text: with its last line end."""
    section: str
    language: str
    only: str
    text: str


def blocks(markdown):
    """All fenced blocks, in their order."""
    found, section, only = [], "", None
    lines = iter(markdown.splitlines())
    for line in lines:
        if line.startswith("#"):
            section = line.lstrip("# ")
        elif comment := re.fullmatch(r"<!-- only: (\w+) -->", line):
            only = comment[1]
        elif line.startswith("```"):
            text = ""
            for inside in lines:
                if inside == "```":
                    break
                text += inside + "\n"
            found.append(Block(section, line[3:], only, text))
            only = None
    return found
