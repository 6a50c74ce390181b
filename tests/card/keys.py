"""Private keys of the card's slots: made, stored, shown and used as PIV does it (NIST SP 800-73-4 and -78-4)."""
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

from apdu import BAD_DATA, BAD_LENGTH, Refused, tlv

ALGORITHMS = {"rsa3072": 0x05, "rsa1024": 0x06, "rsa2048": 0x07, "p256": 0x11, "p384": 0x14}
RSA_BITS = {0x05: 3072, 0x06: 1024, 0x07: 2048}
CURVES = {0x11: ec.SECP256R1, 0x14: ec.SECP384R1}
HASHES = {20: hashes.SHA1, 32: hashes.SHA256, 48: hashes.SHA384, 64: hashes.SHA512}


def make(algorithm):
    """A new key, by PIV's number of the algorithm."""
    if algorithm in RSA_BITS:
        return rsa.generate_private_key(65537, RSA_BITS[algorithm])
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm]())
    raise Refused(BAD_DATA)


def algorithm_of(key):
    name = f"rsa{key.key_size}" if isinstance(key, rsa.RSAPrivateKey) else f"p{key.key_size}"
    return ALGORITHMS[name]


def dump(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def load(text):
    return serialization.load_pem_private_key(text.encode(), None)


def public(key):
    """The public key as GENERATE and GET METADATA give it."""
    if isinstance(key, rsa.RSAPrivateKey):
        modulus = key.public_key().public_numbers().n.to_bytes(key.key_size // 8, "big")
        return tlv(0x81, modulus) + tlv(0x82, b"\1\0\1")
    return tlv(0x86, key.public_key().public_bytes(serialization.Encoding.X962,
                                                   serialization.PublicFormat.UncompressedPoint))


def certificate(key, name, issuer=None, ca=False):
    """A certificate for the key, in DER: self-signed, or by issuer, which is a name and a key; ca: one that signs
    others."""
    def called(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
    by_name, by_key = issuer or (name, key)
    start = datetime.datetime(2024, 1, 1)
    made = x509.CertificateBuilder(called(by_name), called(name), key.public_key(), x509.random_serial_number(),
                                   start, start + datetime.timedelta(days=9999))
    if ca:
        made = made.add_extension(x509.BasicConstraints(True, 0), critical=True)
    return made.sign(by_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def use(key, data):
    """What the card does with a key: the bare RSA operation, or ECDSA over what is given as digest."""
    if isinstance(key, rsa.RSAPrivateKey):
        if len(data) != key.key_size // 8:
            raise Refused(BAD_LENGTH)
        numbers, number = key.private_numbers(), int.from_bytes(data, "big")
        left, right = pow(number, numbers.dmp1, numbers.p), pow(number, numbers.dmq1, numbers.q)
        plain = right + numbers.q * ((left - right) * numbers.iqmp % numbers.p)
        return plain.to_bytes(len(data), "big")
    if len(data) not in HASHES or len(data) * 8 > key.key_size:
        raise Refused(BAD_DATA)
    return key.sign(data, ec.ECDSA(utils.Prehashed(HASHES[len(data)]())))


def agree(key, point):
    """ECDH with the point of another."""
    other = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point)
    return key.exchange(ec.ECDH(), other)
