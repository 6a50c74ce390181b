/*
 * The verbs of the API, one for each method of org.signet.Agent. Each is called once with checked
 * parameters and ends with the call's reply or failure.
 */
#ifndef SG_BROKER_VERBS_H
#define SG_BROKER_VERBS_H

struct sg_call;

/* verbs_token.c */
void sg_verb_list_tokens(struct sg_call *call);
void sg_verb_show_token(struct sg_call *call);
void sg_verb_unlock(struct sg_call *call);
void sg_verb_lock(struct sg_call *call);

/* verbs_release.c */
void sg_verb_release_token(struct sg_call *call);

/* verbs_pin.c */
void sg_verb_change_pin(struct sg_call *call);
void sg_verb_unblock_pin(struct sg_call *call);

/* verbs_monitor.c */
void sg_verb_monitor(struct sg_call *call);

/* verbs_doctor.c */
void sg_verb_doctor(struct sg_call *call);

/* verbs_key.c */
void sg_verb_new_key(struct sg_call *call);
void sg_verb_list_keys(struct sg_call *call);
void sg_verb_show_key(struct sg_call *call);
void sg_verb_make_csr(struct sg_call *call);
void sg_verb_use_key(struct sg_call *call);

/* verbs_account.c */
void sg_verb_add_account(struct sg_call *call);
void sg_verb_list_accounts(struct sg_call *call);
void sg_verb_show_account(struct sg_call *call);
void sg_verb_remove_account(struct sg_call *call);
void sg_verb_connect(struct sg_call *call);
void sg_verb_disconnect(struct sg_call *call);
void sg_verb_status(struct sg_call *call);

/* verbs_enrol.c */
void sg_verb_enrol(struct sg_call *call);
void sg_verb_cancel_enrolment(struct sg_call *call);

/* verbs_renew.c */
void sg_verb_renew(struct sg_call *call);

/* verbs_cert.c */
void sg_verb_list_certificates(struct sg_call *call);
void sg_verb_revoke_certificate(struct sg_call *call);

/* verbs_reconcile.c */
void sg_verb_reconcile(struct sg_call *call);

/* verbs_adopt.c */
void sg_verb_adopt_certificate(struct sg_call *call);

/* verbs_remove.c */
void sg_verb_remove_certificate(struct sg_call *call);

/* verbs_lost.c */
void sg_verb_revoke_token(struct sg_call *call);

/* verbs_spare.c: Connect with a key */
void sg_verb_connect_with_key(struct sg_call *call);

/* verbs_sign.c */
void sg_verb_sign(struct sg_call *call);

/* verbs_publish.c */
void sg_verb_publish(struct sg_call *call);
void sg_verb_show_published(struct sg_call *call);
void sg_verb_retract(struct sg_call *call);

/* verbs_asking.c */
void sg_verb_fetch_keys(struct sg_call *call);
void sg_verb_ask_keys(struct sg_call *call);
void sg_verb_send_keys(struct sg_call *call);

/* verbs_pgp.c */
void sg_verb_add_pgp_key(struct sg_call *call);
void sg_verb_remove_pgp_key(struct sg_call *call);
void sg_verb_list_own_keys(struct sg_call *call);
void sg_verb_add_signature(struct sg_call *call);

/* verbs_keyring.c */
void sg_verb_list_keyring(struct sg_call *call);
void sg_verb_show_keyring(struct sg_call *call);
void sg_verb_trust_key(struct sg_call *call);
void sg_verb_distrust_key(struct sg_call *call);
void sg_verb_forget_key(struct sg_call *call);
void sg_verb_acknowledge_keys(struct sg_call *call);

/* verbs_keyring_file.c */
void sg_verb_export_keyring(struct sg_call *call);
void sg_verb_import_keyring(struct sg_call *call);

/* verbs_trust.c */
void sg_verb_explain_key(struct sg_call *call);
void sg_verb_graph(struct sg_call *call);

#endif
