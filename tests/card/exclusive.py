#!/usr/bin/env python3
"""Has the card for itself alone, as gpg's scdaemon does, until its standard input ends. Says 'held' or 'refused'."""
import ctypes
import sys

READER = b"Yubico YubiKey OTP+FIDO+CCID 00 00"
SCARD_SCOPE_SYSTEM, SCARD_SHARE_EXCLUSIVE, SCARD_PROTOCOL_T1, SCARD_LEAVE_CARD = 2, 1, 2, 0


def main():
    pcsc = ctypes.CDLL("libpcsclite.so.1")
    context, card, protocol = ctypes.c_long(), ctypes.c_long(), ctypes.c_ulong()
    if pcsc.SCardEstablishContext(SCARD_SCOPE_SYSTEM, None, None, ctypes.byref(context)) != 0:
        print("no pcscd")
        return 1
    held = pcsc.SCardConnect(context, READER, SCARD_SHARE_EXCLUSIVE, SCARD_PROTOCOL_T1, ctypes.byref(card),
                             ctypes.byref(protocol)) == 0
    print("held" if held else "refused", flush=True)
    sys.stdin.read()
    if held:
        pcsc.SCardDisconnect(card, SCARD_LEAVE_CARD)
    pcsc.SCardReleaseContext(context)
    return 0


if __name__ == "__main__":
    sys.exit(main())
