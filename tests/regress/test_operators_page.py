"""AUTHORITY.md, followed: every command of it is run as it stands there, on a machine of its own."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from page import blocks
from world import SERVERS, TOP

PAGE = TOP / "AUTHORITY.md"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be an operator")
@pytest.mark.parametrize("server", sorted(SERVERS))
def test_every_command_does_what_the_page_says(server):
    world = Path(__file__).with_name("operators_world.py")
    done = subprocess.run(["unshare", "--mount", "--propagation", "unchanged", "--net", "--pid", "--ipc", "--uts", "--fork",
                           "--kill-child", sys.executable, world, PAGE, server], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    wanted = sum(b.language in ("sh", "yaml") and b.only in (None, server) for b in blocks(PAGE.read_text()))
    assert f"{wanted} blocks of commands\n" in done.stdout and wanted > 15


def test_no_block_is_left_out():
    found = blocks(PAGE.read_text())
    assert {block.language for block in found} == {"sh", "yaml", "text"}
    assert {block.only for block in found} == {None, *SERVERS}
    assert not any(re.match(r"(systemctl|runuser|make|install) ", line) for block in found if block.language == "text"
                   for line in block.text.splitlines())


def test_the_page_and_the_readme_lead_to_what_is_there():
    for page in ("AUTHORITY.md", "README.md"):
        for target in re.findall(r"\]\(([\w./-]+)\)", (TOP / page).read_text()):
            assert (TOP / target).exists(), f"{page}: {target}"
    assert "(AUTHORITY.md)" in (TOP / "README.md").read_text()
