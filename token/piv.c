#include "piv.h"

#include "reader.h"

#define SW_OK	   0x9000
#define SW_LEFT	   0x63c0 /* and the number */
#define SW_BLOCKED 0x6983

static int is_left(int status)
{
	return (status & 0xfff0) == SW_LEFT;
}

/* SP 800-73-4 part 2, 3.2.1: VERIFY without a PIN asks how many tries are left, and costs none. */
static int card_ask(const struct sg_card *card, int *tries)
{
	static const unsigned char ask[] = { 0x00, 0x20, 0x00, 0x80 };
	static const unsigned char select[] = { 0x00, 0xa4, 0x04, 0x00, 0x05, 0xa0, 0x00, 0x00,
		0x03, 0x08 };
	int status = sg_card_command(card, ask, sizeof(ask));

	/* Another program has selected another applet: the PIV applet's login is gone already. */
	if (status >= 0 && status != SW_OK && status != SW_BLOCKED && !is_left(status)) {
		status = sg_card_command(card, select, sizeof(select));
		if (status >= 0)
			status = sg_card_command(card, ask, sizeof(ask));
	}
	if (status < 0)
		return status;
	if (status == SW_OK)
		*tries = SG_PIV_VERIFIED;
	else if (status == SW_BLOCKED)
		*tries = 0;
	else if (is_left(status))
		*tries = status & 0xf;
	else
		return SG_ERR_UNSUPPORTED;
	return 0;
}

/* For the name of a reader that fits several: the fewest count. */
static int fewest(void *arg, const struct sg_card *card)
{
	int *tries = arg, one = SG_PIV_VERIFIED;
	int err = card_ask(card, &one);

	if (err == 0 && one < *tries)
		*tries = one;
	return err;
}

int sg_piv_tries(const char *reader, int *tries)
{
	*tries = SG_PIV_VERIFIED;
	return sg_reader_transact(reader, fewest, tries);
}
