/* parameters.c - print what is documented of the table that the parser uses
 *
 *     parameters markdown    docs/PARAMETERS.md
 *     parameters manual      the list in docs/post365.cf.5, in mdoc(7)
 */
#include "common/parameter.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DELIMITERS       ".,:;" /* those of mdoc(7) that are used */
#define LINE_MAX_COLUMNS 78

static const char introduction[] =
    "# Parameters\n"
    "\n"
    "All settings of post365 are parameters in Postfix's `main.cf`. `post365-milter -t` and\n"
    "`post365-policyd -t` check them and print those in force. postconf(1) warns about a parameter "
    "that\n"
    "nothing in Postfix refers to: name each one that you set in `smtpd_milters`, as the README "
    "shows.\n"
    "\n"
    "| parameter | default | meaning |\n"
    "|---|---|---|\n";

static void print_markdown(void)
{
    fputs(introduction, stdout);
    for (size_t i = 0; i < parameter_count(); i++) {
        const struct parameter *parameter = parameter_at(i);
        const char *quote = parameter->initial[0] != '\0' ? "`" : "";
        printf("| `%s` | %s%s%s | %s |\n", parameter->name, quote,
               parameter->initial[0] != '\0' ? parameter->initial : "empty", quote,
               parameter->meaning);
    }
}

/* --- mdoc ----------------------------------------------------------------------- */

/* What is between backticks becomes a macro's argument, with the punctuation behind it. Returns
 * what follows. */
static const char *print_literal(const char *text)
{
    size_t length = strcspn(text, "`");
    bool is_name = strncmp(text, "post365_", strlen("post365_")) == 0;
    bool ends_in_delimiter = strchr(DELIMITERS, text[length - 1]) != NULL;
    printf(".%s %.*s%s", is_name ? "Cm" : "Ql", (int)length, text, ends_in_delimiter ? "\\&" : "");
    text += length + (text[length] == '`');
    while (*text != '\0' && strchr(DELIMITERS, *text) != NULL)
        printf(" %c", *text++);
    putchar('\n');
    return text + strspn(text, " ");
}

/* Words up to the next literal, in lines that are not too long, a sentence a line. */
static const char *print_words(const char *text)
{
    size_t column = 0;
    text += strspn(text, " ");
    while (*text != '\0' && *text != '`') {
        size_t word = strcspn(text, " `");
        bool fits = column + 1 + word <= LINE_MAX_COLUMNS;
        if (column > 0)
            putchar(fits ? ' ' : '\n');
        column = column > 0 && fits ? column + 1 + word : word;
        printf("%.*s", (int)word, text);
        if (text[word - 1] == '.') {
            putchar('\n');
            column = 0;
        }
        text += word;
        text += strspn(text, " ");
    }
    if (column > 0)
        putchar('\n');
    return text;
}

static void print_manual(void)
{
    for (size_t i = 0; i < parameter_count(); i++) {
        const struct parameter *parameter = parameter_at(i);
        bool is_empty = parameter->initial[0] == '\0';
        printf(".It Cm %s Pq default %s%s\n", parameter->name, is_empty ? "" : "Li ",
               is_empty ? "empty" : parameter->initial);
        for (const char *text = parameter->meaning; *text != '\0';)
            text = *text == '`' ? print_literal(text + 1) : print_words(text);
    }
}

int main(int argc, char *argv[])
{
    const char *form = argc == 2 ? argv[1] : "";
    if (strcmp(form, "markdown") == 0)
        print_markdown();
    else if (strcmp(form, "manual") == 0)
        print_manual();
    else
        return 2;
    return ferror(stdout) != 0;
}
