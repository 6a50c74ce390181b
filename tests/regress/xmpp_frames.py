"""The broker's side of signet-xmpp's channel, in Python: frames as proto/channel.h and proto/msg.h have them."""
import os
import select
import signal
import socket
import struct
import time

from processes import PATIENCE

OK, ERROR, DER = 1, 2, 50
CONNECT, DISCONNECT, FEATURES, CCM2_ADD, CCM2_LIST, CCM2_REVOKE, PEP_PUBLISH, PEP_FETCH = range(64, 72)
PEP_CONFIGURE, PEP_SHOW, PEP_RETRACT, KEYS_ASK, KEYS_SEND, DIRECT_POLICY, PEP_LOOK, SASLCERT_APPEND = range(72, 80)
ONLINE, FEATURE_SET, CCM2_CERTS, KEYINFOS, PEP_NODE, KEYS_SENT = range(96, 102)
OFFLINE, TLS_SIGN, KEYS_SEEN, KEYS_WANTED = range(112, 116)

SIGNATURE = [("issuer", "str"), ("issuer_jid", "str"), ("method", "str"), ("value", "blob")]
KEYINFO = [("name", "str"), ("kind", "u32"), ("data", "blob"), ("signatures", SIGNATURE), ("xml", "str")]
CALLER = [("uid", "u32"), ("pid", "u32"), ("exe", "str"), ("purpose", "str")]
FAILURE = [("code", "u32"), ("message", "str"), ("subject", "str"), ("condition", "str"), ("tries_left", "u32"),
           ("candidates", [(name, "str") for name in ("uri", "label", "id", "serial", "subject")])]
LAYOUTS = {
    OK: [], ERROR: FAILURE, OFFLINE: FAILURE, DER: [("der", "blob")],
    CONNECT: [("jid", "str"), ("host", "str"), ("port", "u32"), ("tls_mode", "u32"), ("cafile", "str"),
              ("certificate", "blob"), ("key_abilities", "u32"), ("protocol", "u32")],
    DISCONNECT: [], FEATURES: [], CCM2_LIST: [],
    CCM2_ADD: [("name", "str"), ("csr", "blob")], CCM2_REVOKE: [("sha256", "str"), ("only_disable", "u32")],
    SASLCERT_APPEND: [("name", "str"), ("der", "blob")],
    PEP_PUBLISH: [("access_model", "str"), ("members", "strs"), ("groups", "strs"), ("renew", "u32"),
                  ("keyinfos", KEYINFO)],
    PEP_CONFIGURE: [("access_model", "str"), ("members", "strs"), ("groups", "strs"), ("renew", "u32")],
    PEP_SHOW: [], PEP_RETRACT: [("names", "strs")],
    PEP_NODE: [("exists", "u32"), ("node", "str"), ("access_model", "str"), ("persist_items", "u32"),
               ("max_items", "str"), ("send_last", "str"), ("offered", "strs"), ("groups_told", "u32"), ("groups", "strs"),
               ("publish_model", "str"), ("members", "strs"),
               ("affiliations", [("jid", "str"), ("affiliation", "str")]), ("subscribers_told", "u32"), ("subscribers", "strs"),
               ("uncertain", "u32"), ("made_anew", "u32"), ("published", "u32")],
    KEYS_ASK: [("to", "str"), ("about", "str"), ("names", "strs")],
    KEYS_SENT: [("revealed", "u32")],
    KEYS_SEND: [("to", "str"), ("about", "str"), ("keyinfos", KEYINFO)],
    DIRECT_POLICY: [("mode", "u32"), ("jids", "strs"), ("watch", "u32")],
    KEYS_SEEN: [("from", "str"), ("about", "str"), ("source", "u32"), ("keyinfos", KEYINFO), ("refused", "u32"),
                ("retracted", "strs")],
    KEYS_WANTED: [("from", "str"), ("about", "str"), ("names", "strs")],
    PEP_FETCH: [("jid", "str"), ("names", "strs")], PEP_LOOK: [("jid", "str"), ("names", "strs")],
    ONLINE: [("jid", "str"), ("mechanism", "str"), ("tls_version", "str"), ("tls_cipher", "str")],
    FEATURE_SET: [("features", "strs")],
    CCM2_CERTS: [("certs", [("name", "str"), ("der", "blob"), ("last_used", "str"), ("users", "strs")]),
                 ("unread", "u32")],
    KEYINFOS: [("keyinfos", KEYINFO), ("refused", "u32"), ("more", "u32"), ("asked", "u32"), ("silent", "u32"),
               ("errors", FAILURE)],
    TLS_SIGN: [(name, "u32" if kind == "u32" else "str") for name, kind in CALLER] +
              [("key", "str"), ("scheme", "u32"), ("tbs", "blob"), ("spki_sha256", "blob")],
}

