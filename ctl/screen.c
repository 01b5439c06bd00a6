/* screen.c - what is shown, on a terminal or elsewhere */
#include "ctl/screen.h"

#include "common/clock.h"
#include "common/harmless.h"
#include "common/memory.h"
#include "common/utf8.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NARROWEST 20

struct screen screen_open(void)
{
    struct screen screen = {.width = SCREEN_WIDTH, .height = SCREEN_HEIGHT};
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    setlocale(LC_ALL, "");
    screen.has_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    if (!isatty(STDOUT_FILENO))
        return screen;
    screen.has_colour = (no_colour == NULL || no_colour[0] == '\0') && terminal != NULL &&
                        strcmp(terminal, "dumb") != 0;
    screen_measure(&screen);
    return screen;
}

void screen_measure(struct screen *screen)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return;
    if (size.ws_col >= NARROWEST)
        screen->width = size.ws_col;
    if (size.ws_row > 0)
        screen->height = size.ws_row;
}

void screen_text(struct buffer *line, const char *text)
{
    size_t length = strlen(text);
    buffer_append_string(line, "");
    for (size_t at = 0; at < length;) {
        uint32_t code;
        size_t octets = utf8_decode(text + at, length - at, &code);
        if (octets == 0 || !harmless_is(code))
            buffer_append_char(line, '?');
        else
            buffer_append(line, text + at, octets);
        at += octets > 0 ? octets : 1;
    }
}

/* The first place in the text whose name is known, or NULL. */
static const char *find_place(const char *text, const struct screen_names *names, const char **name,
                              size_t *length)
{
    const struct {
        const char *place, *name;
    } places[] = {{"<UPN>", names->account},
                  {"<client id>", names->client_id},
                  {"<tenant>", names->tenant},
                  {"<registration>", names->registration}};
    for (text = strchr(text, '<'); text != NULL; text = strchr(text + 1, '<'))
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
            *length = strlen(places[i].place);
            *name = places[i].name;
            if (*name != NULL && strncmp(text, places[i].place, *length) == 0)
                return text;
        }
    return NULL;
}

void screen_text_named(struct buffer *line, const char *text, const struct screen_names *names)
{
    const char *place, *name;
    size_t length;
    while ((place = find_place(text, names, &name, &length)) != NULL) {
        char *before = memory_copy_bytes(text, (size_t)(place - text));
        screen_text(line, before);
        screen_text(line, name);
        free(before);
        text = place + length;
    }
    screen_text(line, text);
}

void screen_text_about(struct buffer *line, const char *text, const char *account)
{
    screen_text_named(line, text, &(struct screen_names){.account = account});
}

void screen_paint(const struct screen *screen, struct buffer *line, enum screen_style style,
                  const char *text)
{
    static const char *const codes[] = {[SCREEN_PLAIN] = "",
                                        [SCREEN_GOOD] = "\033[32m",
                                        [SCREEN_BAD] = "\033[31m",
                                        [SCREEN_DIM] = "\033[2m",
                                        [SCREEN_BOLD] = "\033[1m"};
    bool painted = screen->has_colour && style != SCREEN_PLAIN;
    buffer_append_string(line, painted ? codes[style] : "");
    buffer_append_string(line, text);
    buffer_append_string(line, painted ? "\033[0m" : "");
}

void screen_bar(const struct screen *screen, struct buffer *line, uint64_t used, uint64_t limit,
                size_t width)
{
    uint64_t full = limit > 0 ? (used * width + limit - 1) / limit : 0;
    for (size_t i = 0; i < width; i++) {
        if (screen->has_utf8)
            buffer_append_string(line, i < full ? "█" : "░");
        else
            buffer_append_char(line, i < full ? '#' : '.');
    }
}

/* How many octets of UTF-8 text the first `columns` characters have; all of them, if there are no
 * more. `*count` is how many characters these are. */
static size_t octets_of(const char *text, size_t length, size_t columns, size_t *count)
{
    size_t at = 0;
    uint32_t code;
    for (*count = 0; at < length && *count < columns; (*count)++) {
        size_t octets = utf8_decode(text + at, length - at, &code);
        at += octets > 0 ? octets : 1;
    }
    return at;
}

void screen_column(const struct screen *screen, struct buffer *line, const char *text,
                   size_t columns)
{
    struct buffer shown = {0};
    size_t count;
    screen_text(&shown, text);
    size_t octets = octets_of(shown.data, shown.length, columns, &count);
    if (octets < shown.length && columns > 0) {
        octets = octets_of(shown.data, shown.length, columns - 1, &count);
        buffer_append(line, shown.data, octets);
        buffer_append_string(line, screen->has_utf8 ? "…" : "~");
        count++;
    } else {
        buffer_append(line, shown.data, octets);
    }
    for (; count < columns; count++)
        buffer_append_char(line, ' ');
    buffer_free(&shown);
}

void screen_age(struct buffer *line, int64_t age)
{
    int64_t seconds = age > 0 ? age / CLOCK_SECOND : 0;
    if (seconds < 2 * 60)
        buffer_format(line, "%ds", (int)seconds);
    else if (seconds < 2 * 3600)
        buffer_format(line, "%dm", (int)(seconds / 60));
    else if (seconds < 2 * 86400)
        buffer_format(line, "%dh", (int)(seconds / 3600));
    else
        buffer_format(line, "%dd", (int)(seconds / 86400));
}

void screen_append_wrapped(const struct screen *screen, struct buffer *lines, const char *text,
                           size_t indent)
{
    size_t room = screen->width > indent + NARROWEST ? screen->width - indent : NARROWEST;
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > room) {
            buffer_format(lines, "\n%*s", (int)indent, "");
            column = 0;
        }
        buffer_append_string(lines, column > 0 ? " " : "");
        buffer_append(lines, text, word);
        column += word + (column > 0);
        text += word;
        text += strspn(text, " ");
    }
    buffer_append_char(lines, '\n');
}

void screen_wrap(const struct screen *screen, const char *text, size_t indent)
{
    struct buffer lines = {0};
    screen_append_wrapped(screen, &lines, text, indent);
    fputs(lines.data, stdout);
    buffer_free(&lines);
}
