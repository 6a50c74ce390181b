#!/usr/bin/env python3
"""A virtual PIV card in a reader behind a real pcscd.

    control.py DIR                serve: everything lives in DIR, until SIGTERM
    control.py DIR COMMAND...     one command to the one that serves there; prints its answer, which is JSON

    remove | insert [NAME]        pull the card; put in the card of that name, made when there is none (first);
                                  both end when pcscd has noticed
    touch SECONDS | hang | error  the use of a key waits so long for a finger, does not end, fails
    lose                          a PIN is counted, and gets no answer until the card is pulled
    ok                            the card behaves again
    replace SLOT ALGORITHM        another key in the slot (9a 9c 9d 9e 82), with a certificate
    duplicate SLOT FROM           a slot gets the key and certificate of another one
    forget SLOT                   no key and no certificate in the slot
    pin-state                     tries left of PIN and PUK
    pin-reset                     another reader's program has set PIN and PUK as they were, with all tries
    log                           the commands that cards got since the last time
    held                          waits until a key is being used, or a PIN was counted, while touch, hang or lose
                                  says so
    pcscd stop | pcscd start      the real one
"""
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "world"))

import keys  # noqa: E402
from memory import CERTIFICATES, PIN, PUK, TRIES, Memory  # noqa: E402
from pcscd import Pcscd  # noqa: E402
from processes import PATIENCE, WorldError, free_ports, ordinary_user  # noqa: E402
from reader import Reader  # noqa: E402


class Control:
    """The commands, by their words."""

    def __init__(self, folder):
        self.folder, self.cards, self.inserted = folder, {}, None
        port = driver_port()
        self.reader, self.pcscd = Reader(port), Pcscd(folder, port)
        self.reader.start()
        self.pcscd.start()
        self.insert("first")

    def remove(self):
        with self.pcscd.notices("Card Removed From", self.inserted is not None):
            self.reader.remove()
            self.inserted = None

    def insert(self, name="first"):
        if name not in self.cards:
            self.cards[name] = Memory(self.folder / f"{name}.card")
        if self.inserted is not self.cards[name]:
            self.remove()
            with self.pcscd.notices("Card inserted into"):
                self.inserted = self.cards[name]
                self.reader.insert(self.inserted)
        return {"serial": self.inserted.serial}

    def touch(self, seconds):
        self.reader.behave(touch=float(seconds))

    def hang(self):
        self.reader.behave(hangs=True)

    def error(self):
        self.reader.behave(errs=True)

    def lose(self):
        self.reader.behave(loses=True)

    def ok(self):
        self.reader.behave()

    def replace(self, slot, algorithm):
        number = int(slot, 16)
        key = keys.make(keys.ALGORITHMS[algorithm])
        self.inserted.put_key(number, key, f"slot {slot} of {self.inserted.path.stem}")
        self.inserted.save()

    def duplicate(self, slot, source):
        number, other = int(slot, 16), int(source, 16)
        self.inserted.put_key(number, self.inserted.key(other), f"slot {slot} as {source}")
        self.inserted.save()

    def forget(self, slot):
        self.inserted.keys.pop(slot)
        self.inserted.loaded.pop(slot, None)
        self.inserted.objects.pop(CERTIFICATES[int(slot, 16)], None)
        self.inserted.save()

    def pin_state(self):
        return {"pin_tries": self.inserted.pin_tries, "puk_tries": self.inserted.puk_tries}

    def pin_reset(self):
        self.inserted.pin, self.inserted.puk = PIN, PUK
        self.inserted.pin_tries = self.inserted.puk_tries = TRIES
        self.inserted.save()

    def log(self):
        taken = self.reader.log[:]
        del self.reader.log[:len(taken)]
        return {"log": taken}

    def held(self):
        with self.reader.news:
            if not self.reader.news.wait_for(lambda: self.reader.held and (self.reader.touch or self.reader.hangs or
                                                                           self.reader.loses), PATIENCE):
                raise ValueError("no key is being used, and no PIN was counted")

    def pcscd_stop(self):
        self.pcscd.stop()

    def pcscd_start(self):
        self.pcscd.start(with_card=self.inserted is not None)

    COMMANDS = ("remove", "insert", "touch", "hang", "error", "lose", "ok", "replace", "duplicate", "forget", "pin_state",
                "pin_reset", "log", "held", "pcscd_stop", "pcscd_start")

    def obey(self, words):
        """A command; gives the answer."""
        name, *args = words
        if name == "pcscd" and args:
            name, args = f"pcscd_{args[0]}", args[1:]
        name = name.replace("-", "_")
        if name not in self.COMMANDS:
            return {"error": f"no such command: {name}"}
        try:
            return getattr(self, name)(*args) or {}
        except (ValueError, KeyError, TypeError, AttributeError, WorldError) as why:
            return {"error": f"{name}: {why}"}


def driver_port():
    """A free port whose next one is free, too: the driver has two slots, of which we use one."""
    while True:
        port, = free_ports(1)
        with contextlib.suppress(OSError), socket.create_server(("", port)), socket.create_server(("", port + 1)):
            return port


def serve(folder):
    """Takes commands until it is ended; as an ordinary user, whoever called."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        uid, gid = ordinary_user()
        os.chown(folder, uid, gid)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    with socket.socket(socket.AF_UNIX) as server:
        path = folder / "control"
        path.unlink(missing_ok=True)
        server.bind(str(path))
        path.chmod(0o777)
        server.listen(16)
        control = Control(folder)
        print("card: ready", flush=True)
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile("rw") as stream:
                stream.write(json.dumps(control.obey(stream.readline().split() or [""])) + "\n")


def ask(folder, *words):
    """One command to the card that is served in the folder; gives the answer."""
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rw") as stream:
        connection.settimeout(2 * PATIENCE)
        connection.connect(str(Path(folder) / "control"))
        stream.write(" ".join(map(str, words)) + "\n")
        stream.flush()
        answer = json.loads(stream.readline())
    if "error" in answer:
        raise WorldError(answer["error"])
    return answer


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    if len(sys.argv) > 2:
        try:
            print(json.dumps(ask(*sys.argv[1:])))
        except (OSError, WorldError) as why:
            print(f"card: {why}", file=sys.stderr)
            return 1
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        serve(Path(sys.argv[1]).resolve())
    except (OSError, WorldError) as why:
        print(f"card: {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
