/* test_block.c - a text, 64 bytes at a time */
#include "common/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t find_slowly(const char *block, char byte)
{
    uint64_t found = 0;
    for (unsigned i = 0; i < BLOCK_SIZE; i++)
        found |= (uint64_t)(block[i] == byte) << i;
    return found;
}

static void expect(const char *block, char byte)
{
    assert_true(block_find(block, byte) == find_slowly(block, byte));
    assert_true(block_find_portable(block, byte) == find_slowly(block, byte));
}

static void every_byte_is_found_in_every_place(void **state)
{
    (void)state;
    char block[BLOCK_SIZE];
    for (int byte = 0; byte < 256; byte++)
        for (size_t i = 0; i < BLOCK_SIZE; i++) {
            memset(block, byte ^ 1, sizeof(block));
            block[i] = (char)byte;
            expect(block, (char)byte);
            expect(block, (char)(byte ^ 1));
            expect(block, (char)(byte ^ 0x80));
            assert_int_equal(block_first(block_find(block, (char)byte)), i);
        }
}

static void so_are_many_at_once(void **state)
{
    (void)state;
    char block[BLOCK_SIZE + 8];
    srandom(1);
    for (int round = 0; round < 100000; round++) {
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = "\n\n==\x0b\x09\x8a\xbd"[random() % 8];
        expect(block + round % 8, '\n');
        expect(block + round % 8, '=');
    }
}

static void the_last_block_ends_in_nuls(void **state)
{
    (void)state;
    char text[BLOCK_SIZE], copy[BLOCK_SIZE], want[BLOCK_SIZE] = "";
    memset(text, 'x', sizeof(text));
    assert_ptr_equal(block_at(text, BLOCK_SIZE, copy), text);
    assert_ptr_equal(block_at(text, BLOCK_SIZE + 1, copy), text);
    for (size_t left = 0; left < BLOCK_SIZE; left++) {
        memset(copy, 'y', sizeof(copy));
        assert_memory_equal(block_at(text, left, copy), want, BLOCK_SIZE);
        want[left] = 'x';
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_found_in_every_place),
        cmocka_unit_test(so_are_many_at_once),
        cmocka_unit_test(the_last_block_ends_in_nuls),
    };
    return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
