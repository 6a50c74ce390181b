"""A private ejabberd: its configuration, accounts and rosters, and the process. It has no name as an Erlang node, so
that it neither needs nor starts epmd."""
import json
import urllib.error
import urllib.request
from pathlib import Path

from processes import CCM2, PATIENCE, WorldError, free_ports, until


def installed():
    """The folder with ejabberd's libraries and the one with its own programs."""
    for folder in sorted(Path("/usr/lib").glob("*-linux-gnu/ejabberd-*/ebin"), reverse=True):
        if (folder / "ejabberd_c2s.beam").exists():
            return folder.parents[1], folder
    raise WorldError("ejabberd is not installed: run 'make deps'")


class Ejabberd:
    """Lives in a folder of the world, as the ordinary user, on free loopback ports."""

    kind = "ejabberd"

    def __init__(self, world, name="server"):
        self.world, self.name, self.process, self.waiting = world, name, None, []
        self.dir = world.mkdir(name)
        self.libraries, self.ebin = installed()
        self.port, self.direct_port, self.component_port, self.api_port = free_ports(4)

    def serve(self, domain, authority, secret, max_tls="1.3", poll=0.5, ca="ca.pem"):
        """Writes the configuration for one domain that has its authority as a component.

        authority: the folder with its files. secret: the component's. max_tls: the newest version. poll: seconds
        between looks at the list of the revoked. ca: the file whose certificates count alone.
        """
        pki = self.world.pki.dir
        self._install(pki)
        options = ["no_sslv2", "no_sslv3", "no_tlsv1", "no_tlsv1_1"] + (["no_tlsv1_3"] if max_tls == "1.2" else [])
        delegated = "".join(f"      {ns!r}: {{access: authority}}\n" for ns in CCM2)
        client = f"""\
    ip: 127.0.0.1
    module: ejabberd_c2s
    tls_verify: true
    cafile: {authority}/ca.pem
    protocol_options: [{", ".join(options)}]
"""
        self.conf = self.world.write(f"{self.name}/ejabberd.yml", f"""\
hosts: [{domain}]
loglevel: info
log_rotate_count: 0
certfiles: [{self.dir}/server.pem]
ca_file: {pki}/ca.pem
acme: {{auto: false}}
auth_method: [internal]
auth_password_format: scram
disable_sasl_mechanisms: [X-OAUTH2]
s2s_access: none
listen:
  - port: {self.port}
{client}    starttls_required: true
  - port: {self.direct_port}
{client}    tls: true
  - port: {self.component_port}
    ip: 127.0.0.1
    module: ejabberd_service
    hosts:
      ccm.{domain}: {{password: "{secret}"}}
  - port: {self.api_port}
    ip: 127.0.0.1
    module: ejabberd_http
    request_handlers: {{/api: mod_http_api}}
acl:
  loopback: {{ip: 127.0.0.0/8}}
  authority: {{server: ccm.{domain}}}
access_rules:
  authority: {{allow: authority}}
api_permissions:
  accounts:
    who: {{acl: loopback}}
    what: [register, unregister, add_rosteritem, restart_module, reload_config]
modules:
  mod_admin_extra: {{}}
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_disco: {{}}
  mod_http_api: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_pubsub:
    access_createnode: all
    last_item_cache: false
    max_items_node: 20000
    plugins: [flat, pep]
  mod_roster: {{}}
  mod_stream_mgmt: {{resume_timeout: 300}}
  mod_delegation:
    namespaces:
{delegated}\
  mod_signet_login:
    ca: {authority}/{ca}
    revoked: {authority}/revoked.txt
    logins: {authority}/logins.txt
    poll: {round(poll * 1000)}
""", 0o600)

    def _install(self, pki):
        """The server's certificate with its key, and our module, built."""
        self.world.write(f"{self.name}/server.pem", (pki / "server.pem").read_text() + (pki / "server.key").read_text(),
                         0o600)
        source = self.world.install(Path(__file__).parents[2] / "authority/ejabberd/mod_signet_login.erl",
                                    f"{self.name}/mod_signet_login.erl")
        self.world.mkdir(f"{self.name}/ebin")
        self.world.run("erlc", "-Werror", "-pa", self.ebin, "-o", self.dir / "ebin", source, env=self.env())

    def env(self):
        return self.world.env(ERL_LIBS=self.libraries, EJABBERD_CONFIG_PATH=self.dir / "ejabberd.yml",
                              EJABBERD_LOG_PATH=self.dir / "ejabberd.log", HOME=self.dir,
                              ERL_CRASH_DUMP=self.dir / "crash.dump")

    def add_accounts(self, domain, names, password, friends=()):
        """Makes accounts, now or as soon as it runs; friends are pairs of names that have each other in their
        rosters."""
        calls = [("register", {"user": name, "host": domain, "password": password}) for name in names]
        for one, other in (*friends, *((b, a) for a, b in friends)):
            calls.append(("add_rosteritem", {"localuser": one, "localhost": domain, "user": other, "host": domain,
                                             "subs": "both", "group": "", "nick": ""}))
        if self.process is None:
            self.waiting += calls
        else:
            self.command(*calls)

    def remove_account(self, domain, name):
        """Takes an account away from the running server."""
        self.command(("unregister", {"user": name, "host": domain}))

    def command(self, *calls):
        """Has the server run these commands: pairs of name and arguments."""
        for name, values in calls:
            request = urllib.request.Request(f"http://127.0.0.1:{self.api_port}/api/{name}",
                                             json.dumps(values).encode(), {"Content-Type": "application/json"})
            try:
                urllib.request.urlopen(request, timeout=PATIENCE).close()
            except urllib.error.HTTPError as why:
                raise WorldError(f"{self.name}: {name}: {why.read().decode()}\n{self.process.last()}") from why

    def start(self):
        """Starts it, waits until it listens for clients, the component and our commands, and makes the accounts.

        +sss: its XML writer recurses on a scheduler's stack; with the usual one, a client's stanza of 5,000 levels
        ends ejabberd.
        """
        self.process = self.world.start(self.name, [
            "erl", "-noinput", "+K", "true", "+sss", "2048", "-pa", self.dir / "ebin", "-mnesia", "dir",
            f'"{self.dir}/db"', "-s", "ejabberd"], self.env())
        for port in (self.port, self.direct_port, self.component_port, self.api_port):
            self.process.wait_port(port)
        calls, self.waiting = self.waiting, []
        self.command(*calls)
        return self

    def wait_delegated(self, mark):
        """Until the component serves what is delegated to it since this mark: it has to answer first what it can do,
        for the domain and for the accounts."""
        until(lambda: sum("is delegated to" in line for line in self.process.said(mark)) >= 2 * len(CCM2),
              f"{self.name} delegates nothing")

    def stop(self):
        """Ends it as its administrator does."""
        self.process.stop()
