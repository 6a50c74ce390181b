"""What tests share that run on every kind of server: a world of each, and people with fresh accounts in it."""
import pytest

from person import new_people
from world import SERVERS, World


@pytest.fixture(scope="session", params=sorted(SERVERS))
def served(request):
    """A running server of each kind ('.kind' says which) with the authority, shared by all tests of the session."""
    with World(server=request.param) as world:
        world.up()
        yield world


@pytest.fixture
def people(served):
    """Makes people as new_people() does, and stops their agents at the end."""
    made = []

    def make(*args, **more):
        made.extend(new := new_people(served, *args, **more))
        return new

    yield make
    for person in made:
        person.stop()
