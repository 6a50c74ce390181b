/*
 * What each command does and how its result is shown: see struct sg_command.
 */
#ifndef SG_CLI_CMD_H
#define SG_CLI_CMD_H

#include "command.h"

/* The exit status of a command that got an answer: doctor found a problem, or something is left to be done. */
#define SG_STATUS_PROBLEM 5

/* cmd_token.c */
sg_command_run_fn sg_token_list, sg_token_show, sg_token_unlock, sg_token_lock, sg_token_release,
    sg_token_pin_change, sg_token_pin_unblock;
sg_command_show_fn sg_token_list_show, sg_token_show_show, sg_token_lock_show,
    sg_token_release_show, sg_token_pin_change_show, sg_token_pin_unblock_show;

/* cmd_key.c */
sg_command_run_fn sg_key_new, sg_key_list, sg_key_show, sg_key_use, sg_csr, sg_sign;
sg_command_show_fn sg_key_new_show, sg_key_list_show, sg_key_show_show, sg_key_use_show,
    sg_csr_show, sg_sign_show;

/* cmd_pgp.c; sign with --pgp is done there, too */
sg_command_run_fn sg_key_pgp_add, sg_key_pgp_list, sg_key_pgp_remove, sg_sign_pgp;
sg_command_show_fn sg_key_pgp_add_show, sg_key_pgp_list_show, sg_key_pgp_remove_show;

/* cmd_verify.c */
sg_command_run_fn sg_verify;
sg_command_show_fn sg_verify_show;

/* cmd_account.c */
sg_command_run_fn sg_account_add, sg_account_list, sg_account_show, sg_account_remove,
    sg_account_connect, sg_account_disconnect;
sg_command_show_fn sg_account_list_show, sg_account_show_show, sg_account_remove_show;

/* cmd_cert.c */
sg_command_run_fn sg_enrol, sg_cert_list, sg_cert_renew, sg_cert_revoke;
sg_command_show_fn sg_enrol_show, sg_cert_list_show, sg_cert_revoke_show;

/* cmd_cert_keep.c: cert revoke with --token is done there, too */
sg_command_run_fn sg_cert_adopt, sg_cert_remove, sg_cert_revoke_token;
sg_command_show_fn sg_cert_adopt_show, sg_cert_remove_show, sg_cert_revoke_token_show;

/* cmd_cert_diff.c: cert list with --diff */
sg_command_run_fn sg_cert_diff;
sg_command_show_fn sg_cert_diff_show;

/* cmd_publish.c */
sg_command_run_fn sg_publish, sg_retract;
sg_command_show_fn sg_publish_show, sg_retract_show;

/* cmd_fetch.c */
sg_command_run_fn sg_keyring_fetch, sg_keyring_request, sg_keyring_send;
sg_command_show_fn sg_keyring_fetch_show, sg_keyring_send_show;

/* cmd_graph.c */
sg_command_run_fn sg_graph;
sg_command_show_fn sg_graph_show;

/* cmd_keyring.c */
sg_command_run_fn sg_keyring_list, sg_keyring_show, sg_keyring_trust, sg_keyring_distrust,
    sg_keyring_forget, sg_keyring_seen;
sg_command_show_fn sg_keyring_list_show, sg_keyring_show_show, sg_keyring_trust_show,
    sg_keyring_distrust_show, sg_keyring_forget_show, sg_keyring_seen_show;

/* cmd_keyring_file.c */
sg_command_run_fn sg_keyring_export, sg_keyring_import;
sg_command_show_fn sg_keyring_export_show, sg_keyring_import_show;

/* cmd_status.c */
sg_command_run_fn sg_status;
sg_command_show_fn sg_status_show;

/* cmd_monitor.c: prints by itself */
sg_command_run_fn sg_monitor;

/* cmd_doctor.c */
sg_command_run_fn sg_doctor;
sg_command_show_fn sg_doctor_show;

#endif
