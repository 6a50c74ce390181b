/*
 * The error codes of the whole project, and what a person and a program are told of each.
 *
 * A function returns 0 or one of these negative codes. A code of a library (CK_RV, errno,
 * SQLite, OpenSSL) is translated once, where the library is called; what the code cannot say of
 * it is logged there, or stands in the sentence of the failure.
 */
#ifndef SG_PROTO_ERROR_H
#define SG_PROTO_ERROR_H

#define SG_MUST_USE __attribute__((warn_unused_result))

enum sg_err {
	SG_OK = 0,
	/* anybody's */
	SG_ERR_NOMEM = -1,
	SG_ERR_INTERNAL = -2, /* our own invariant broke, or a library failed for no named reason */
	SG_ERR_ARG = -3,      /* the caller's argument makes no sense */
	SG_ERR_FORMAT = -4,   /* malformed bytes */
	SG_ERR_LIMIT = -5,    /* over one of our limits (size, depth, count) */
	SG_ERR_IO = -6,	      /* a file or the store could not be read or written */
	SG_ERR_TIMEOUT = -7,  /* no answer before the deadline */
	SG_ERR_WORKER = -8,   /* the worker process died during the call */
	SG_ERR_DENIED = -9,   /* policy: this caller, path or operation is not allowed */
	SG_ERR_UNSUPPORTED = -10,
	SG_ERR_CONFIG = -11,	   /* the configuration file is wrong */
	SG_ERR_AGENT_ABSENT = -12, /* no agent listens on the socket */
	SG_ERR_BUSY = -13,	   /* something else of the same kind is going on */
	/* tokens */
	SG_ERR_TOKEN_ABSENT = -20,
	SG_ERR_TOKEN_AMBIGUOUS = -21,
	SG_ERR_TOKEN_FAILED = -22, /* the module answered with an error that has no name here */
	SG_ERR_MODULE = -23,	   /* the PKCS#11 module cannot be loaded or is not allowed */
	SG_ERR_PIN_NEEDED = -24,   /* not logged in, and no source of the PIN was given */
	SG_ERR_PIN_WRONG = -25,
	SG_ERR_PIN_LOCKED = -26, /* the token refuses every PIN until it is unblocked */
	SG_ERR_PIN_CANCELLED = -27,
	SG_ERR_KEY_ABSENT = -28,
	SG_ERR_KEY_AMBIGUOUS = -29,
	SG_ERR_MECHANISM = -30,	    /* the token or key cannot do this operation */
	SG_ERR_CERT_MISMATCH = -31, /* certificate and key do not belong together */
	SG_ERR_KEY_CHANGED = -32,   /* another key stands under a name that was used before */
	SG_ERR_TOKEN_READ_ONLY = -33,
	SG_ERR_TOKEN_FULL = -34,   /* no memory left on the token */
	SG_ERR_KEY_MISMATCH = -35, /* a key that a person compared is not what is known of a JID */
	SG_ERR_COLLISION = -36,	   /* the subject carries a SHA-1 collision attack (K7) */
	SG_ERR_RELEASED = -37,	   /* its process was ended for another program to have the token */
	/* accounts and XMPP */
	SG_ERR_ACCOUNT_ABSENT = -40,
	SG_ERR_ACCOUNT_EXISTS = -41,
	SG_ERR_PASSWORD_NEEDED = -42,
	SG_ERR_CONNECT = -43, /* no connection to the server */
	SG_ERR_TLS = -44,     /* the server's certificate is not trusted, or TLS failed */
	SG_ERR_AUTH = -45,    /* the server refused the login */
	SG_ERR_OFFLINE = -46, /* the connection ended during the call */
	SG_ERR_FEATURE = -47, /* the server lacks a feature; the subject names it */
	SG_ERR_STANZA = -48,  /* the peer answered with an error; see condition */
	SG_ERR_CERT_REFUSED =
	    -49,	      /* the certificate from the server is not the one asked for (C4) */
	SG_ERR_KEYINFO = -50, /* a keyinfo is refused (K1, K2) */
};

/* The code's name as it stands in the API, e.g. "PinWrong"; never NULL. */
const char *sg_err_name(int code);

/* A sentence for a person, without a full stop; never NULL. */
const char *sg_err_text(int code);

/* What the person can do next, a sentence; "" when there is nothing to say. */
const char *sg_err_advice(int code);

/*
 * The exit status of the command line for this code, by kind of failure:
 * 0 ok, 1 internal, 2 usage, 3 not found or ambiguous, 4 PIN or login wanted or refused,
 * 5 token or worker failed, or busy, 6 network, TLS or peer, 7 verification failed or refused,
 * 8 denied by policy.
 */
int sg_err_exit_status(int code);

/* The code for a name of the API; SG_ERR_INTERNAL if there is no such name. */
int sg_err_from_name(const char *name);

#endif
