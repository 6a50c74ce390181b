"""One server with two domains, whose login modules share the list of the revoked and the file of logins: what is told
of the one takes nothing from the other."""
import base64

import pytest

from authority_client import Stream
from authority_world import serve_domain_too
from login_world import LoginWorld, hex_of, login
from processes import until
from world import DOMAIN, SERVERS

OTHER = "another.test"  # before ours in the alphabet, as one server may go by that


class DomainsWorld(LoginWorld):
    """Both domains are configured in the same way, and both have a juliet."""

    def configure_login(self, **login):
        super().configure_login(**login)
        serve_domain_too(self, OTHER)
        self.server.add_accounts(OTHER, ["juliet"], "secret")


@pytest.fixture(params=sorted(SERVERS))
def place(request):
    with DomainsWorld(request.param) as world:
        world.up()
        yield world


def used(place, cert):
    return place.logins().get(hex_of(cert), (None, None))[1]


def test_the_logins_of_both_are_told(place):
    certs = {domain: login(place, f"juliet@{domain}") for domain in (DOMAIN, OTHER)}
    (ours, our_files), (other, other_files) = certs[DOMAIN], certs[OTHER]
    response = base64.b64encode(f"juliet@{OTHER}".encode()).decode()
    with Stream(place, "juliet", our_files, bind="one"), \
            Stream(place, "juliet", other_files, response, domain=OTHER) as stream:
        stream.bind("two")
        until(lambda: used(place, ours) == ["one"] and used(place, other) == ["two"], "a session is missing")
        with Stream(place, "juliet", our_files, bind="three"):
            until(lambda: used(place, ours) == ["one", "three"] and used(place, other) == ["two"])
    until(lambda: used(place, ours) == used(place, other) == [], "a session is still told")
    place.restart_server()
    before = place.logins()
    assert {hex_of(ours), hex_of(other)} <= set(before)
    with Stream(place, "juliet", our_files, bind="again"):
        until(lambda: used(place, ours) == ["again"])
        assert place.logins()[hex_of(other)] == before[hex_of(other)]
        place.list_revoked(other)
        with Stream(place, "juliet", other_files, response, domain=OTHER) as stream:
            assert not stream.logged_in
