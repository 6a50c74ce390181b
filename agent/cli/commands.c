#include "command.h"

#include "cmd.h"

#define OPT(name) SG_OPT_BIT(SG_OPT_##name)

#define WAITS_TOKEN  "the token"
#define WAITS_SERVER "the server"
#define WAITS_BOTH   "the server and the token"

const struct sg_command sg_commands[] = {
	{ .name = "token list",
	    .run = sg_token_list,
	    .show = sg_token_list_show,
	    .operands = "",
	    .waits = WAITS_TOKEN,
	    .summary = "List the tokens." },
	{ .name = "token show",
	    .run = sg_token_show,
	    .show = sg_token_show_show,
	    .operands = "TOKEN",
	    .operands_min = 1,
	    .operands_max = 1,
	    .waits = WAITS_TOKEN,
	    .summary = "Show a token and what it can do." },
	{ .name = "token unlock",
	    .run = sg_token_unlock,
	    .show = sg_token_lock_show,
	    .operands = "TOKEN",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = SG_OPTS_PIN,
	    .waits = WAITS_TOKEN,
	    .summary = "Log in to a token with its PIN.",
	    .help =
		"The PIN comes from --pin-file, --pin-fd, the URI's pin-source, or a pinentry on\n"
		"this terminal or display. It is tried once." },
	{ .name = "token lock",
	    .run = sg_token_lock,
	    .show = sg_token_lock_show,
	    .operands = "TOKEN",
	    .operands_min = 1,
	    .operands_max = 1,
	    .waits = WAITS_TOKEN,
	    .summary = "Log out of a token.",
	    .help =
		"Its PIN is forgotten at once. So that another program can have the card, too:\n"
		"`signet token release`." },
	{ .name = "token release",
	    .run = sg_token_release,
	    .show = sg_token_release_show,
	    .operands = "[TOKEN]",
	    .operands_max = 1,
	    .waits = WAITS_TOKEN,
	    .summary = "Let other programs have a token, or all.",
	    .help =
		"Closes all of the agent's sessions with it at once, and ends the process that "
		"has\n"
		"its module, and the PIN with that. Calls that work with the token get an error." },
	{ .name = "token pin change",
	    .run = sg_token_pin_change,
	    .show = sg_token_pin_change_show,
	    .operands = "TOKEN",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = SG_OPTS_PIN,
	    .waits = WAITS_TOKEN,
	    .summary = "Change a token's PIN.",
	    .help =
		"A pinentry on this terminal or display asks for both PINs. With --pin-file or\n"
		"--pin-fd there are two lines: the PIN of now, and the new one." },
	{ .name = "token pin unblock",
	    .run = sg_token_pin_unblock,
	    .show = sg_token_pin_unblock_show,
	    .operands = "TOKEN",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = SG_OPTS_PIN,
	    .waits = WAITS_TOKEN,
	    .summary = "Set a new PIN by the PUK or the SO PIN.",
	    .help =
		"A pinentry on this terminal or display asks for both. With --pin-file or "
		"--pin-fd\n"
		"there are two lines: the PUK (or the SO PIN), and the new PIN. Wrong PUKs are\n"
		"counted by the token, too: most have no way back when no try is left." },

	{ .name = "key new",
	    .run = sg_key_new,
	    .show = sg_key_new_show,
	    .operands = "",
	    .options =
		OPT(TOKEN) | OPT(LABEL) | OPT(ALGORITHM) | OPT(USER) | OPT(ACCOUNT) | SG_OPTS_PIN,
	    .required = OPT(TOKEN) | OPT(LABEL),
	    .waits = "the token to make the key",
	    .summary = "Make a key on a token.",
	    .help =
		"With --user and --account JID it becomes the account's user key, which signs the\n"
		"keys of the account's clients; its self-signed certificate is stored beside it." },
	{ .name = "key list",
	    .run = sg_key_list,
	    .show = sg_key_list_show,
	    .operands = "[SELECTOR]",
	    .operands_max = 1,
	    .waits = WAITS_TOKEN,
	    .summary = "List the keys, or those that match.",
	    .help = "SELECTOR is a pkcs11: URI or a label." },
	{ .name = "key show",
	    .run = sg_key_show,
	    .show = sg_key_show_show,
	    .operands = "KEY",
	    .operands_min = 1,
	    .operands_max = 1,
	    .waits = WAITS_TOKEN,
	    .options = OPT(FINGERPRINT) | OPT(QR) | OPT(ATTESTATION),
	    .summary = "Show a key and its certificates.",
	    .help = "--fingerprint prints only what two people compare: the name (SHA-1) and the "
		    "SHA-256\n"
		    "of each certificate, in groups to be read aloud. --qr draws them as a QR "
		    "code, an\n"
		    "xmpp: URI, too. --attestation adds the certificates by which the token says "
		    "that\n"
		    "it has made the key, in PEM." },
	{ .name = "key use",
	    .run = sg_key_use,
	    .show = sg_key_use_show,
	    .operands = "KEY",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(USER) | OPT(ACCOUNT) | SG_OPTS_PIN,
	    .waits = WAITS_TOKEN,
	    .summary = "Adopt a key that is on a token already.",
	    .help =
		"Finds out by test signatures, which are verified, what the key can do. Also says\n"
		"that a key which was changed on the token on purpose is to be used from now on.\n"
		"With --user and --account JID it becomes the account's user key, as by 'key "
		"new'." },

	{ .name = "key pgp add",
	    .run = sg_key_pgp_add,
	    .show = sg_key_pgp_add_show,
	    .operands = "FILE",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(ACCOUNT),
	    .required = OPT(ACCOUNT),
	    .summary = "Make an OpenPGP key one of the account's own.",
	    .help =
		"FILE ('-': standard input) holds the public key, as `gpg --export` writes it; in "
		"place\n"
		"of a copy that is there. `signet publish` publishes it beside the certificates." },
	{ .name = "key pgp list",
	    .run = sg_key_pgp_list,
	    .show = sg_key_pgp_list_show,
	    .operands = "",
	    .options = OPT(ACCOUNT),
	    .required = OPT(ACCOUNT),
	    .summary = "List the account's OpenPGP keys." },
	{ .name = "key pgp remove",
	    .run = sg_key_pgp_remove,
	    .show = sg_key_pgp_remove_show,
	    .operands = "FINGERPRINT",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(ACCOUNT),
	    .required = OPT(ACCOUNT),
	    .summary = "Make the agent forget an OpenPGP key.",
	    .help = "And the signatures that it keeps on it and by it. What is published stays "
		    "published." },

	{ .name = "csr",
	    .run = sg_csr,
	    .show = sg_csr_show,
	    .operands = "KEY JID",
	    .operands_min = 2,
	    .operands_max = 2,
	    .options = OPT(OUT) | OPT(PEM) | SG_OPTS_PIN,
	    .waits = WAITS_TOKEN,
	    .summary = "Make a certificate request on the token.",
	    .help =
		"The request is for the account's bare JID. With --out it is written as DER (PEM\n"
		"with --pem); without, PEM goes to standard output." },
	{ .name = "sign",
	    .run = sg_sign,
	    .show = sg_sign_show,
	    .operands = "JID [SUBJECT]",
	    .operands_min = 1,
	    .operands_max = 2,
	    .options = OPT(OUT) | OPT(PGP) | SG_OPTS_PIN,
	    .waits = WAITS_TOKEN,
	    .summary = "Cross-sign with the account's user key.",
	    .help =
		"SUBJECT is the name of a certificate or OpenPGP key that the account holds, or "
		"of a\n"
		"certificate of the keyring that you trust; without it, the account's own "
		"certificate\n"
		"is signed. With --pgp, an OpenPGP key of the "
		"account\n"
		"signs instead, wherever your gpg has it. --out writes the keyinfo." },
	{ .name = "verify",
	    .run = sg_verify,
	    .show = sg_verify_show,
	    .operands = "FILE",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(ISSUER) | OPT(AT) | OPT(WHY) | OPT(SHA1),
	    .offline = 1,
	    .summary = "Judge the keyinfos in a file.",
	    .help =
		"FILE is XML ('-': standard input): a keyinfo, or anything with keyinfos in it. "
		"An\n"
		"issuer's key is looked for among those given and in FILE itself. Succeeds when\n"
		"every keyinfo is well-formed, no signature is bad, and at least one is good.\n"
		"--why shows for each key the way to it from the keys given with --issuer. With "
		"--sha1\n"
		"off a signature with SHA-1 is refused, good or bad." },

	{ .name = "account add",
	    .run = sg_account_add,
	    .show = sg_account_show_show,
	    .operands = "JID",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(HOST) | OPT(PORT) | OPT(TLS) | OPT(CAFILE),
	    .summary = "Tell the agent of an XMPP account." },
	{ .name = "account list",
	    .run = sg_account_list,
	    .show = sg_account_list_show,
	    .operands = "",
	    .summary = "List the accounts." },
	{ .name = "account show",
	    .run = sg_account_show,
	    .show = sg_account_show_show,
	    .operands = "JID",
	    .operands_min = 1,
	    .operands_max = 1,
	    .summary = "Show an account." },
	{ .name = "account remove",
	    .run = sg_account_remove,
	    .show = sg_account_remove_show,
	    .operands = "JID",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(YES),
	    .waits = WAITS_SERVER,
	    .summary = "Make the agent forget an account.",
	    .help = "Its keys and certificates stay on their token and on the server." },
	{ .name = "account connect",
	    .run = sg_account_connect,
	    .show = sg_account_show_show,
	    .operands = "JID",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(KEY) | SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Log in to the account's server.",
	    .help =
		"With the account's certificate, or with a password when one is given. With --key, "
		"by\n"
		"the certificate for another key, a spare one say, which the account then goes on "
		"with." },
	{ .name = "account disconnect",
	    .run = sg_account_disconnect,
	    .show = sg_account_show_show,
	    .operands = "JID",
	    .operands_min = 1,
	    .operands_max = 1,
	    .waits = WAITS_SERVER,
	    .summary = "Log out." },

	{ .name = "enrol",
	    .run = sg_enrol,
	    .show = sg_enrol_show,
	    .operands = "JID",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(KEY) | OPT(NAME) | OPT(OUT) | OPT(REPLACE) | OPT(SPARE) | OPT(CANCEL) |
		SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Get a certificate for a key from the server.",
	    .help =
		"Logs in with the password (or the current certificate), sends a request made on\n"
		"the key, checks the certificate and stores it beside the key, and proves it by\n"
		"a login. --out writes the certificate as DER. --key names the key, but for "
		"--cancel.\n"
		"What is cut short goes on by itself as soon as it can; `signet status` shows it, "
		"and\n"
		"the same command goes on with it at once." },
	{ .name = "cert list",
	    .run = sg_cert_list,
	    .show = sg_cert_list_show,
	    .operands = "JID",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(DIFF) | SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "List the account's certificates on the server.",
	    .help =
		"With --diff, those on the tokens and those that the agent keeps, too, and what "
		"puts in\n"
		"order what is not. The server or a token may be out of reach." },
	{ .name = "cert renew",
	    .run = sg_cert_renew,
	    .show = sg_enrol_show,
	    .operands = "JID",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(REKEY) | OPT(KEY) | OPT(NAME) | SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Get another certificate in the place of the one of now.",
	    .help =
		"For the same key, or with --rekey for a new one that is made on the same token, "
		"or with\n"
		"--key for one that is there. It is proven by a login, signed by the user key, "
		"and\n"
		"published where the former one was; then that one is revoked and retracted. The "
		"former\n"
		"key stays on its token. The agent does it by itself when a certificate is due: "
		"`signet\n"
		"account show` says when that is, `signet status` what it waits for." },
	{ .name = "cert revoke",
	    .run = sg_cert_revoke,
	    .show = sg_cert_revoke_show,
	    .operands = "JID [FINGERPRINT|current]",
	    .operands_min = 1,
	    .operands_max = 2,
	    .options = OPT(TOKEN) | OPT(YES) | OPT(DISABLE) | SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Revoke a certificate on the server, or all of a lost token.",
	    .help = "FINGERPRINT is the SHA-256 that `signet cert list` shows; 'current' is the\n"
		    "certificate that this agent logs in with. With --token, all whose key is or "
		    "was on\n"
		    "that token, by its serial or label: it is lost. The account goes on with a "
		    "spare.\n"
		    "--disable is for servers that have XEP-0257 and no ccm2." },
	{ .name = "cert adopt",
	    .run = sg_cert_adopt,
	    .show = sg_cert_adopt_show,
	    .operands = "JID FINGERPRINT",
	    .operands_min = 2,
	    .operands_max = 2,
	    .options = SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Keep a certificate that was issued and never received.",
	    .help =
		"It is one that the server lists, for a key on a token of this agent. The account "
		"has it\n"
		"as a spare, or as its own when it has none." },
	{ .name = "cert remove",
	    .run = sg_cert_remove,
	    .show = sg_cert_remove_show,
	    .operands = "JID FINGERPRINT",
	    .operands_min = 2,
	    .operands_max = 2,
	    .options = SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Take a certificate away that is of no use any more.",
	    .help = "From its token and from the agent. One that can still log in is to be "
		    "revoked first." },
	{ .name = "publish",
	    .run = sg_publish,
	    .show = sg_publish_show,
	    .operands = "JID",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(SHOW) | OPT(ACCESS) | OPT(MEMBER) | OPT(GROUP) | OPT(DIRECT) |
		SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Publish the account's keys with their signatures.",
	    .help =
		"Then tells how the server has it: nothing goes to a node that is more open than\n"
		"asked. What is not said stays as it was the last time. --show changes nothing." },
	{ .name = "retract",
	    .run = sg_retract,
	    .show = sg_retract_show,
	    .operands = "JID NAME...",
	    .operands_min = 2,
	    .operands_max = -1,
	    .options = SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Take keys off the account's node." },
	{ .name = "keyring fetch",
	    .run = sg_keyring_fetch,
	    .show = sg_keyring_fetch_show,
	    .operands = "JID [NAME]...",
	    .operands_min = 1,
	    .operands_max = -1,
	    .options = OPT(ACCOUNT) | OPT(OUT) | OPT(ASK) | SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Fetch and judge the public keys of another account.",
	    .help =
		"All of them, or those with the given names: from its node, else from its clients\n"
		"that are there, else from who is named by --ask. --account may be left out when "
		"the\n"
		"agent has one account only. --out writes XML that `signet verify` reads." },
	{ .name = "keyring request",
	    .run = sg_keyring_request,
	    .show = sg_keyring_fetch_show,
	    .operands = "JID [NAME]...",
	    .operands_min = 1,
	    .operands_max = -1,
	    .options = OPT(ACCOUNT) | OPT(ABOUT) | SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Ask somebody's clients for keys, not their server.",
	    .help =
		"Their own keys, or those that they know of another (--about). JID may be that of\n"
		"one client." },
	{ .name = "keyring send",
	    .run = sg_keyring_send,
	    .show = sg_keyring_send_show,
	    .operands = "JID [NAME]...",
	    .operands_min = 1,
	    .operands_max = -1,
	    .options = OPT(ACCOUNT) | OPT(ABOUT) | SG_OPTS_PIN | SG_OPTS_PASSWORD,
	    .waits = WAITS_BOTH,
	    .summary = "Send keys to somebody in a message.",
	    .help = "The account's own keys, or those that are known of another (--about)." },
	{ .name = "graph",
	    .run = sg_graph,
	    .show = sg_graph_show,
	    .operands = "",
	    .options = OPT(OUTPUT) | OPT(ACCOUNT),
	    .summary = "Draw the web of keys: who is trusted, and why not.",
	    .help =
		"The own keys and the keyring, by account, with the signatures among them. DOT on\n"
		"standard output, or a file: --output web.dot, or --output web.svg, which the "
		"program\n"
		"dot of Graphviz draws. With --account only what that account has signed counts." },
	{ .name = "keyring list",
	    .run = sg_keyring_list,
	    .show = sg_keyring_list_show,
	    .operands = "[JID|TEXT]",
	    .operands_max = 1,
	    .summary = "List the keys of others that are known.",
	    .help =
		"Those of a JID, or those that TEXT finds: a part of a JID, or the first digits (4 "
		"or\n"
		"more) of a name or SHA-256." },
	{ .name = "keyring show",
	    .run = sg_keyring_show,
	    .show = sg_keyring_show_show,
	    .operands = "FINGERPRINT",
	    .operands_min = 1,
	    .operands_max = -1,
	    .options = OPT(WHY),
	    .summary = "Show a key: who showed it, its signatures, what you decided.",
	    .help =
		"FINGERPRINT, here and below, is the key's name (40 hex digits) or its SHA-256 "
		"(64),\n"
		"of either case, with blanks or colons where you like. --why shows the way from "
		"you to\n"
		"the key, and the step that breaks it." },
	{ .name = "keyring trust",
	    .run = sg_keyring_trust,
	    .show = sg_keyring_trust_show,
	    .operands = "JID FINGERPRINT",
	    .operands_min = 2,
	    .operands_max = -1,
	    .summary = "Trust a key whose fingerprint you have compared.",
	    .help = "Compare it with the owner in person, or by another way that nobody can "
		    "change. When\n"
		    "it is no known key of JID, nothing is trusted and the status is 7." },
	{ .name = "keyring distrust",
	    .run = sg_keyring_distrust,
	    .show = sg_keyring_distrust_show,
	    .operands = "FINGERPRINT",
	    .operands_min = 1,
	    .operands_max = -1,
	    .summary = "Never trust a key, whoever signs it." },
	{ .name = "keyring forget",
	    .run = sg_keyring_forget,
	    .show = sg_keyring_forget_show,
	    .operands = "FINGERPRINT",
	    .operands_min = 1,
	    .operands_max = -1,
	    .options = OPT(YES),
	    .summary = "Drop all that is known of a key, your decision too." },
	{ .name = "keyring export",
	    .run = sg_keyring_export,
	    .show = sg_keyring_export_show,
	    .operands = "[JID|FINGERPRINT]...",
	    .operands_max = -1,
	    .options = OPT(OUT) | OPT(PEM),
	    .summary = "Write keys with their signatures as XML, or as PEM.",
	    .help = "All keys, or these; to standard output without --out. --pem writes the X.509\n"
		    "certificates alone. What you decided is not exported." },
	{ .name = "keyring import",
	    .run = sg_keyring_import,
	    .show = sg_keyring_import_show,
	    .operands = "FILE",
	    .operands_min = 1,
	    .operands_max = 1,
	    .options = OPT(JID),
	    .summary = "Take keys out of a file; none is trusted by that.",
	    .help =
		"FILE ('-': standard input) holds keyinfos in XML, certificates in PEM or DER, or "
		"an\n"
		"OpenPGP key. Each is the JID's that the file names, else that of --jid, else "
		"those\n"
		"that its certificate names. The status is 7 when some were refused." },
	{ .name = "keyring seen",
	    .run = sg_keyring_seen,
	    .show = sg_keyring_seen_show,
	    .operands = "[JID]",
	    .operands_max = 1,
	    .summary = "Say that you have looked at the changed keys.",
	    .help = "Of a JID, or all. `signet status` shows them until then." },
	{ .name = "status",
	    .run = sg_status,
	    .show = sg_status_show,
	    .operands = "",
	    .summary = "Show the agent, its tokens, accounts and workers." },
	{ .name = "monitor",
	    .run = sg_monitor,
	    .operands = "",
	    .summary = "Tell what happens, as it does.",
	    .help =
		"A line for each event (with --json, an object), until Ctrl-C: tokens that come "
		"and\n"
		"go, are unlocked and locked, or want to be touched, and keys that were changed;\n"
		"keys of others that are new, changed, revoked or no longer shown; and, of your "
		"accounts,\n"
		"certificates that are due to be renewed, and jobs that wait or have ended." },
	{ .name = "doctor",
	    .run = sg_doctor,
	    .show = sg_doctor_show,
	    .operands = "",
	    .summary = "Look for what is wrong, and what to do.",
	    .help =
		"The status is 5 when there is a problem. Without an agent, it says why there is\n"
		"none." },
};

const size_t sg_command_count = sizeof(sg_commands) / sizeof(sg_commands[0]);
