"""One suite for every kind of token: each test gets 'kind', a signetd with a token of that kind."""
import os
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / name) for name in ("world", "regress", "card")]
pytest.register_assert_rewrite("kinds")

from kinds import KINDS, Card, Tpm2  # noqa: E402
from processes import unignore_signals  # noqa: E402


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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Kind by kind, so that each part is started once; the kinds may run side by side (--dist loadgroup), those
    that take longest first."""
    def kind_of(item):
        return item.callspec.params.get("part", "") if hasattr(item, "callspec") else ""
    for item in items:
        if kind_of(item):
            item.add_marker(pytest.mark.xdist_group(kind_of(item)))
    names = [*(name for name in KINDS if issubclass(KINDS[name], (Card, Tpm2))), *KINDS, ""]
    items.sort(key=lambda item: names.index(kind_of(item)))


def pytest_configure(config):
    """No kind finds a pcscd but its own; and what the modules of tests/regress, which we use, are marked with."""
    unignore_signals()
    for name in ("long", "alone"):
        config.addinivalue_line("markers", f"{name}: as in tests/regress")
    os.environ.pop("PCSCLITE_CSOCK_NAME", None)
