#include "error.h"

#include <stddef.h>
#include <string.h>

/* Kinds of failure, as the exit status of the command line tells them. */
enum {
	EXIT_OK = 0,
	EXIT_INTERNAL = 1,
	EXIT_USAGE = 2,
	EXIT_ABSENT = 3,
	EXIT_LOGIN = 4,
	EXIT_DEVICE = 5,
	EXIT_PEER = 6,
	EXIT_REFUSED = 7,
	EXIT_DENIED = 8,
};

struct error_row {
	int code;
	int exit_status;
	const char *name;
	const char *text;
	const char *advice;
};

/* The names are those of the `error` lines in org.signet.Agent.varlink; the unit test compares them.
 * SG_ERR_INTERNAL stands before SG_ERR_NOMEM, so that their common name leads back to it. */
static const struct error_row error_rows[] = {
	{ SG_OK, EXIT_OK, "Ok", "no error", "" },
	{ SG_ERR_INTERNAL, EXIT_INTERNAL, "Internal", "something inside signet failed",
	    "This is a defect of signet: please report it, with the lines of its log." },
	{ SG_ERR_NOMEM, EXIT_INTERNAL, "Internal", "there is not enough memory",
	    "Free some memory, or raise the limit of locked memory (ulimit -l, LimitMEMLOCK), then "
	    "try again." },
	{ SG_ERR_ARG, EXIT_USAGE, "ArgumentWrong", "an argument makes no sense",
	    "See the command's --help." },
	{ SG_ERR_FORMAT, EXIT_REFUSED, "Malformed", "the data is malformed",
	    "Check where the data comes from; nothing of it was used." },
	{ SG_ERR_LIMIT, EXIT_REFUSED, "LimitExceeded", "the data is larger than a limit allows",
	    "Ask for less at once; the limits are fixed." },
	{ SG_ERR_IO, EXIT_INTERNAL, "StorageFailed", "a file could not be read or written",
	    "Check that the file is there, that it may be accessed, and that the disk has room." },
	{ SG_ERR_TIMEOUT, EXIT_DEVICE, "TimedOut", "no answer came in time",
	    "Try again; `signet status` shows what is running." },
	{ SG_ERR_WORKER, EXIT_DEVICE, "WorkerDied", "the worker process died during the call",
	    "It is started anew with the next call: try again. Unlock the token again if it was "
	    "unlocked." },
	{ SG_ERR_DENIED, EXIT_DENIED, "Denied", "this is not allowed",
	    "Ask as the user who runs the agent, for what its configuration allows." },
	{ SG_ERR_UNSUPPORTED, EXIT_USAGE, "Unsupported", "this is not supported",
	    "`signet --help` lists what there is." },
	{ SG_ERR_CONFIG, EXIT_USAGE, "ConfigWrong", "the configuration file is wrong",
	    "Correct the line of signet.conf that the log names." },
	{ SG_ERR_AGENT_ABSENT, EXIT_ABSENT, "AgentAbsent", "no agent is running",
	    "Start signetd, or set SIGNET_SOCK to the socket where it listens." },
	{ SG_ERR_BUSY, EXIT_DEVICE, "Busy", "something else of the same kind is going on",
	    "Try again when that is over." },
	{ SG_ERR_TOKEN_ABSENT, EXIT_ABSENT, "TokenAbsent", "there is no such token",
	    "Plug it in; `signet token list` shows the tokens at hand." },
	{ SG_ERR_TOKEN_AMBIGUOUS, EXIT_ABSENT, "TokenAmbiguous", "more than one token matches",
	    "Name one of the candidates by its URI." },
	{ SG_ERR_TOKEN_FAILED, EXIT_DEVICE, "TokenFailed", "the token failed",
	    "Unplug it and plug it in again, then try again; the log names the token's own "
	    "error." },
	{ SG_ERR_MODULE, EXIT_DEVICE, "ModuleRefused",
	    "the PKCS#11 module cannot be loaded or is not allowed",
	    "See that its path in signet.conf is right, and in a folder that it may come from; and "
	    "that what the module itself needs is there: its configuration, its device." },
	{ SG_ERR_PIN_NEEDED, EXIT_LOGIN, "PinNeeded", "the token is locked and its PIN is needed",
	    "Unlock it with `signet token unlock`, or give the PIN with --pin-file or --pin-fd." },
	{ SG_ERR_PIN_WRONG, EXIT_LOGIN, "PinWrong", "the token refused the PIN",
	    "It was tried once and is not tried again by itself: check it before the next try, for "
	    "a token locks itself after a few." },
	{ SG_ERR_PIN_LOCKED, EXIT_LOGIN, "PinLocked",
	    "the PIN is locked and the token refuses every try",
	    "Set a new one with the PUK or SO PIN: `signet token pin unblock`. A TPM takes PINs "
	    "again "
	    "after a while, or after `tpm2_dictionarylockout --clear-lockout`." },
	{ SG_ERR_PIN_CANCELLED, EXIT_LOGIN, "PinCancelled", "the PIN entry was cancelled",
	    "Nothing was tried on the token; ask again when you are ready." },
	{ SG_ERR_KEY_ABSENT, EXIT_ABSENT, "KeyAbsent", "there is no such key",
	    "`signet key list` shows the keys at hand; the keys of a locked token may be hidden." },
	{ SG_ERR_KEY_AMBIGUOUS, EXIT_ABSENT, "KeyAmbiguous", "more than one key matches",
	    "Name one of the candidates by its URI; of two with one URI, remove or relabel one." },
	{ SG_ERR_MECHANISM, EXIT_DEVICE, "MechanismMissing",
	    "the token or the key cannot do this operation",
	    "`signet token show` lists what the token can do; use a key of another kind." },
	{ SG_ERR_CERT_MISMATCH, EXIT_REFUSED, "CertificateMismatch",
	    "the certificate does not belong to the key",
	    "Nothing was stored; name the key that the certificate was made for." },
	{ SG_ERR_KEY_CHANGED, EXIT_REFUSED, "KeyChanged",
	    "the key under this name is not the one that it was",
	    "If you replaced it yourself, say so with `signet key use URI`; else find out who "
	    "did." },
	{ SG_ERR_TOKEN_READ_ONLY, EXIT_DEVICE, "TokenReadOnly", "the token is write-protected",
	    "Take the write protection off with the token's own tool, or use another token." },
	{ SG_ERR_TOKEN_FULL, EXIT_DEVICE, "TokenFull", "the token has no room left",
	    "Remove objects that nobody needs with the token's own tool, or use another token." },
	{ SG_ERR_KEY_MISMATCH, EXIT_REFUSED, "KeyMismatch",
	    "the key that was compared is not one of this JID",
	    "Nothing is trusted. Either it was read wrongly, or somebody shows you another key "
	    "than "
	    "its owner's: compare again, by another way." },
	{ SG_ERR_COLLISION, EXIT_REFUSED, "CollisionFound", "it carries a SHA-1 collision attack",
	    "Nothing was signed: somebody has made two of these, and a signature on one would "
	    "stand "
	    "on the other. Find out where it comes from, and get another." },
	{ SG_ERR_RELEASED, EXIT_DEVICE, "TokenReleased", "the token was released during the call",
	    "It was for another program to have. Try again when that is done; unlock it again "
	    "then." },
	{ SG_ERR_ACCOUNT_ABSENT, EXIT_ABSENT, "AccountAbsent", "there is no such account",
	    "`signet account list` shows the accounts; `signet account add` makes one." },
	{ SG_ERR_ACCOUNT_EXISTS, EXIT_USAGE, "AccountExists", "there is such an account already",
	    "Remove it first with `signet account remove` to set it up anew." },
	{ SG_ERR_PASSWORD_NEEDED, EXIT_LOGIN, "PasswordNeeded",
	    "the account has no certificate yet and its password is needed",
	    "Give it with --password-fd, or enrol the account with `signet enrol`." },
	{ SG_ERR_CONNECT, EXIT_PEER, "ConnectFailed", "there is no connection to the server",
	    "Check the network, and the host and port that `signet account show` tells." },
	{ SG_ERR_TLS, EXIT_PEER, "TlsFailed", "no trusted TLS connection to the server",
	    "Check the server's certificate; for a private authority, add the account with its "
	    "--cafile." },
	{ SG_ERR_AUTH, EXIT_LOGIN, "LoginRefused", "the server refused the login",
	    "Check the password; a certificate may be revoked, expired or not trusted there." },
	{ SG_ERR_OFFLINE, EXIT_PEER, "Offline", "the connection ended during the call",
	    "Try again. What the server had done by then may stand: after an enrolment, `signet "
	    "cert "
	    "list` shows what it issued." },
	{ SG_ERR_FEATURE, EXIT_PEER, "FeatureMissing", "the server lacks a feature",
	    "Ask the server's operator for it; nothing was sent." },
	{ SG_ERR_STANZA, EXIT_PEER, "PeerRefused", "the server answered with an error",
	    "Its condition and text say why." },
	{ SG_ERR_CERT_REFUSED, EXIT_REFUSED, "CertificateRefused",
	    "the certificate from the server is not the one that was asked for",
	    "Nothing was stored; tell the server's operator." },
	{ SG_ERR_KEYINFO, EXIT_REFUSED, "KeyinfoRefused", "the keyinfo is refused",
	    "Nothing of it was kept; ask its owner to publish it again." },
};

#define ROW_COUNT (sizeof(error_rows) / sizeof(error_rows[0]))

static const struct error_row *error_row(int code)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		if (error_rows[i].code == code)
			return &error_rows[i];
	}
	return &error_rows[1]; /* a code that is none is our own defect */
}

const char *sg_err_name(int code)
{
	return error_row(code)->name;
}

const char *sg_err_text(int code)
{
	return error_row(code)->text;
}

const char *sg_err_advice(int code)
{
	return error_row(code)->advice;
}

int sg_err_exit_status(int code)
{
	return error_row(code)->exit_status;
}

int sg_err_from_name(const char *name)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		if (strcmp(error_rows[i].name, name) == 0)
			return error_rows[i].code;
	}
	return SG_ERR_INTERNAL;
}
