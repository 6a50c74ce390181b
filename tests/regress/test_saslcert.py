"""XEP-0257, where a server has no ccm2: the same verbs, on a server that nobody here wrote."""
import base64
import json

import pytest
from cryptography import x509

from saslcert_world import SaslCertWorld
from server_fixtures import NUMBERS, Person
from world import DOMAIN, PASSWORD, Failed


@pytest.fixture(scope="module")
def listing():
    """The world with such a server."""
    with SaslCertWorld() as world:
        yield world.up()


@pytest.fixture
def someone(listing):
    """Makes people with a fresh account and a token."""
    made = []

    def make():
        name = f"listed{next(NUMBERS)}"
        listing.server.add_accounts(DOMAIN, [name], PASSWORD)
        made.append(Person(listing, name, True))
        return made[-1]

    yield make
    for person in made:
        person.stop()


def test_account_show_says_which_protocol(someone):
    person = someone()
    assert person.start().signet("account", "show", person.jid)["account"]["protocol"] is None
    assert person.signet("cert", "list", person.jid, *person.password)["certificates"] == []
    assert person.signet("account", "show", person.jid)["account"]["protocol"] == "saslcert"
    person.stop()
    assert person.start().signet("status")["accounts"][0]["protocol"] == "saslcert"
