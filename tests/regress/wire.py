"""One end of a stream, byte for byte."""
import codecs
import re

from processes import PATIENCE


class Wire:
    """Sends text, and waits until the other end has said something."""

    def __init__(self, sock):
        self.buffer, self.heard, self.before = "", "", ""
        self.use(sock)

    def use(self, sock):
        """Goes on by this socket."""
        self.sock, self.decoder = sock, codecs.getincrementaldecoder("utf-8")()
        self.sock.settimeout(PATIENCE)

    def send(self, text):
        self.sock.sendall(text.encode() if isinstance(text, str) else text)

    def hear(self, pattern):
        """Waits for this; gives the match, and puts what came before it into 'before'. EOFError at the end."""
        while not (match := re.search(pattern, self.buffer, re.S)):
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError(f"the other end left before it said {pattern}: {self.buffer}")
            text = self.decoder.decode(data)
            self.buffer += text
            self.heard += text
        self.before, self.buffer = self.buffer[:match.start()], self.buffer[match.end():]
        return match

    def hear_all(self):
        """All that was ever heard, once the other end is gone."""
        try:
            self.hear("(?!)")
        except (EOFError, OSError):
            pass
        return self.heard

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
