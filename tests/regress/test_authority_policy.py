"""What the operator allows: accounts, kinds of keys, lifetimes, and how often an account may ask; on both servers."""
import datetime
import re
import signal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from authority_client import NS_LIST, NS_REVOKE, Client, Stream, add_text, bare, error_of, sha256
from authority_world import AuthorityWorld
from certificates import make_csr, make_key
from world import DOMAIN, SERVERS, Failed

OFTEN = 50


class StrictWorld(AuthorityWorld):
    """An authority that allows little."""

    def __init__(self, server):
        super().__init__(server)
        self.requests = OFTEN

    def make_authority(self):
        super().make_authority()
        self.list_accounts("juliet", "romeo")
        self.configure("[token]", f"""\
accounts = {self.dir}/authority/accounts.txt
refused-accounts = mallory@{DOMAIN}
key-algorithms = rsa3072 p256
lifetime-hours = 2
[token]""")

    def list_accounts(self, *names):
        self.write("authority/accounts.txt", "# may have certificates\n" + "".join(f"{n}@{DOMAIN}\n" for n in names))

    def account(self):
        """A new account that is allowed."""
        name = super().account()
        self.list_accounts("juliet", "romeo", name)
        self.reload()
        return name

    def reload(self):
        """Has the authority read its lists of accounts."""
        mark = self.authority.mark()
        self.authority.popen.send_signal(signal.SIGHUP)
        self.authority.wait_line("SIGHUP", since=mark)


@pytest.fixture(scope="module", params=sorted(SERVERS))
def place(request):
    with StrictWorld(request.param) as world:
        world.up()
        world.server.add_accounts(DOMAIN, ["mallory"], "secret")
        yield world


@pytest.fixture
def client(place):
    with Client(place, place.account()) as client:
        yield client


def text_of(answer):
    """What the error says to the person."""
    return answer.find("{jabber:client}error/{urn:ietf:params:xml:ns:xmpp-stanzas}text").text


def decisions(lines, verb, account, outcome=""):
    """The log's lines of these decisions."""
    return [line for line in lines if f": {verb} outcome={outcome}" in line
            and line.partition(" account=")[2].split()[0] == account]


@pytest.mark.parametrize("kind, good", [("rsa3072", True), ("p256", True), ("rsa2048", False), ("rsa4096", False),
                                        ("p384", False), ("p521", False)])
def test_c6_the_kinds_that_are_configured(client, kind, good):
    answer = client.add(make_csr(make_key(kind), bare(client)))
    assert (answer.get("type") == "result") == good
    if not good:
        assert error_of(answer) == ("modify", "not-acceptable")
        assert text_of(answer).endswith("one of these kinds: rsa3072, p256.")


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP224R1())],
                         ids=["rsa1024", "p224"])
def test_c6_a_key_that_is_never_accepted_is_told_the_kinds_that_are_configured(client, key):
    answer = client.add(make_csr(key, bare(client)))
    assert error_of(answer) == ("modify", "not-acceptable")
    assert text_of(answer).endswith("one of these kinds: rsa3072, p256.")


def test_c6_an_account_that_is_not_allowed_is_forbidden_until_it_is(place, client):
    csr = make_csr(make_key(), bare(client))
    der = client.added(csr)
    place.list_accounts("juliet", "romeo")
    place.reload()
    answer = client.add(csr)
    assert error_of(answer) == ("auth", "forbidden")
    assert "Ask the operator of your server" in text_of(answer)
    # what it has, it can see and revoke
    assert [entry[1] for entry in client.listed()] == [der]
    assert client.revoke(sha256(der)).get("type") == "result"
    assert len(decisions(place.authority.said(0), "add", bare(client), "forbidden")) == 1
    place.list_accounts(client.boundjid.user.upper())
    place.reload()
    assert client.added(csr) != der


def test_c6_an_account_that_is_refused_is_forbidden(place):
    place.list_accounts("mallory")
    place.reload()
    with Client(place, "mallory") as mallory:
        assert error_of(mallory.add(make_csr(make_key(), bare(mallory)))) == ("auth", "forbidden")
        assert mallory.listed() == []


