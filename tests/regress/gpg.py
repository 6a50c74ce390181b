"""A gpg of its own: a key ring in a short folder, for the path of its agent's socket is limited."""
import shutil
import tempfile

from world import Failed

PASSPHRASE = "wherefore"


class Gpg:
    """gpg as the world's user, with a GNUPGHOME of its own; a context manager that ends its agent."""

    def __init__(self, world):
        self.world = world
        self.home = tempfile.mkdtemp(prefix="g", dir="/tmp")
        world._chown(self.home)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.world.run("gpgconf", "--kill", "all", env=self.env(), check=False)
        shutil.rmtree(self.home, ignore_errors=True)

    def env(self, env=None):
        """An environment with it."""
        return dict(env or self.world.env(), GNUPGHOME=self.home)

    def __call__(self, *args, **kwargs):
        return self.world.run("gpg", "--batch", "--yes", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase",
                              kwargs.pop("passphrase", ""), *args, env=self.env(), **kwargs)

    def make_key(self, user_id, algorithm="ed25519", *subkeys, **kwargs):
        """A new key that signs (with subkeys, by them): its fingerprint as a keyinfo has it."""
        self("--quick-gen-key", user_id, algorithm, "cert" if subkeys else "cert,sign", "never", **kwargs)
        fingerprint = self.fingerprint(f"={user_id}")
        for subkey in subkeys:
            self("--quick-add-key", fingerprint, subkey, "sign", "never", **kwargs)
        return fingerprint

    def fingerprint(self, name):
        listed = self("--with-colons", "--list-keys", name)
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:")).lower()

    def _file(self, *args):
        path = f"{self.home}/out"
        self("--output", path, *args)
        with open(path, "rb") as file:
            return file.read()

    def export(self, fingerprint, *options):
        """The public key's bytes."""
        return self._file(*options, "--export", fingerprint)

    def export_secret(self, fingerprint, *options):
        return self._file(*options, "--export-secret-keys", fingerprint)

    def sign(self, fingerprint, data, *options):
        """A detached signature over the bytes."""
        return self._file("--local-user", fingerprint, *options, "--detach-sign", self.put("data", data))

    def put(self, name, data):
        """A file with these bytes, in its folder."""
        path = f"{self.home}/{name}"
        with open(path, "wb") as file:
            file.write(data)
        self.world._chown(path)
        return path

    def learn(self, key):
        """Imports a key; gives its fingerprint."""
        said = self("--status-fd", "1", "--import", self.put("key", key))
        return next(line.split()[3] for line in said.splitlines() if " IMPORT_OK " in line).lower()

    def verify(self, signature, data):
        """The fingerprint of the primary key by which the signature is valid; None when it is not."""
        try:
            said = self("--status-fd", "1", "--verify", self.put("sig", signature), self.put("data", data))
        except Failed:
            return None
        return next(line.split()[-1] for line in said.splitlines() if " VALIDSIG " in line).lower()
