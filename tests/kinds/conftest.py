"""One suite for every kind of token: each test gets 'kind', a signetd with a token of that kind."""
import os
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / name) for name in ("world", "regress", "card")]
pytest.register_assert_rewrite("kinds")

from kinds import KINDS  # noqa: E402


@pytest.fixture(scope="session", params=list(KINDS))
def part(request):
    """What stands behind a kind of token for all tests: a card in its reader, a TPM, or nothing."""
    part = KINDS[request.param]()
    try:
        part.start()
        yield part
    finally:
        part.close()


@pytest.fixture
def kind(part):
    """A fresh agent on a token of the kind, whose PIN is good and whose card behaves."""
    part.renew()
    with part.agent() as agent:
        part.used_by(agent)
        yield part


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Nothing is skipped: what a kind lacks is asserted as the error that it gives."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"


def pytest_collection_modifyitems(items):
    """Kind by kind, so that each part is started once."""
    names = list(KINDS)
    items.sort(key=lambda item: names.index(item.callspec.params["part"]) if hasattr(item, "callspec") and
               "part" in item.callspec.params else len(names))


def pytest_configure():
    """No kind finds a pcscd but its own."""
    os.environ.pop("PCSCLITE_CSOCK_NAME", None)
