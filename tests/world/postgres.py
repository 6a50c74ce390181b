"""A private PostgreSQL: its folder, its databases and the process. It listens on a Unix socket in its folder alone."""
import signal
from pathlib import Path

from processes import WorldError, until


def programs():
    """The folder of the newest version's programs."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name),
                         reverse=True):
        if (folder / "initdb").exists():
            return folder
    raise WorldError("PostgreSQL is not installed: run 'make deps'")


class Postgres:
    """Lives in a folder of the world, as the ordinary user."""

    def __init__(self, world, name="postgres"):
        self.world, self.name, self.process = world, name, None
        self.dir, self.bin = world.mkdir(name), programs()
        world.run(self.bin / "initdb", "--no-sync", "-A", "trust", "-U", "tester", "-E", "UTF8", "--locale=C", "-D",
                  self.dir / "data")

    def start(self):
        """Starts it and waits until it answers. What it wrote is only safe from its own death, which is quicker."""
        self.process = self.world.start(self.name, [
            self.bin / "postgres", "-D", self.dir / "data", "-c", f"unix_socket_directories={self.dir}", "-c",
            "listen_addresses=", "-c", "fsync=off"])
        self.process.stop_signal = signal.SIGINT  # by SIGTERM it would wait for its clients to go
        until(lambda: self.world.run(self.bin / "pg_isready", "-q", "-h", self.dir, check=False)[0] == 0,
              f"{self.name} does not answer")
        return self

    def stop(self, sig=None):
        """Ends it: at once but in order, or by another signal."""
        self.process.stop(sig)

    def where(self, database="signet"):
        """How the authority reaches a database of it."""
        return f"host={self.dir} user=tester dbname={database}"

    def create(self, database="signet"):
        self.run("createdb", database)

    def run(self, program, *args):
        """One of PostgreSQL's own programs, on this server."""
        return self.world.run(self.bin / program, "-h", self.dir, "-U", "tester", *args)

    def ask(self, sql, database="signet"):
        """The rows, as lists of texts."""
        out = self.run("psql", "-X", "-A", "-t", "-F", "\t", "-d", database, "-c", sql)
        return [line.split("\t") for line in out.splitlines()]
