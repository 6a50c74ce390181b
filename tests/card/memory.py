"""What a card keeps without power: PIN, PUK and their counters, keys, data objects, serial number; a file of JSON."""
import json
import os
import zlib

import keys
from apdu import tlv

PIN, PUK, TRIES = "123456", "12345678", 3
# The slots that have a key from the start, with the algorithm. 9c wants the PIN for each signature, 9e none at all.
SLOTS = {0x9A: "rsa2048", 0x9C: "rsa2048", 0x9D: "p256", 0x9E: "p256", 0x82: "p384"}
CERTIFICATES = {0x9A: "5fc105", 0x9C: "5fc10a", 0x9D: "5fc10b", 0x9E: "5fc101",
                **{0x82 + n: f"{0x5FC10D + n:06x}" for n in range(20)}}
ATTESTING = "5fff01"


class Memory:
    """A card's memory in the file; written from the start when there is none yet."""

    def __init__(self, path):
        self.path = path
        if path.exists():
            self.__dict__.update(json.loads(path.read_text()), path=path)
        else:
            self._personalise()
        self.loaded = {}

    def _personalise(self):
        self.serial = 10_000_000 + zlib.crc32(self.path.stem.encode()) % 10_000_000
        self.pin, self.puk, self.pin_tries, self.puk_tries = PIN, PUK, TRIES, TRIES
        self.keys, self.objects, self.loaded = {}, {}, {}
        for slot, algorithm in SLOTS.items():
            self.put_key(slot, keys.make(keys.ALGORITHMS[algorithm]), f"slot {slot:02x} of {self.path.stem}")
        attesting = keys.make(keys.ALGORITHMS["p256"])
        self.keys["f9"] = keys.dump(attesting)
        self.put_certificate(ATTESTING, keys.certificate(attesting, "attestation", ca=True))
        # Card holder unique identifier, card capability container, key history, discovery (SP 800-73-4, part 1).
        holder = bytes.fromhex("3019d4e739da739ced39ce739d836858210842108421c84210c3eb3410") + os.urandom(16)
        capability = bytes.fromhex("f015a000000116ff02") + os.urandom(14)
        self.objects["5fc102"] = (holder + bytes.fromhex("350832303530303130313e00fe00")).hex()
        self.objects["5fc107"] = capability.hex() + "f10121f20121f300f40100f50110f600f700fa00fb00fc00fd00fe00"
        self.objects["5fc10c"] = "c10101c20100fe00"
        self.objects["7e"] = "4f0ba0000003080000100001005f2f024010"
        self.save()

    def save(self):
        state = {name: value for name, value in self.__dict__.items() if name not in ("path", "loaded")}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(self.path)

    def key(self, slot):
        """The key in the slot, or None."""
        name = f"{slot:02x}"
        if name in self.keys and name not in self.loaded:
            self.loaded[name] = keys.load(self.keys[name])
        return self.loaded.get(name)

    def put_key(self, slot, key, name=None):
        """A key in place of the one before, with a certificate beside it when that gets a name."""
        self.keys[f"{slot:02x}"] = keys.dump(key)
        self.loaded.pop(f"{slot:02x}", None)
        if name is not None:
            self.put_certificate(CERTIFICATES[slot], keys.certificate(key, name))

    def put_certificate(self, tag, der):
        self.objects[tag] = (tlv(0x70, der) + bytes.fromhex("710100fe00")).hex()
