"""The authority's key is lost, and another is made, as AUTHORITY.md has it: who enrols again logs in again."""
import pytest

from authority_client import Client, bare, sha256
from authority_world import AuthorityWorld, key_files, revoked_list
from certificates import make_csr, make_key
from processes import until
from world import SERVERS


@pytest.fixture(params=sorted(SERVERS))
def place(request):
    with AuthorityWorld(request.param) as world:
        world.up()
        yield world


def replace_key(place):
    """Another token, key and certificate; server and authority are restarted."""
    place.authority.stop()
    place.authority_env = place.env(SOFTHSM2_CONF=place.make_token("authority/token-2", "second"))
    place.configure("token = authority", "token = second")
    place.make_ca()
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
        assert {entry[1] for entry in client.listed()} == {der, other}
        place.authority.wait_line(f"revoke outcome=revoked sha256={sha256(former)} account={bare(client)}")
        until(lambda: sha256(former) in revoked_list(place), "it is revoked, and the server does not hear of it")
    with Client(place, name, key_files(place, key, der)) as client:
        assert client.logged_in
