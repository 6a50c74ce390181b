"""Server, tokens and agent side by side, and every step that is offered, typed as it is printed."""
import itertools

import pytest

from cert_world import Holder

pytest_plugins = ["server_fixtures"]
NUMBERS = itertools.count(1)


@pytest.fixture
def holder(served):
    with Holder(served, f"holder{next(NUMBERS)}") as holder:
        yield holder


def test_what_is_in_order(holder):
    current = holder.enrol("key")
    row = holder.rows()[current["sha256"]]
    assert (row["state"], row["server"], row["stored"], row["on_token"], row["key"], row["step"]) == (
        "current", "listed", True, True, "here", None)
    assert (row["token"], row["serial"]) == ("one", holder.serial("one"))
    assert (row["name"], row["not_after"]) == (current["name"], current["not_after"])
    assert (holder.list, holder.problems) == ("whole", [])
