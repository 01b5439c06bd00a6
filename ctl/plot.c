/* plot.c - columns over time against a limit, drawn with characters */
#include "ctl/plot.h"

#include "common/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AXIS         2 /* columns: a blank and the line itself */
#define WIDEST       4 /* of a column */
#define EIGHTHS      8 /* of a character's height */
#define FAR_BELOW    4 /* everything is below this part of the limit */
#define SCALE_LEAST  4
#define NEAR_NUMBER  9 /* nine tenths of the limit are near it */
#define NEAR_DIVISOR 10

/* What everything is drawn with. */
struct signs {
    const char *parts[EIGHTHS + 1]; /* of what was added, by eighths */
    const char *before;
    const char *side, *mark, *corner, *floor, *tick, *line, *gap;
};

static const struct signs *signs_of(const struct screen *screen)
{
    static const struct signs utf8 = {.parts = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
                                      .before = "░",
                                      .side = "│",
                                      .mark = "┤",
                                      .corner = "└",
                                      .floor = "─",
                                      .tick = "┬",
                                      .line = "━",
                                      .gap = "⋮"};
    static const struct signs ascii = {.parts = {" ", "#", "#", "#", "#", "#", "#", "#", "#"},
                                       .before = ":",
                                       .side = "|",
                                       .mark = "+",
                                       .corner = "+",
                                       .floor = "-",
                                       .tick = "+",
                                       .line = "=",
                                       .gap = "~"};
    return screen->has_utf8 ? &utf8 : &ascii;
}

const char *plot_added_sign(const struct screen *screen)
{
    return signs_of(screen)->parts[EIGHTHS];
}

const char *plot_before_sign(const struct screen *screen)
{
    return signs_of(screen)->before;
}

static size_t digits_of(uint64_t value)
{
    return (size_t)snprintf(NULL, 0, "%" PRIu64, value);
}

size_t plot_most_columns(const struct screen *screen, uint64_t most)
{
    size_t beside = digits_of(most) + AXIS;
    return screen->width > beside ? screen->width - beside : 1;
}

/* --- the scale ------------------------------------------------------------------ */

struct drawing {
    const struct screen *screen;
    const struct plot *plot;
    const struct signs *signs;
    struct buffer *lines;
    uint64_t top;     /* the value at the upper end of the columns */
    bool is_broken;   /* the limit is far above that */
    size_t limit_row; /* the limit's line is under this row, counted from the floor; `height`: above
                         all of them */
    size_t margin;    /* columns for numbers */
    size_t room;      /* columns beside them */
    size_t width;     /* of a column */
};

static uint64_t level_of(const struct plot_column *column)
{
    return column->before + column->added;
}

static uint64_t highest_of(const struct plot *plot)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < plot->count; i++)
        highest = level_of(&plot->columns[i]) > highest ? level_of(&plot->columns[i]) : highest;
    return highest;
}

/* 1, 2, 4 or 6 times a power of ten: a number whose half is a number, too. */
static uint64_t round_up(uint64_t value)
{
    static const uint64_t steps[] = {1, 2, 4, 6};
    if (value < SCALE_LEAST)
        return SCALE_LEAST;
    for (uint64_t power = 1;; power *= 10)
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
            if (power * steps[i] >= value)
                return power * steps[i];
}

static void choose_scale(struct drawing *drawing)
{
    const struct plot *plot = drawing->plot;
    uint64_t highest = highest_of(plot);
    drawing->limit_row = plot->height;
    if (plot->limit == PLOT_UNLIMITED) {
        drawing->top = round_up(highest);
    } else if (highest < plot->limit / FAR_BELOW && round_up(highest) < plot->limit) {
        drawing->is_broken = true;
        drawing->top = round_up(highest);
    } else {
        drawing->top = highest > plot->limit ? highest : plot->limit;
        drawing->top = drawing->top > 0 ? drawing->top : 1;
        drawing->limit_row = (size_t)(plot->limit * plot->height / drawing->top);
    }
    uint64_t largest =
        plot->limit != PLOT_UNLIMITED && plot->limit > drawing->top ? plot->limit : drawing->top;
    drawing->margin = digits_of(largest);
    drawing->room = plot_most_columns(drawing->screen, largest);
    drawing->width = drawing->room / plot->count;
    drawing->width = drawing->width < 1 ? 1 : drawing->width > WIDEST ? WIDEST : drawing->width;
}

/* --- cells ---------------------------------------------------------------------- */

static enum screen_style style_of(const struct drawing *drawing, size_t i)
{
    const struct plot *plot = drawing->plot;
    if (plot->limit != PLOT_UNLIMITED &&
        level_of(&plot->columns[i]) * NEAR_DIVISOR >= plot->limit * NEAR_NUMBER)
        return SCREEN_BAD;
    return i >= plot->count - plot->expected ? SCREEN_DIM : SCREEN_GOOD;
}

/* A column's part of a row. What was added is rounded up to an eighth, so that something is seen of
 * little; what was there before is rounded to a row. */
static const char *cell(const struct drawing *drawing, size_t i, size_t row)
{
    const struct plot_column *column = &drawing->plot->columns[i];
    uint64_t eighths = EIGHTHS * drawing->plot->height;
    uint64_t level = (level_of(column) * eighths + drawing->top - 1) / drawing->top;
    uint64_t before = column->before * eighths / drawing->top;
    uint64_t begin = row * EIGHTHS, middle = begin + EIGHTHS / 2;
    bool is_highest = level > begin && level <= begin + EIGHTHS;
    if (level <= begin)
        return " ";
    if (column->added == 0)
        return !is_highest || level >= middle || row == 0 ? drawing->signs->before : " ";
    if (is_highest)
        return drawing->signs->parts[level - begin];
    return before > middle ? drawing->signs->before : drawing->signs->parts[EIGHTHS];
}

