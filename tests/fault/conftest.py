"""The tests here use what those of tests/regress use."""
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/world"), str(TOP / "tests/regress"), str(TOP / "tests/fault")]

from processes import unignore_signals  # noqa: E402


def pytest_configure(config):
    unignore_signals()
    for name in ("long", "alone"):
        config.addinivalue_line("markers", f"{name}: as in tests/regress")
