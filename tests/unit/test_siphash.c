/* test_siphash.c - a hash whose collisions nobody can choose */
#include "common/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The authors' test vectors (vectors_sip64, vectors_sip128): key and text are 0, 1, 2, ... */
static const struct {
    size_t length;
    uint64_t hash;
    struct siphash_wide wide;
} vectors[] = {
    {0, 0x726fdb47dd0e0e31, {{0xe6a825ba047f81a3, 0x930255c71472f66d}}},
    {1, 0x74f839c593dc67fd, {{0x44af996bd8c187da, 0x45fc229b11597634}}},
    {7, 0xab0200f58b01d137, {{0x53c1dbd8beebf1a1, 0x3982f01fa64ab8c0}}},
    {8, 0x93f5f5799a932462, {{0x61f55862baa9623b, 0xb49714f364e2830f}}},
    {15, 0xa129ca6149be45e5, {{0x11a8b03399e99354, 0xd9c3cf970fec087e}}},
    {16, 0x3f2acc7f57c29bdb, {{0xbb54b067caa4e26e, 0x77052385bf1533fd}}},
    {63, 0x958a324ceb064572, {{0x4a83502f77d15051, 0x7cbd3f979a063e50}}},
};

static void the_hashes_are_those_of_the_authors(void **state)
{
    (void)state;
    static const struct siphash_secret secret = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
    unsigned char text[64];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct siphash_wide wide = siphash_wide(&secret, text, vectors[i].length);
        assert_true(siphash(&secret, text, vectors[i].length) == vectors[i].hash);
        assert_memory_equal(&wide, &vectors[i].wide, sizeof(wide));
    }
}

static void secrets_differ(void **state)
{
    (void)state;
    struct siphash_secret one = siphash_make_secret(), other = siphash_make_secret();
    assert_memory_not_equal(&one, &other, sizeof(one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hashes_are_those_of_the_authors),
        cmocka_unit_test(secrets_differ),
    };
    return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