# Minus enum sg_err.
LIMIT, TIMEOUT, WORKER, DENIED, ARG, FORMAT, UNSUPPORTED, BUSY = 5, 7, 8, 9, 3, 4, 10, 13
PASSWORD_NEEDED, NO_CONNECTION, TLS, AUTH, OFFLINE_ERROR, STANZA, CERT_MISMATCH = 42, 43, 44, 45, 46, 48, 31
RSA_PKCS1, RSA_PSS, ECDSA, RSA_PSS_HASHED = 1, 8, 16, 32


def encode(layout, values):
    out = b""
    for name, kind in layout:
        value = values.get(name)
        if kind == "u32":
            out += struct.pack(">I", value or 0)
        elif kind == "str":
            out += b"\0" if value is None else b"\1" + encode_blob(value.encode())
        elif kind == "blob":
            out += encode_blob(value or b"")
        elif kind == "strs":
            out += struct.pack(">I", len(value or [])) + b"".join(b"\1" + encode_blob(v.encode()) for v in value or [])
        else:
            out += struct.pack(">I", len(value or [])) + b"".join(encode(kind, v) for v in value or [])
    return out


def encode_blob(data):
    return struct.pack(">I", len(data)) + data


class Reader:
    """Takes values off the front of bytes."""

    def __init__(self, data):
        self.data = data

    def take(self, count):
        assert count <= len(self.data)
        out, self.data = self.data[:count], self.data[count:]
        return out

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def blob(self):
        return self.take(self.u32())

    def str(self):
        return self.blob().decode() if self.take(1) == b"\1" else None

    def strs(self):
        return [self.str() for _ in range(self.u32())]

    def message(self, layout):
        return {name: getattr(self, kind)() if isinstance(kind, str) else
                [self.message(kind) for _ in range(self.u32())] for name, kind in layout}


class Worker:
    """A running signet-xmpp and its channel."""

    def __init__(self, world, name, env):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock, self.buffer, self.next_id = ours, b"", 1
        self.sign = None  # called with (scheme, tbs), gives a signature or (code, text)
        self.signed, self.unasked = [], []
        fd = theirs.fileno()
        self.process = world.start(name, ["bash", "-c", f'exec "$0" 3<&{fd} {fd}<&-', world.dir / "bin/signet-xmpp"],
                                   env, pass_fds=[fd])
        theirs.close()

    @property
    def popen(self):
        return self.process.popen

    def close(self):
        """The broker goes away; gives the worker's exit status."""
        self.sock.close()
        try:
            self.popen.wait(PATIENCE)
        finally:
            self.process.stop(signal.SIGKILL)
        return self.popen.returncode

    def send(self, kind, values=None, fd=None, frame_id=None):
        """Sends a frame; gives its id."""
        if frame_id is None:
            frame_id, self.next_id = self.next_id, self.next_id + 1
        body = struct.pack(">IHB", frame_id, kind, fd is not None) + encode(LAYOUTS[kind], values or {})
        data = struct.pack(">I", len(body)) + body
        if fd is None:
            self.sock.sendall(data)
        else:
            sent = socket.send_fds(self.sock, [data], [fd])
            self.sock.sendall(data[sent:])
        return frame_id

    def receive(self, timeout=PATIENCE):
        """The next frame, as (id, type, message); TimeoutError, or EOFError when the worker is gone."""
        deadline = time.monotonic() + timeout
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack(">I", self.buffer[:4])[0]:
            if not select.select([self.sock], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self.buffer += data
        length = struct.unpack(">I", self.buffer[:4])[0]
        frame, self.buffer = self.buffer[4:4 + length], self.buffer[4 + length:]
        frame_id, kind, _ = struct.unpack(">IHB", frame[:7])
        reader = Reader(frame[7:])
        message = reader.message(LAYOUTS[kind])
        assert not reader.data, "trailing bytes"
        return frame_id, kind, message

    def wait(self, frame_id, timeout=PATIENCE):
        """The answer to this request as (type, message); signs for the worker meanwhile."""
        while True:
            got, kind, message = self.receive(timeout)
            if kind == TLS_SIGN:
                assert got >= 1 << 31
                self.signed.append((message["scheme"], message["tbs"]))
                answer = self.sign(message["scheme"], message["tbs"])
                if isinstance(answer, bytes):
                    self.send(DER, {"der": answer}, frame_id=got)
                else:
                    self.send(ERROR, {"code": answer[0], "message": answer[1]}, frame_id=got)
            elif got == frame_id:
                return kind, message
            else:
                self.unasked.append((got, kind, message))

    def ask(self, kind, values=None, timeout=PATIENCE):
        """Sends a request and gives its answer as (type, message)."""
        return self.wait(self.send(kind, values), timeout)

    def connect(self, values, password=None, timeout=PATIENCE):
        """Connects, with the password through a pipe; gives (type, message)."""
        fd = None
        if password is not None:
            fd, end = os.pipe()
            os.write(end, password.encode())
            os.close(end)
        frame_id = self.send(CONNECT, values, fd)
        if fd is not None:
            os.close(fd)
        return self.wait(frame_id, timeout)
