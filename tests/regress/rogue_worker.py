"""A signet-xmpp that was taken over: it acts out its part, and asks for signatures whenever it likes.

It runs in place of signet-xmpp, with the channel as descriptor 3, and writes what came of each of its
TLS_SIGN requests into the file that ROGUE_LOG names: when, what kind of answer, and what was in it.
"""
import json
import os
import socket
import struct

from cryptography import x509

import xmpp_frames as frames
from certificates import certificate, make_key, to_der, xmpp_addr

TBS = b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + bytes(32)  # RFC 8446 4.4.3
ECDSA_P256 = 0x0403
TRIES = 9
CCM2 = [f"urn:xmpp:ccm2:{name}:0" for name in ("add-cert", "list-certs", "revoke-cert")]


class Rogue:
    """The worker's end of the channel."""

    def __init__(self):
        self.sock, self.buffer, self.next_id = socket.socket(fileno=3), b"", 1 << 31
        self.jid, self.waiting = None, []

    def send(self, frame_id, kind, values=None):
        body = struct.pack(">IHB", frame_id, kind, 0) + frames.encode(frames.LAYOUTS[kind], values or {})
        self.sock.sendall(struct.pack(">I", len(body)) + body)

    def take(self, count):
        while len(self.buffer) < count:
            data, fds, _, _ = socket.recv_fds(self.sock, 1 << 16, 4)
            for fd in fds:
                os.close(fd)
            if not data:
                raise SystemExit
            self.buffer += data
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def receive(self):
        frame = self.take(struct.unpack(">I", self.take(4))[0])
        frame_id, kind, _ = struct.unpack(">IHB", frame[:7])
        return frame_id, kind, frames.Reader(frame[7:]).message(frames.LAYOUTS[kind])

    def ask(self, when, **more):
        """Asks for a signature, and writes down what came."""
        self.send(self.next_id, frames.TLS_SIGN, {"scheme": ECDSA_P256, "tbs": TBS, **more})
        while (answer := self.receive())[0] != self.next_id:
            self.waiting.append(answer)  # a request of the agent's: it is served after this
        _, kind, message = answer
        self.next_id += 1
        line = [when, kind, message["der"].hex() if kind == frames.DER else message["code"]]
        with open(os.environ["ROGUE_LOG"], "a", encoding="ascii") as log:
            log.write(json.dumps(line) + "\n")

    def connect(self, frame_id, message):
        self.jid = message["jid"]
        how = "certificate" if message["certificate"] else "password"
        for _ in range(TRIES):
            self.ask(f"connecting by {how}")
        self.send(frame_id, frames.ONLINE, {
            "jid": self.jid + "/rogue", "mechanism": "EXTERNAL" if message["certificate"] else "SCRAM-SHA-256",
            "tls_version": "TLSv1.3", "tls_cipher": "none"})
        self.ask(f"online by {how}")
        self.ask(f"online by {how}", key="pkcs11:object=client", uid=os.getuid(), pid=os.getppid(),
                 exe="/usr/bin/signetd", purpose=f"tls-login {self.jid}")

    def certify(self, csr):
        """A certificate as an authority would make it."""
        request = x509.load_der_x509_csr(csr)
        return to_der(certificate(request.public_key(), make_key(), xmpp_addr(self.jid), subject=request.subject))

    def run(self):
        while True:
            frame_id, kind, message = self.waiting.pop(0) if self.waiting else self.receive()
            if kind == frames.CONNECT:
                self.connect(frame_id, message)
            elif kind == frames.FEATURES:
                self.ask("online, in a call")
                self.send(frame_id, frames.FEATURE_SET, {"features": CCM2})
            elif kind == frames.CCM2_ADD:
                self.send(frame_id, frames.DER, {"der": self.certify(message["csr"])})
            elif kind == frames.DIRECT_POLICY:
                self.send(frame_id, frames.OK)
            elif kind == frames.DISCONNECT:
                self.ask("leaving")
                self.send(frame_id, frames.OK)
            else:
                raise AssertionError(kind)


class Plain(Rogue):
    """Asks for nothing, and is online by password; all other requests are its child's, by answer()."""

    def run(self):
        while True:
            frame_id, kind, message = self.receive()
            if kind == frames.CONNECT:
                self.send(frame_id, frames.ONLINE, {"jid": message["jid"] + "/r", "mechanism": "SCRAM-SHA-256",
                                                    "tls_version": "TLSv1.3", "tls_cipher": "none"})
            else:
                self.answer(frame_id, kind, message)


if __name__ == "__main__":
    Rogue().run()
