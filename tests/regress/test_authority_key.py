"""The authority's key is lost, and another is made, as AUTHORITY.md has it: who enrols again logs in again. Nobody is
locked out by the order in which the new one comes to servers and authorities."""
import pytest

from authority_client import Client, bare, sha256
from authority_world import AuthorityWorld, key_files, revoked_list
from certificates import make_csr, make_key
from world import SERVERS


@pytest.fixture(params=sorted(SERVERS))
def place(request):
    with AuthorityWorld(request.param) as world:
        world.up()
        yield world


def replace_key(place, served=True):
    """Another token, key and certificate, of which the server knows, unless told not so. Server and authority are
    restarted."""
    place.authority.stop()
    place.authority_env = place.env(SOFTHSM2_CONF=place.make_token("authority/token-2", "second"))
    place.configure("token = authority", "token = second")
    before = (place.dir / "authority/ca.pem").read_text()
    place.make_ca()
    if not served:
        place.write("authority/ca.pem", before)
    place.server.stop()
    place.start_server()
    place.start_authority()


def test_c5_a_certificate_by_a_former_key_is_not_given_again(place):
    name, key = place.account(), make_key()
    with Client(place, name) as client:
        csr = make_csr(key, bare(client))
        former, other = client.added(csr), client.added(make_csr(make_key(), bare(client)))
    replace_key(place)
    with Client(place, name) as client:
        der = client.added(csr)
        assert der != former and client.added(csr) == der
        assert {entry[1] for entry in client.listed()} == {der, other, former}
    with Client(place, name, key_files(place, key, der)) as client:
        assert client.logged_in


def test_c5_a_certificate_that_logs_in_is_not_revoked_for_another(place):
    """The server has not heard of the new key yet: what was issued by the former one is all that it takes."""
    name, key = place.account(), make_key()
    with Client(place, name) as client:
        csr = make_csr(key, bare(client))
        former = client.added(csr)
    replace_key(place, served=False)
    with Client(place, name, key_files(place, key, former)) as client, Client(place, place.account()) as other:
        assert client.added(csr) != former
        theirs = sha256(other.added(make_csr(make_key(), bare(other))))
        assert other.revoke(theirs).get("type") == "result"
        assert revoked_list(place) == [theirs]
    with Client(place, name, key_files(place, key, former)) as client:
        assert client.logged_in
