/* test_dictionary.c - keys and values in memory, and the cache over them */
#include "common/dictionary.h"
#include "common/memory.h"
#include "common/table_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND ((int64_t)1000000)

static void what_was_put_is_found(void **state)
{
    (void)state;
    struct dictionary *dictionary = dictionary_new(free);
    assert_null(dictionary_find(dictionary, "a"));
    dictionary_put(dictionary, "a", memory_copy("1"));
    dictionary_put(dictionary, "b", memory_copy("2"));
    dictionary_put(dictionary, "", memory_copy("empty"));
    dictionary_put(dictionary, "a", memory_copy("3"));
    assert_int_equal(dictionary_count(dictionary), 3);
    assert_string_equal(dictionary_find(dictionary, "a"), "3");
    assert_string_equal(dictionary_find(dictionary, "b"), "2");
    assert_string_equal(dictionary_find(dictionary, ""), "empty");
    assert_true(dictionary_remove(dictionary, "a"));
    assert_false(dictionary_remove(dictionary, "a"));
    assert_null(dictionary_find(dictionary, "a"));
    assert_int_equal(dictionary_count(dictionary), 2);
    dictionary_free(dictionary);
    dictionary_free(NULL);
}

static void many_keys_of_all_lengths_stay_apart(void **state)
{
    (void)state;
    struct dictionary *dictionary = dictionary_new(free);
    char key[64], value[16];
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "%.*s%d", i % 40, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", i);
        snprintf(value, sizeof(value), "%d", i);
        dictionary_put(dictionary, key, memory_copy(value));
    }
    for (int i = 0; i < 20000; i += 3) {
        snprintf(key, sizeof(key), "%.*s%d", i % 40, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", i);
        assert_true(dictionary_remove(dictionary, key));
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "%.*s%d", i % 40, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", i);
        snprintf(value, sizeof(value), "%d", i);
        const char *found = dictionary_find(dictionary, key);
        if (i % 3 == 0)
            assert_null(found);
        else
            assert_string_equal(found, value);
    }
    dictionary_free(dictionary);
}

static void expect(struct table_cache *cache, const char *key, int64_t now, const char *want)
{
    enum table_answer answer = TABLE_FAILED;
    char *value = NULL;
    if (!table_cache_find(cache, key, now, &answer, &value))
        fail_msg("%s: got nothing, want %s", key, want != NULL ? want : "a remembered absence");
    assert_int_equal(answer, want != NULL ? TABLE_FOUND : TABLE_NONE);
    if (want != NULL)
        assert_string_equal(value, want);
    free(value);
}

static void expect_unknown(struct table_cache *cache, const char *key, int64_t now)
{
    enum table_answer answer = TABLE_FAILED;
    char *value = NULL;
    assert_false(table_cache_find(cache, key, now, &answer, &value));
    assert_null(value);
}

static void answers_live_as_long_as_they_may(void **state)
{
    (void)state;
    struct table_cache *cache = table_cache_new(65536, 60 * SECOND);
    expect_unknown(cache, "a", 0);
    table_cache_store(cache, "a", 0, "1");
    table_cache_store(cache, "b", 30 * SECOND, NULL);
    expect(cache, "a", 60 * SECOND - 1, "1");
    expect_unknown(cache, "a", 60 * SECOND);
    expect(cache, "b", 90 * SECOND - 1, NULL);
    table_cache_store(cache, "b", 80 * SECOND, "now");
    expect(cache, "b", 140 * SECOND - 1, "now");
    expect_unknown(cache, "b", 140 * SECOND);
    table_cache_store(cache, "c", 140 * SECOND, "3");
    table_cache_clear(cache);
    expect_unknown(cache, "c", 140 * SECOND);
    table_cache_free(cache);
    table_cache_free(NULL);
}

static void the_oldest_answers_make_room(void **state)
{
    (void)state;
    struct table_cache *cache = table_cache_new(8192, 60 * SECOND);
    char key[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        table_cache_store(cache, key, i, i % 2 == 0 ? "value" : NULL);
    }
    expect_unknown(cache, "key0", 1000);
    expect_unknown(cache, "key900", 1000);
    expect(cache, "key999", 1000, NULL);
    expect(cache, "key998", 1000, "value");
    char *large = memory_zero(1, 9000);
    memset(large, 'x', 8999);
    table_cache_store(cache, "large", 1000, large);
    expect_unknown(cache, "large", 1000);
    expect(cache, "key999", 1000, NULL);
    free(large);
    table_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(many_keys_of_all_lengths_stay_apart),
        cmocka_unit_test(answers_live_as_long_as_they_may),
        cmocka_unit_test(the_oldest_answers_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
