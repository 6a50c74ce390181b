"""A card as vpcd's driver knows it: one who connects to the driver's port and answers what comes from there.

A message is two bytes of length and its body. A body of one byte switches the power (0 off, 1 on, 2 reset) or asks
for the ATR (4); any other is a command APDU. A card that is pulled is a connection that ends.
"""
import contextlib
import socket
import struct
import threading

from card import ATR, Card

GIVE_ATR = 4
VERIFY, HEADER = 0x20, 5


class Pulled(OSError):
    """The card has left the reader."""


class Reader(threading.Thread):
    """The slot on this port. The card in it, and what that is told to do, are changed by other threads."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.news = threading.Condition()  # protects all below
        self.memory, self.connection, self.log = None, None, []
        self.touch, self.hangs, self.errs, self.loses, self.held = 0.0, False, False, False, 0

    def insert(self, memory):
        with self.news:
            self.memory = memory
            self.news.notify_all()

    def remove(self):
        with self.news:
            self.memory = None
            if self.connection is not None:
                with contextlib.suppress(OSError):  # pcscd has ended meanwhile
                    self.connection.shutdown(socket.SHUT_RDWR)
            self.news.notify_all()

    def behave(self, touch=0.0, hangs=False, errs=False, loses=False):
        """touch: so many seconds until a finger is on the card. hangs: no answer. errs: an error each time.
        loses: no answer to a PIN that was counted."""
        with self.news:
            self.touch, self.hangs, self.errs, self.loses = touch, hangs, errs, loses
            self.news.notify_all()

    def _hold(self, memory):
        """Before a key is used; gives whether that must fail."""
        with self.news:
            self.held += 1
            self.news.notify_all()
            self.news.wait_for(lambda: self.memory is not memory or not self.touch, self.touch)
            self.news.wait_for(lambda: self.memory is not memory or not self.hangs)
            self.held -= 1
            if self.memory is not memory:
                raise Pulled
            return self.errs

    def _lose(self, memory, message):
        """After a command was done; a PIN that gets no answer waits until the card is pulled."""
        with self.news:
            if not self.loses or message[1] != VERIFY or len(message) <= HEADER:
                return
            self.held += 1
            self.news.notify_all()
            self.news.wait_for(lambda: self.memory is not memory)
            self.held -= 1
            raise Pulled

    def run(self):
        while True:
            with self.news:
                self.news.wait_for(lambda: self.memory is not None)
                memory = self.memory
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as connection:
                if self._connected(memory, connection):
                    self._serve(connection, Card(memory, self.log, lambda m=memory: self._hold(m)))
            with self.news:
                # Nobody tells when the driver listens again: it is asked.
                self.connection = None
                self.news.wait(0.02)

    def _connected(self, memory, connection):
        """Whether the card is still there; from now on it is pulled by the end of the connection."""
        with self.news:
            self.connection = connection if self.memory is memory else None
            return self.connection is not None

    def _serve(self, connection, card):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            message = receive(connection, struct.unpack(">H", receive(connection, 2))[0])
            if len(message) > 1:
                answer = card.answer(message)
                self._lose(card.memory, message)
            elif message[0] == GIVE_ATR:
                answer = ATR
            else:
                card.reset()
                continue
            connection.sendall(struct.pack(">H", len(answer)) + answer)


def receive(connection, size):
    data = b""
    while len(data) < size:
        # The driver writes length and body apart: without this each command costs a delayed acknowledgement (40 ms).
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        more = connection.recv(size - len(data))
        if not more:
            raise Pulled
        data += more
    return data