/* The limit's line has a row of its own, which columns above the limit pass. */
static const char *limit_cell(const struct drawing *drawing, size_t i)
{
    const struct plot_column *column = &drawing->plot->columns[i];
    if (level_of(column) <= drawing->plot->limit)
        return drawing->signs->line;
    return column->added > 0 ? drawing->signs->parts[EIGHTHS] : drawing->signs->before;
}

static void trim(struct buffer *run)
{
    while (run->length > 0 && run->data[run->length - 1] == ' ')
        run->data[--run->length] = '\0';
}

/* Appends a row's columns, painted run by run. */
static void write_columns(const struct drawing *drawing, size_t row, bool is_limit)
{
    struct buffer run = {0};
    enum screen_style style = SCREEN_PLAIN;
    size_t count = drawing->plot->count;
    for (size_t i = 0; i <= count; i++) {
        enum screen_style next = i == count ? SCREEN_PLAIN
                                 : is_limit ? SCREEN_BOLD
                                            : style_of(drawing, i);
        if (i == count)
            trim(&run);
        if (run.length > 0 && (next != style || i == count)) {
            screen_paint(drawing->screen, drawing->lines, style, run.data);
            buffer_clear(&run);
        }
        style = next;
        for (size_t part = 0; i < count && part < drawing->width; part++)
            buffer_append_string(&run, is_limit ? limit_cell(drawing, i) : cell(drawing, i, row));
    }
    buffer_free(&run);
}

/* --- rows ------------------------------------------------------------------------ */

static void write_margin(const struct drawing *drawing, bool has_number, uint64_t number,
                         const char *axis)
{
    if (has_number)
        buffer_format(drawing->lines, "%*" PRIu64 " %s", (int)drawing->margin, number, axis);
    else
        buffer_format(drawing->lines, "%*s %s", (int)drawing->margin, "", axis);
}

static void write_limit(const struct drawing *drawing)
{
    write_margin(drawing, true, drawing->plot->limit, drawing->signs->mark);
    write_columns(drawing, drawing->limit_row, true);
    buffer_append_char(drawing->lines, '\n');
    if (!drawing->is_broken)
        return;
    write_margin(drawing, false, 0, drawing->signs->gap);
    buffer_append_char(drawing->lines, '\n');
}

/* A number stands beside the row whose upper edge it is. */
static void write_row(const struct drawing *drawing, size_t row)
{
    size_t height = drawing->plot->height;
    bool is_top = row + 1 == height && drawing->top != drawing->plot->limit;
    bool is_middle = row + 1 == height / 2 && drawing->limit_row != height / 2;
    bool has_number = is_top || is_middle;
    write_margin(drawing, has_number, is_top ? drawing->top : drawing->top / 2,
                 has_number ? drawing->signs->mark : drawing->signs->side);
    write_columns(drawing, row, false);
    buffer_append_char(drawing->lines, '\n');
}

/* Puts a label where it touches no other one. */
static bool place_label(const struct drawing *drawing, char *text, size_t length, size_t i)
{
    const char *label = drawing->plot->columns[i].label;
    size_t size = strlen(label), at = i * drawing->width;
    if (size == 0 || size > length)
        return false;
    if (at + size > length)
        at = length - size;
    size_t from = at > 0 ? at - 1 : 0, to = at + size < length ? at + size + 1 : length;
    if (strspn(text + from, " ") < to - from)
        return false;
    for (size_t k = 0; k < size; k++)
        text[at + k] = label[k];
    return true;
}

static void write_floor(const struct drawing *drawing)
{
    const struct plot *plot = drawing->plot;
    size_t length = drawing->room;
    char *labels = memory_zero(1, length + 1);
    bool *has_tick = memory_zero(plot->count, sizeof(bool));
    size_t now = plot->count - plot->expected - 1;
    memset(labels, ' ', length);
    has_tick[now] = place_label(drawing, labels, length, now);
    for (size_t i = 0; i < plot->count; i++)
        has_tick[i] = has_tick[i] || place_label(drawing, labels, length, i);
    write_margin(drawing, true, 0, drawing->signs->corner);
    for (size_t i = 0; i < plot->count; i++)
        for (size_t part = 0; part < drawing->width; part++)
            buffer_append_string(drawing->lines, has_tick[i] && part == 0 ? drawing->signs->tick
                                                                          : drawing->signs->floor);
    while (length > 0 && labels[length - 1] == ' ')
        labels[--length] = '\0';
    buffer_format(drawing->lines, "\n%*s%s\n", (int)(drawing->margin + AXIS), "", labels);
    free(labels);
    free(has_tick);
}

void plot_write(const struct screen *screen, struct buffer *lines, const struct plot *plot)
{
    struct drawing drawing = {
        .screen = screen, .plot = plot, .signs = signs_of(screen), .lines = lines};
    choose_scale(&drawing);
    bool has_limit = plot->limit != PLOT_UNLIMITED;
    for (size_t row = plot->height + 1; row-- > 0;) {
        if (row < plot->height)
            write_row(&drawing, row);
        if (has_limit && row == drawing.limit_row)
            write_limit(&drawing);
    }
    write_floor(&drawing);
}
