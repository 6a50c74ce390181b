"""CAs and certificates of the world's servers, by the openssl command."""
EC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")


class Pki:
    """Everything is in one folder: NAME.key, NAME.pem."""

    def __init__(self, world):
        self.world, self.dir = world, world.mkdir("pki")

    def make_ca(self, name):
        """A CA; gives the path of its certificate."""
        self.world.run("openssl", "req", "-x509", "-newkey", *EC, "-nodes", "-days", 30, "-keyout",
                       self.dir / f"{name}.key", "-out", self.dir / f"{name}.pem", "-subj", f"/CN=Private test {name}",
                       "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        return self.dir / f"{name}.pem"

    def issue(self, name, ca, san, key=EC, days=30):
        """A certificate by that CA for a server or a client; gives its path."""
        path = self.dir / name
        self.world.run("openssl", "req", "-newkey", *key, "-nodes", "-keyout", f"{path}.key", "-out", f"{path}.csr",
                       "-subj", f"/CN={name}")
        extensions = self.world.write(f"pki/{name}.ext", "basicConstraints=critical,CA:FALSE\n"
                                      "keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\n"
                                      f"subjectAltName={san}\n")
        self.world.run("openssl", "x509", "-req", "-in", f"{path}.csr", "-CA", self.dir / f"{ca}.pem", "-CAkey",
                       self.dir / f"{ca}.key", "-CAcreateserial", "-days", days, "-extfile", extensions, "-out",
                       f"{path}.pem")
        return self.dir / f"{name}.pem"
