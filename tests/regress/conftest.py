"""Common to all regress tests: where the world is, and that a skip is a failure where CI says so."""
import collections
import os
import sys
import tempfile
import zlib
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/world"), str(TOP / "tests/regress")]

from processes import unignore_signals  # noqa: E402
from world import SERVERS, is_sanitized  # noqa: E402


ROOM = 2 << 30  # bytes; a run of all tests needs less at any time

# A plugin that a test also imports: its asserts are to be explained all the same.
pytest.register_assert_rewrite("component_server")


def write_to_memory():
    """What tests write goes with them, so no disk need be waited for; unless somebody has said where it shall go, or there
    is no room for programs, databases and servers."""
    room = Path("/dev/shm")
    if "TMPDIR" in os.environ or not room.is_dir():
        return
    about = os.statvfs(room)
    is_open = room.stat().st_mode & 0o1777 == 0o1777
    if is_open and not about.f_flag & os.ST_NOEXEC and about.f_bavail * about.f_frsize >= ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # pytest leaves its own folder behind
        os.environ["TMPDIR"], tempfile.tempdir = str(room), None


def pytest_configure(config):
    unignore_signals()
    write_to_memory()
    # slixmpp's way to open TLS, which a test can't change
    config.addinivalue_line("filterwarnings", "ignore:check_hostname requires server_hostname:DeprecationWarning")
    config.addinivalue_line("markers", "long: takes long, so it starts before others that run beside it")
    config.addinivalue_line("markers", "alone: measures what a program beside it would spoil, so nothing runs then")
    config.addinivalue_line("markers", "xdist_group(name): tests that run one after another in one process")


def server_of(item):
    """The server that a test's parameters name, or None; and what else tells it from others."""
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    params = [word for value in values for word in (value if isinstance(value, (list, tuple)) else [value])]
    server = next((word for word in params if isinstance(word, str) and word in SERVERS), None)
    return server, (item.path, item.originalname, str([word for word in params if word != server]))


def deselect_other_server(config, items):
    """A sanitizer takes long, and most of our code is the same whatever server is there: what runs on both without one
    runs with it on one of them, a half of the files on each."""
    found = {item: server_of(item) for item in items}
    both = collections.Counter(what for server, what in found.values() if server)

    def is_other(item):
        server, what = found[item]
        chosen = sorted(SERVERS)[zlib.crc32(item.path.name.encode()) % 2]
        return server not in (None, chosen) and both[what] == len(SERVERS)
    config.hook.pytest_deselected(items=[item for item in items if is_other(item)])
    items[:] = [item for item in items if not is_other(item)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """For tests that run side by side (--dist loadgroup): those that share a fixture of their module stay
    together; what takes long starts first, so that nothing is waited for at the end, but not all of it at once,
    for it is mostly idle."""
    if is_sanitized():
        deselect_other_server(config, items)
    for number, item in enumerate(item for item in items if item.get_closest_marker("long")):
        item.add_marker(pytest.mark.xdist_group(f"long-{number % 2}"))
    for item in items:
        shared = [name for name, found in item._fixtureinfo.name2fixturedefs.items() if found[-1].scope == "module"]
        if shared and item.get_closest_marker("xdist_group") is None:
            params = item.callspec.params if hasattr(item, "callspec") else {}
            kinds = [str(params[name]) for name in shared if name in params]
            item.add_marker(pytest.mark.xdist_group("-".join([item.path.stem, *kinds])))
    items.sort(key=lambda item: (item.get_closest_marker("long") is None, item.get_closest_marker("xdist_group") is None))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A part that is missing is a skip by hand, and a failure in CI; but for what a sanitizer keeps from running,
    which runs without it."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and "Skipped: a sanitizer " not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"


def pytest_terminal_summary(terminalreporter):
    """How many crash points were tried, and where (test_crash_points.py)."""
    tried, held = collections.Counter(), collections.Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in report.user_properties:
                if name == "crash points" and report.when == "call":
                    server, points, failed = value
                    tried[server] += points
                    held[server] += points - failed
    if tried:
        parts = ", ".join(f"{server} {count}" for server, count in sorted(tried.items(), reverse=True))
        terminalreporter.write_line(f"crash points: {tried.total()} tried, {held.total()} held ({parts})")


def pytest_make_parametrize_id(val, argname):
    """A text of a megabyte is no name of a test."""
    return f"{argname} of {len(val)}" if isinstance(val, (str, bytes)) and len(val) > 60 else None
