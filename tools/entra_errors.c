/* entra_errors.c - writes docs/ENTRA_ERRORS.md, generated from the table of Entra's errors
 *
 * `make generate` writes the file, `make check-generated` compares it. Part of the build, not
 * installed.
 */
#include "common/entra/cause.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static bool has_words_of_entra(const struct entra_row *row)
{
    return row->numbers[0] != 0 || row->errors[0] != NULL;
}

/* The numbers and words by which it is known, with `separator` between. */
static void print_signs(const struct entra_row *row, const char *separator)
{
    const char *before = "";
    for (size_t i = 0; i < ENTRA_NUMBERS_MAX && row->numbers[i] != 0; i++) {
        printf("%sAADSTS%u", before, row->numbers[i]);
        before = separator;
    }
    for (size_t i = 0; i < ENTRA_ERRORS_MAX && row->errors[i] != NULL; i++) {
        printf("%s`%s`", before, row->errors[i]);
        before = separator;
    }
}

/* A number may mean two things, of which the `error` beside it tells. */
struct number {
    unsigned number;
    const struct entra_row *row;
};

static int by_number(const void *one, const void *other)
{
    const struct number *first = one, *second = other;
    if (first->number != second->number)
        return first->number < second->number ? -1 : 1;
    return strcmp(first->row->name, second->row->name);
}

/* By number, so that one is found by eye. */
static void print_numbers(const struct entra_row *rows, size_t count)
{
    struct number numbers[256];
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < ENTRA_NUMBERS_MAX && rows[i].numbers[j] != 0; j++)
            if (used < sizeof(numbers) / sizeof(numbers[0]))
                numbers[used++] = (struct number){rows[i].numbers[j], &rows[i]};
    qsort(numbers, used, sizeof(numbers[0]), by_number);
    printf("| AADSTS | cause |\n|---|---|\n");
    for (size_t i = 0; i < used; i++)
        printf("| %u | [%s](#%s) |\n", numbers[i].number, numbers[i].row->name,
               numbers[i].row->name);
}

/* A remedy's placeholders look like HTML where they do not stand in a command. */
static void print_remedy(const char *text)
{
    bool is_command = false;
    for (; *text != '\0'; text++) {
        bool is_edge = !is_command && (*text == '<' || *text == '>');
        if (*text == '`')
            is_command = !is_command;
        printf("%s%c%s", is_edge && *text == '<' ? "`" : "", *text,
               is_edge && *text == '>' ? "`" : "");
    }
    putchar('\n');
}

static void print_row(const struct entra_row *row)
{
    printf("\n### %s\n\n", row->name);
    if (has_words_of_entra(row)) {
        print_signs(row, ", ");
        printf("\n\n");
    }
    printf("%s\n\n**What happens:** %s.\n\n**Remedy:** ", row->meaning,
           entra_class_words(row->class));
    print_remedy(row->remedy);
}

static void print_rows(const struct entra_row *rows, size_t count, bool of_entra)
{
    for (size_t i = 0; i < count; i++)
        if (has_words_of_entra(&rows[i]) == of_entra)
            print_row(&rows[i]);
}

int main(void)
{
    size_t count;
    const struct entra_row *rows = entra_rows(&count);
    printf(
        "# Why there is no access token\n\n"
        "What Microsoft Entra's token endpoint answers, and what keeps post365 from getting an "
        "answer: what it means, and\nwhat you do. Generated from the table in "
        "`common/entra/cause.c` by `make generate`: do not edit.\n\n"
        "What post365 does goes by the HTTP status and the `error` of an answer; Microsoft "
        "changes its AADSTS numbers and\ntexts, so that they choose the words here, and no more: "
        "what happens may differ from what is said below where they\ndo. `post365 explain` "
        "takes a pasted text.\n\n"
        "In remedies `<UPN>` is the account, `<registration>` the path of the registration "
        "file, `<client id>` and `<tenant>`\nwhat stands in it.\n\n"
        "## By number\n\n");
    print_numbers(rows, count);
    printf("\n## What Microsoft Entra says\n");
    print_rows(rows, count, true);
    printf("\n## What else it may be\n");
    print_rows(rows, count, false);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("entra_errors: standard output");
        return EX_IOERR;
    }
    return EX_OK;
}
