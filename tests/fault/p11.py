"""A PKCS#11 module called raw, by its function list; and a SoftHSM token behind libsignet-fault.so."""
import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from ctypes import POINTER, byref, c_ubyte, c_ulong, c_void_p
from pathlib import Path

from world import BUILD, TOP, softhsm_module

FAULT = (BUILD / "lib/libsignet-fault.so").resolve()
SOFTHSM = softhsm_module()
PIN = "1234"
SO_PIN = "12345678"
USER, CONTEXT = 1, 2
SERIAL_SESSION, RW_SESSION = 4, 2
CKA = {"CLASS": 0, "TOKEN": 1, "LABEL": 3, "ID": 0x102, "SIGN": 0x108, "ALWAYS_AUTHENTICATE": 0x202}
PRIVATE = 3
ECDSA, EC_GEN = 0x1041, 0x1040
HEADER = subprocess.run(["pkg-config", "--variable=includedir", "p11-kit-1"], capture_output=True, text=True,
                        check=False).stdout.strip() or "/usr/include"
TEXT = next(p for p in (Path(HEADER) / "p11-kit-1/p11-kit/pkcs11.h", Path(HEADER) / "p11-kit/pkcs11.h")
            if p.exists()).read_text()
FUNCTIONS = re.findall(r"^  CK_C_\w+ (C_\w+);", TEXT.split("struct ck_function_list\n")[1].split("};")[0], re.M)
CKR = {int(value, 0): name for name, value in re.findall(r"define (CKR_\w+)\s+\((0x[0-9a-fA-F]+|\d+)UL\)", TEXT)}


