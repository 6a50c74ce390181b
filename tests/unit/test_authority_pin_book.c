#include "authority/pin_book.h"

#include <sys/stat.h>
#include <unistd.h>

#include "authority/file.h"
#include "capture.h"
#include "codecs.h"

struct place {
	char folder[64], path[96];
};

static int make_place(void **state)
{
	static struct place place;

	strcpy(place.folder, "/tmp/signet-book-XXXXXX");
	assert_non_null(mkdtemp(place.folder));
	snprintf(place.path, sizeof(place.path), "%s/crl.pem.refused-pins", place.folder);
	*state = &place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;

	unlink(place->path);
	return rmdir(place->folder);
}

static struct sg_pin_book *book_of(const struct place *place, const char *token)
{
	struct sg_pin_book *book;

	assert_int_equal(sg_pin_book_new(place->path, token, &book), 0);
	return book;
}

/* What a worker tells of a PIN; the number stands for its hash. */
static void tell(struct sg_pin_book *book, uint32_t verdict, unsigned char number)
{
	unsigned char hash[SG_PIN_HASH_SIZE];
	struct sg_msg_pin_outcome outcome = { .verdict = verdict, .hash = { hash, sizeof(hash) } };

	memset(hash, number, sizeof(hash));
	sg_pin_book_outcome(book, &outcome);
}

/* How many are known, and the number of the first. */
static uint32_t known(struct sg_pin_book *book, unsigned char *first)
{
	struct sg_pin_ledger ledger;

	assert_int_equal(sg_pin_book_read(book, &ledger), 0);
	*first = ledger.wrong_count > 0 ? ledger.wrong[0].hash.data[0] : 0;
	return ledger.wrong_count;
}

static void another_process_knows_what_was_refused(void **state)
{
	struct sg_pin_book *book = book_of(*state, "a token"), *other = book_of(*state, "a token");
	struct sg_pin_ledger here, there;
	unsigned char first;

	assert_int_equal(known(other, &first), 0);
	tell(book, SG_PIN_REFUSED, 7);
	assert_int_equal(sg_pin_book_read(book, &here), 0);
	assert_int_equal(sg_pin_book_read(other, &there), 0);
	assert_int_equal(there.wrong_count, 1);
	assert_true(sg_blob_eq(&here.key, &there.key) && sg_blob_eq(&here.salt, &there.salt));
	assert_true(sg_blob_eq(&here.wrong[0].hash, &there.wrong[0].hash));
	assert_int_equal(there.wrong[0].unsure, 0);
	tell(other, SG_PIN_TAKEN, 8);
	assert_int_equal(known(book, &first), 0);
	sg_pin_book_free(book);
	sg_pin_book_free(other);
}

static void only_a_refusal_counts(void **state)
{
	struct place *place = *state;
	struct sg_pin_book *book = book_of(place, "t");

	tell(book, SG_PIN_BLOCKED, 1);
	tell(book, SG_PIN_UNSAID, 2);
	tell(book, SG_PIN_UNTRIED, 3);
	assert_int_equal(access(place->path, F_OK), -1);
	sg_pin_book_free(book);
}

static void another_token_has_refused_nothing(void **state)
{
	struct sg_pin_book *book = book_of(*state, "t"), *other = book_of(*state, "t 2");
	unsigned char first;

	tell(book, SG_PIN_REFUSED, 7);
	assert_int_equal(known(other, &first), 0);
	sg_pin_book_free(book);
	sg_pin_book_free(other);
}

static void the_oldest_makes_room(void **state)
{
	struct sg_pin_book *book = book_of(*state, "t"), *other = book_of(*state, "t");
	unsigned char first;

	for (unsigned char i = 1; i <= SG_PIN_BOOK_MAX + 2; i++)
		tell(book, SG_PIN_REFUSED, i);
	assert_int_equal(known(other, &first), SG_PIN_BOOK_MAX);
	assert_int_equal(first, 3);
	sg_pin_book_free(book);
	sg_pin_book_free(other);
}

static void a_file_that_is_none_of_ours_is_told_and_counts_as_none(void **state)
{
	static const char *const texts[] = { "", "\n\n\n", "xyz\n", "00\n00\n00 t\n" };
	struct place *place = *state;
	struct sg_pin_book *book = book_of(place, "t");
	struct capture capture;
	unsigned char first;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(sg_file_replace(place->path, texts[i], strlen(texts[i]), 0600), 0);
		capture_begin(&capture);
		assert_int_equal(known(book, &first), 0);
		assert_non_null(strstr(capture_end(&capture), place->path));
	}
	/* and is written anew */
	tell(book, SG_PIN_REFUSED, 7);
	assert_int_equal(known(book, &first), 1);
	sg_pin_book_free(book);
}

static void what_is_known_is_still_known_before_another_try(void **state)
{
	struct sg_pin_book *book = book_of(*state, "t"), *other = book_of(*state, "t");
	unsigned char first;

	assert_int_equal(sg_pin_book_prepare(book), 0);
	assert_int_equal(known(other, &first), 0);
	tell(book, SG_PIN_REFUSED, 7);
	assert_int_equal(known(other, &first), 1);
	assert_int_equal(sg_pin_book_prepare(other), 0);
	assert_int_equal(known(book, &first), 1);
	assert_int_equal(first, 7);
	sg_pin_book_free(book);
	sg_pin_book_free(other);
}

static void without_its_folder_it_is_told_and_goes_on(void **state)
{
	struct place none = { .path = "/nonexistent/signet/book" };
	struct sg_pin_book *book = book_of(&none, "t");
	struct capture capture;
	unsigned char first;

	assert_int_equal(known(book, &first), 0);
	capture_begin(&capture);
	tell(book, SG_PIN_REFUSED, 7);
	assert_non_null(strstr(capture_end(&capture), "another process tries it again"));
	capture_begin(&capture);
	assert_int_equal(sg_pin_book_prepare(book), SG_ERR_IO);
	assert_non_null(strstr(capture_end(&capture), "/nonexistent/signet is missing"));
	sg_pin_book_free(book);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    another_process_knows_what_was_refused, make_place, remove_place),
		cmocka_unit_test_setup_teardown(only_a_refusal_counts, make_place, remove_place),
		cmocka_unit_test_setup_teardown(
		    another_token_has_refused_nothing, make_place, remove_place),
		cmocka_unit_test_setup_teardown(the_oldest_makes_room, make_place, remove_place),
		cmocka_unit_test_setup_teardown(
		    a_file_that_is_none_of_ours_is_told_and_counts_as_none, make_place,
		    remove_place),
		cmocka_unit_test_setup_teardown(
		    what_is_known_is_still_known_before_another_try, make_place, remove_place),
		cmocka_unit_test_setup_teardown(
		    without_its_folder_it_is_told_and_goes_on, make_place, remove_place),
	};

	return cmocka_run_group_tests_name("authority_pin_book", tests, NULL, NULL);
}