def test_accounts_that_cannot_be_read_change_nothing(place, client):
    place.write("authority/accounts.txt", f"{bare(client)}/phone\n")
    mark = place.authority.mark()
    place.reload()
    place.authority.wait_line("accounts.txt:1: not an account", since=mark)
    place.authority.wait_line("what was read before goes on to count", since=mark)
    client.added(make_csr(make_key(), bare(client)))
    # at the start it is an end, and said
    with pytest.raises(Failed) as failed:
        place.run("signet-authority", "--config", place.authority_conf, "run", env=place.authority_env)
    assert failed.value.status == 2 and "accounts.txt:1: not an account" in failed.value.err


def test_c11_hours_are_a_lifetime(client):
    cert = x509.load_der_x509_certificate(client.added(make_csr(make_key(), bare(client))))
    assert cert.not_valid_after - cert.not_valid_before == datetime.timedelta(hours=2, minutes=5)


def test_c6_a_thousand_requests_at_once_keep_nobody_from_being_served(place):
    """Who is answered when is read in the authority's log, decision by decision. Of the burst, so many are looked at
    as a minute has, and of those so many granted as an account may have."""
    names = [AuthorityWorld.account(place) for _ in range(2)]
    place.list_accounts(*names)
    place.reload()
    burst, other = (f"{name}@{DOMAIN}" for name in names)
    csrs = [make_csr(make_key(), burst) for _ in range(20)]
    mark = place.authority.mark()
    asked = [f"<iq type='set' id='b{i}'>{add_text(csrs[i % 20])}</iq>" for i in range(1000)]
    with Stream(place, names[0]) as stream, Stream(place, names[1]) as calm:
        stream.bind("burst")
        calm.bind("calm")
        stream.send("".join(asked[:100]))
        calm.send(f"<iq type='set' id='calm'>{add_text(make_csr(make_key(), other))}</iq>")
        stream.send("".join(asked[100:]))
        der = calm.hear("<x509certificate>([^<]*)</x509certificate>")[1]
        calm.send(f"<iq type='get' id='list'><list-certificates-request xmlns='{NS_LIST}'/></iq>")
        calm.hear("</list-of-certificates>")
        assert calm.before.count(der) == calm.before.count("<x509cert>") == 1
        # who asked too often waits, but not to revoke
        stream.send(f"<iq type='set' id='revoke'><revoke-certificate xmlns='{NS_REVOKE}'><fingerprint>{'0' * 64}"
                    f"</fingerprint></revoke-certificate></iq><iq type='get' id='list'>"
                    f"<list-certificates-request xmlns='{NS_LIST}'/></iq>")
        stream.hear("id=['\"]revoke['\"]")
        stream.hear("<item-not-found")
        stream.hear("id=['\"]list['\"]")
        stream.hear("asks too often. Wait a minute")
    said = place.authority.said(since=mark)
    adds = decisions(said, "add", burst)
    assert len(adds) == 1000
    issued = [line for line in adds if "outcome=issued" in line]
    assert len({re.search("sha256=([0-9a-f]+)", line).group(1) for line in issued}) == len(issued) == place.certificates
    held = [line for line in adds if "asks too often" in line]
    looked = [line for line in adds if line not in held]
    assert OFTEN <= len(looked) < 500
    assert all("outcome=resource-constraint" in line for line in held)
    order = [i for i, line in enumerate(said) if line in adds]
    assert said.index(decisions(said, "add", other)[0]) < order[-1], "served after the burst"


def test_c6_the_answer_to_a_burst_says_what_to_do(place, client):
    for asked in range(20 * OFTEN):  # while it asks, time goes by, in which it may ask again
        late = client.iq("get", f"<list-certificates-request xmlns='{NS_LIST}'/>")
        if late.get("type") == "error":
            break
    assert asked >= OFTEN and error_of(late) == ("wait", "resource-constraint")
    assert text_of(late) == "Your account asks too often. Wait a minute, then try again."