class Attribute(ctypes.Structure):
    _fields_ = [("type", c_ulong), ("value", c_void_p), ("len", c_ulong)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", c_ulong), ("parameter", c_void_p), ("len", c_ulong)]


class InitArgs(ctypes.Structure):
    _fields_ = [("mutexes", c_void_p * 4), ("flags", c_ulong), ("reserved", c_void_p)]


class TokenInfo(ctypes.Structure):
    _fields_ = [("label", c_ubyte * 32), ("manufacturer", c_ubyte * 32), ("model", c_ubyte * 16),
                ("serial", c_ubyte * 16), ("flags", c_ulong), ("counts", c_ulong * 10), ("versions", c_ubyte * 4),
                ("time", c_ubyte * 16)]


class SlotInfo(ctypes.Structure):
    _fields_ = [("description", c_ubyte * 64), ("manufacturer", c_ubyte * 32), ("flags", c_ulong),
                ("versions", c_ubyte * 4)]


class Failed(Exception):
    """A function gave something else than CKR_OK."""

    def __init__(self, function, rv):
        super().__init__(f"{function}: {CKR.get(rv, hex(rv))}")
        self.name = CKR.get(rv, hex(rv))


def template(**attributes):
    """(array, count): values are bool, int (CK_ULONG) or bytes."""
    array, keep = (Attribute * len(attributes))(), []
    for at, (name, value) in zip(array, attributes.items()):
        if isinstance(value, bool):
            value = bytes([value])
        elif isinstance(value, int):
            value = value.to_bytes(ctypes.sizeof(c_ulong), "little")
        buffer = ctypes.create_string_buffer(value, len(value))
        keep.append(buffer)
        at.type, at.value, at.len = CKA[name], ctypes.cast(buffer, c_void_p), len(value)
    array.keep = keep
    return array, len(attributes)


class Module:
    """libsignet-fault.so in this process; call() raises, rv() gives the name of the result."""

    def __init__(self):
        library = ctypes.CDLL(str(FAULT))
        found = c_void_p()
        assert library.C_GetFunctionList(byref(found)) == 0
        pointers = ctypes.cast(found.value + ctypes.sizeof(c_void_p), POINTER(c_void_p))
        self.functions = {name: pointers[i] for i, name in enumerate(FUNCTIONS)}

    def rv(self, name, *args):
        function = ctypes.CFUNCTYPE(c_ulong)(self.functions[name])
        value = function(*[c_ulong(a) if isinstance(a, int) else a for a in args]) & (2 ** 64 - 1)
        return CKR.get(value, hex(value))

    def call(self, name, *args):
        rv = self.rv(name, *args)
        if rv != "CKR_OK":
            raise Failed(name, next(v for v, n in CKR.items() if n == rv))

    def start(self):
        self.call("C_Initialize", byref(InitArgs(flags=2)))

    def slots(self, present=True):
        slots, n = (c_ulong * 16)(), c_ulong(16)
        self.call("C_GetSlotList", int(present), slots, byref(n))
        return list(slots[:n.value])

    def token(self, slot):
        info = TokenInfo()
        self.call("C_GetTokenInfo", slot, byref(info))
        return info

    def open(self, slot, flags=SERIAL_SESSION | RW_SESSION):
        session = c_ulong()
        self.call("C_OpenSession", slot, flags, None, None, byref(session))
        return session.value

    def login(self, session, pin=PIN, user=USER):
        return self.rv("C_Login", session, user, pin.encode(), len(pin))

    def find(self, session, **attributes):
        handles, n = (c_ulong * 32)(), c_ulong()
        self.call("C_FindObjectsInit", session, *template(**attributes))
        self.call("C_FindObjects", session, handles, 32, byref(n))
        self.call("C_FindObjectsFinal", session)
        return list(handles[:n.value])

    def get(self, session, handle, name, room=64):
        buffer = ctypes.create_string_buffer(room)
        at = Attribute(CKA[name], ctypes.cast(buffer, c_void_p), room)
        self.call("C_GetAttributeValue", session, handle, byref(at), 1)
        return buffer.raw[:at.len]

    def sign_init(self, session, key, mechanism=ECDSA):
        return self.rv("C_SignInit", session, byref(Mechanism(mechanism)), key)

    def sign(self, session):
        out, n = (c_ubyte * 512)(), c_ulong(512)
        return self.rv("C_Sign", session, b"\1" * 32, 32, out, byref(n))

    def generate(self, session, label=b"new"):
        curve = bytes.fromhex("06082a8648ce3d030107")
        public, n = template(TOKEN=True, LABEL=label, ID=b"\x77")
        whole = (Attribute * 4)(*public, Attribute(0x180, ctypes.cast(ctypes.c_char_p(curve), c_void_p), len(curve)))
        private, n2 = template(TOKEN=True, LABEL=label, ID=b"\x77", SIGN=True)
        one, two = c_ulong(), c_ulong()
        return self.rv("C_GenerateKeyPair", session, byref(Mechanism(EC_GEN)), whole, n + 1, private, n2, byref(one),
                       byref(two))


class Folder:
    """A SoftHSM token with the P-256 keys 'one' (id 01) and 'two' (id 02), a script, a log and a state file."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="signet-fault-"))
        self.env = {"SIGNET_FAULT_MODULE": SOFTHSM, "SIGNET_FAULT_SCRIPT": str(self.dir / "script"),
                    "SIGNET_FAULT_LOG": str(self.dir / "log"), "SIGNET_FAULT_STATE": str(self.dir / "state")}
        out = subprocess.run(["bash", TOP / "softhsm-fixtures/softhsm.sh", self.dir / "hsm", "token"], check=True,
                             capture_output=True, text=True).stdout
        self.env["SOFTHSM2_CONF"] = out.split()[-1]
        self.script("")
        for label, number in (("one", "01"), ("two", "02")):
            self.tool("--login", "--pin", PIN, "--keypairgen", "--key-type", "EC:prime256v1", "--label", label, "--id",
                      number)

    def script(self, text):
        """Puts another script in the place of the one before, whole at once."""
        (self.dir / "script.new").write_text(text + "\n")
        os.rename(self.dir / "script.new", self.dir / "script")

    def log(self):
        return (self.dir / "log").read_text().splitlines()

    def tool(self, *args, good=True):
        """pkcs11-tool, a program that is not ours; gives what it said."""
        done = subprocess.run(["pkcs11-tool", "--module", FAULT, *args], capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, **self.env), check=False)
        assert not good or done.returncode == 0, done.stdout + done.stderr
        assert good or done.returncode != 0, done.stdout
        self.status = done.returncode
        return done.stdout + done.stderr

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)
