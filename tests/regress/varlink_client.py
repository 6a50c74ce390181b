"""A raw client of the agent's API, with the interface file read as a judge of every reply."""
import array
import contextlib
import fcntl
import json
import os
import re
import socket
import termios

from processes import PATIENCE
from world import TOP

INTERFACE = TOP / "proto/org.signet.Agent.varlink"
AGENT = "org.signet.Agent."
SERVICE = "org.varlink.service."


class Interface:
    """The types, methods and errors of the interface file."""

    def __init__(self, text):
        self.types, self.methods, self.errors = {}, {}, {}
        text = re.sub(r"#.*", "", text)
        self.tokens = re.findall(r"\w+(?:\.\w+)*|->|\[\]|[(),:?]", text)
        assert self.take() == "interface" and self.take() + "." == AGENT
        while self.tokens:
            kind, name = self.take(), self.take()
            if kind == "method":
                takes = self.struct()
                assert self.take() == "->"
                self.methods[name] = (takes, self.struct())
            else:
                {"type": self.types, "error": self.errors}[kind][name] = self.struct()

    def take(self):
        return self.tokens.pop(0)

    def struct(self):
        """A struct as a dict, or an enum as a list of words."""
        assert self.take() == "("
        fields, words = {}, []
        while self.tokens[0] != ")":
            name = self.take()
            if self.tokens[0] == ":":
                self.take()
                fields[name] = self.type()
            else:
                words.append(name)
            if self.tokens[0] == ",":
                self.take()
        self.take()
        return words if words else fields

    def type(self):
        if self.tokens[0] == "?":
            self.take()
            return ("maybe", self.type())
        if self.tokens[0] == "[]":
            self.take()
            return ("list", self.type())
        if self.tokens[0] == "(":
            return self.struct()
        return self.take()

    def check(self, value, shape, where="reply"):
        """Asserts that the value has the shape, with no member more and none less."""
        if isinstance(shape, tuple) and shape[0] == "maybe":
            if value is not None:
                self.check(value, shape[1], where)
        elif isinstance(shape, tuple):
            assert isinstance(value, list), (where, value)
            for i, item in enumerate(value):
                self.check(item, shape[1], f"{where}[{i}]")
        elif isinstance(shape, list):
            assert value in shape, (where, value)
        elif isinstance(shape, dict):
            assert isinstance(value, dict), (where, value)
            assert not set(value) - set(shape), (where, set(value) - set(shape))
            for name, inner in shape.items():
                optional = isinstance(inner, tuple) and inner[0] == "maybe"
                assert optional or name in value, (where, name)
                self.check(value.get(name), inner, f"{where}.{name}")
        elif shape in self.types:
            self.check(value, self.types[shape], where)
        else:
            wanted = {"string": str, "int": int, "bool": bool}[shape]
            assert isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)), (where, value)


IDL = Interface(INTERFACE.read_text())


class AgentError(Exception):
    """An error reply."""

    def __init__(self, error, parameters):
        super().__init__(error, parameters)
        self.name = error.rsplit(".", 1)[1]
        self.error = error
        self.parameters = parameters


class Client:
    """One connection, with no library between."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(path))
        self.buffer = b""
        self.asked = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send_raw(self, data, fds=()):
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            sent = self.sock.sendmsg([data], rights)
            data = data[sent:]
        if data:
            self.sock.sendall(data)

    def send(self, method, parameters=None, fds=(), **flags):
        """Sends a call; a method without an interface is one of the agent's."""
        if "." not in method:
            method = AGENT + method
        self.asked.append(method)
        message = {"method": method, **({} if parameters is None else {"parameters": parameters}), **flags}
        self.send_raw(json.dumps(message).encode() + b"\0", fds)

    def unread(self):
        """Whether the agent has still to read something of what was sent."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self.sock, termios.TIOCOUTQ, waiting)
        return waiting[0] > 0

    def receive_raw(self):
        """The next message, or None when the agent has closed."""
        while b"\0" not in self.buffer:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                assert not self.buffer, self.buffer
                return None
            self.buffer += data
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def receive(self):
        """The next reply's parameters, checked against the interface; an error is raised."""
        reply = self.receive_raw()
        assert reply is not None, "the agent closed the connection"
        method = self.asked[0] if self.asked else ""
        if not reply.get("continues"):
            self.asked = self.asked[1:]
        if "error" in reply:
            name = reply["error"].rsplit(".", 1)[1]
            if reply["error"].startswith(AGENT):
                IDL.check(reply["parameters"], IDL.errors[name], name)
                assert reply["parameters"]["message"]
            raise AgentError(reply["error"], reply["parameters"])
        if method.startswith(AGENT):
            IDL.check(reply["parameters"], IDL.methods[method[len(AGENT):]][1], method)
        return reply["parameters"]

    def call(self, method, parameters=None, fds=(), **flags):
        self.send(method, parameters, fds, **flags)
        return self.receive()

    def error(self, method, parameters=None, fds=(), **flags):
        """Makes a call that must fail, and gives its error."""
        self.send(method, parameters, fds, **flags)
        return self.error_of_next()

    def error_of_next(self):
        """The next reply, which must be an error."""
        try:
            reply = self.receive()
        except AgentError as error:
            return error
        raise AssertionError(f"this should have failed: {reply}")

    def closed(self):
        """Whether the agent has closed, with nothing more said."""
        return self.receive_raw() is None


@contextlib.contextmanager
def secret(text):
    """A descriptor to read the text from."""
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    try:
        yield read
    finally:
        os.close(read)
