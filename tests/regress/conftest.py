"""Common to all regress tests: where the world is, and that a skip is a failure where CI says so."""
import os
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/world"), str(TOP / "tests/regress")]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A part that is missing is a skip by hand, and a failure in CI."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"


def pytest_make_parametrize_id(val, argname):
    """A text of a megabyte is no name of a test."""
    return f"{argname} of {len(val)}" if isinstance(val, (str, bytes)) and len(val) > 60 else None
