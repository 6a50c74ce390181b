"""The fixtures that the tests of the keyring share."""
import pytest

from agent_fixture import Agent
from keyring_agent import QUIET, Pair, add_account


@pytest.fixture
def agent():
    """An agent without accounts, which hears of nobody's keys before it asks."""
    with Agent(softhsm=False, conf=QUIET) as agent:
        yield agent


@pytest.fixture
def watcher():
    """An agent that is told of keys."""
    with Agent(softhsm=False) as agent:
        yield agent


@pytest.fixture
def pair(served, people, agent):
    juliet, romeo = people(2, friends=[(0, 1)])
    add_account(agent, served, juliet)
    yield Pair(agent, served, juliet, romeo)
