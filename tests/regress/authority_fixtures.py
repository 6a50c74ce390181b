"""The fixtures that the tests of the authority share."""
import pytest

from authority_client import Client
from authority_world import AuthorityWorld
from world import SERVERS


@pytest.fixture(scope="module", params=sorted(SERVERS))
def place(request):
    """Server and authority."""
    with AuthorityWorld(request.param) as world:
        world.up()
        yield world


@pytest.fixture
def client(place):
    """A client of a fresh account, logged in by password."""
    with Client(place, place.account()) as client:
        yield client
