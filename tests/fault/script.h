/*
 * What a script says. signet-fault(7) tells the language; this is its whole grammar:
 *
 *   line      = [ rule ] [ "#" anything ]          words are parted by blanks; "..." is one word
 *   rule      = "now" event
 *             | ( "on" | "after" ) FUNCTION [ N | N"+" ] action
 *             | setting
 *   FUNCTION  = C_Sign, ... or "any"
 *   action    = event | "fail" CKR | "slow" MS | "hang" | "crash" [ "abort" | "segv" ] | "corrupt"
 *   event     = "remove" | "insert" [ SERIAL ] | "lose" ( "sessions" | "login" )
 *   setting   = "pin" TRIES [ "silent" ] | "refuse" CKM [ "late" ] | "always-authenticate" LABEL
 *             | "attribute" LABEL CKA VALUE | "duplicate" ( "label" | "id" ) LABEL LABEL2
 *             | "swap" LABEL LABEL2 | "removable" | "events" | "read-only" | "memory-full"
 */
#ifndef SG_FAULT_SCRIPT_H
#define SG_FAULT_SCRIPT_H

#include <stddef.h>
#include <sys/stat.h>

#include "names.h"

#define SG_FAULT_RULES_MAX     256 /* rules of a script that do something at a call, or now */
#define SG_FAULT_SETTINGS_MAX  64  /* of each kind of setting */
#define SG_FAULT_LINE_MAX      1024
#define SG_FAULT_SERIAL_SIZE   16 /* CK_TOKEN_INFO */
#define SG_FAULT_ATTRIBUTE_MAX 256

enum sg_fault_when { SG_FAULT_NOW, SG_FAULT_ON, SG_FAULT_AFTER };

enum sg_fault_action {
	SG_FAULT_REMOVE,
	SG_FAULT_INSERT,
	SG_FAULT_LOSE_SESSIONS,
	SG_FAULT_LOSE_LOGIN,
	SG_FAULT_FAIL,
	SG_FAULT_SLOW,
	SG_FAULT_HANG,
	SG_FAULT_CRASH,
	SG_FAULT_CORRUPT,
};

struct sg_fault_rule {
	unsigned line;
	enum sg_fault_when when;
	enum sg_fault_fn fn;
	unsigned long nth; /* the how-manieth call since the script was read; 0: each */
	int onwards;	   /* and all after the nth */
	enum sg_fault_action action;
	CK_RV rv;			       /* FAIL */
	unsigned long ms;		       /* SLOW */
	int signal_number;		       /* CRASH */
	char serial[SG_FAULT_SERIAL_SIZE + 1]; /* INSERT; "": the one that was there before */
};

struct sg_fault_refusal {
	CK_MECHANISM_TYPE type;
	int late; /* in the list, and refused only when it is used */
};

enum sg_fault_value { SG_FAULT_BYTES, SG_FAULT_ID_OF };

/* What the objects with a label show in place of an attribute of theirs. */
struct sg_fault_override {
	char label[SG_FAULT_ATTRIBUTE_MAX + 1]; /* as the module itself has it */
	CK_ATTRIBUTE_TYPE type;
	enum sg_fault_value kind;
	CK_BYTE value[SG_FAULT_ATTRIBUTE_MAX + 1]; /* ID_OF: a label, NUL-terminated */
	CK_ULONG len;
};

struct sg_fault_script {
	struct stat identity; /* of the file when it was read; all zero when there is none */
	struct sg_fault_rule rules[SG_FAULT_RULES_MAX];
	size_t rule_count;
	struct sg_fault_refusal refusals[SG_FAULT_SETTINGS_MAX];
	size_t refusal_count;
	struct sg_fault_override overrides[SG_FAULT_SETTINGS_MAX];
	size_t override_count;
	char always[SG_FAULT_SETTINGS_MAX][SG_FAULT_ATTRIBUTE_MAX + 1];
	size_t always_count;
	unsigned long pin_tries; /* 0: nothing is counted */
	int pin_silent, removable, events, read_only, memory_full;
	struct sg_fault_script *older; /* kept, for a call may still be looking at it */
	char error[256];	       /* "": the script is good */
};

/* Reads a script; NULL is one without a rule. What is wrong with it stands in error. NULL: no memory. */
struct sg_fault_script *sg_fault_script_read(const char *path);

/* Whether the file is not the one any more that was read. */
int sg_fault_script_is_stale(const struct sg_fault_script *script, const char *path);

#endif
