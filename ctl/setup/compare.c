/* compare.c - which lines two texts have in common */
#include "ctl/setup/compare.h"

#include "common/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Of the table of lengths; what would need more is taken for one change. */
#define CELLS ((size_t)16 << 20)

struct lines {
    const char *data;
    struct text_span *list;
    size_t count;
};

static struct lines split(const struct text *text)
{
    struct lines lines = {.data = text->data};
    for (size_t at = 0; at < text->length;) {
        size_t end = text_line_end(text, at);
        lines.list = memory_grow(lines.list, (lines.count + 1) * sizeof(lines.list[0]));
        lines.list[lines.count++] = (struct text_span){at, end};
        at = end;
    }
    return lines;
}

static bool same(const struct lines *one, size_t i, const struct lines *other, size_t j)
{
    const struct text_span a = one->list[i], b = other->list[j];
    return a.end - a.begin == b.end - b.begin &&
           memcmp(one->data + a.begin, other->data + b.begin, a.end - a.begin) == 0;
}

/* Adds a step; the spans that are not there lie behind the step before. */
static void add(struct compare *compare, char mark, const struct text_span *one,
                const struct text_span *other)
{
    struct compare_step step = {.mark = mark};
    if (compare->count > 0) {
        const struct compare_step *last = &compare->steps[compare->count - 1];
        step.one = (struct text_span){last->one.end, last->one.end};
        step.other = (struct text_span){last->other.end, last->other.end};
    }
    if (one != NULL)
        step.one = *one;
    if (other != NULL)
        step.other = *other;
    compare->steps[compare->count++] = step;
}

/* The lines that lie between those that both have at their beginning and at their end. length[i][j]
 * is that of the longest common subsequence of what begins there. */
static void add_middle(struct compare *compare, const struct lines *one, size_t rows,
                       const struct lines *other, size_t columns, size_t head)
{
    bool is_long = (rows + 1) * (columns + 1) > CELLS;
    uint32_t *length = memory_zero(is_long ? 1 : (rows + 1) * (columns + 1), sizeof(length[0]));
#define AT(row, column) length[(row) * (columns + 1) + (column)]
    for (size_t i = is_long ? 0 : rows; i-- > 0;)
        for (size_t j = columns; j-- > 0;) {
            uint32_t below = AT(i + 1, j), right = AT(i, j + 1);
            bool equal = same(one, head + i, other, head + j);
            AT(i, j) = equal ? AT(i + 1, j + 1) + 1 : (below > right ? below : right);
        }
    for (size_t i = 0, j = 0; i < rows || j < columns;) {
        const struct text_span *a = &one->list[head + i], *b = &other->list[head + j];
        if (!is_long && i < rows && j < columns && same(one, head + i, other, head + j)) {
            add(compare, ' ', a, b);
            i++;
            j++;
        } else if (i < rows && (is_long || j == columns || AT(i + 1, j) >= AT(i, j + 1))) {
            add(compare, '-', a, NULL);
            i++;
        } else {
            add(compare, '+', NULL, b);
            j++;
        }
    }
#undef AT
    free(length);
}

void compare_texts(const struct text *one, const struct text *other, struct compare *compare)
{
    struct lines a = split(one), b = split(other);
    size_t head = 0, tail = 0, least = a.count < b.count ? a.count : b.count;
    *compare =
        (struct compare){.steps = memory_zero(a.count + b.count + 1, sizeof(compare->steps[0]))};
    while (head < least && same(&a, head, &b, head))
        head++;
    while (tail < least - head && same(&a, a.count - 1 - tail, &b, b.count - 1 - tail))
        tail++;
    for (size_t i = 0; i < head; i++)
        add(compare, ' ', &a.list[i], &b.list[i]);
    add_middle(compare, &a, a.count - tail - head, &b, b.count - tail - head, head);
    for (size_t i = tail; i > 0; i--)
        add(compare, ' ', &a.list[a.count - i], &b.list[b.count - i]);
    free(a.list);
    free(b.list);
}

void compare_free(struct compare *compare)
{
    free(compare->steps);
    *compare = (struct compare){.steps = NULL};
}

/* Among the steps from `begin` up to `end`, between which nothing is in both texts: where the place
 * is that has the step `here` behind it. Of what came in place of what went, as much lies before it
 * as went before it. */
static size_t place_in_change(const struct compare_step *steps, size_t begin, size_t here,
                              size_t end)
{
    size_t gone_before = 0, gone = 0, came = 0;
    for (size_t i = begin; i < end; i++) {
        came += steps[i].mark == '+';
        gone += steps[i].mark == '-';
        gone_before += steps[i].mark == '-' && i < here;
    }
    size_t passed = gone > 0 ? came * gone_before / gone : 0;
    size_t place = steps[begin].other.begin;
    for (size_t i = begin; i < end && passed > 0; i++)
        if (steps[i].mark == '+') {
            place = steps[i].other.end;
            passed--;
        }
    return place;
}

size_t compare_place(const struct text *one, size_t at, const struct text *other)
{
    struct compare compare;
    compare_texts(one, other, &compare);
    const struct compare_step *steps = compare.steps;
    size_t here = 0;
    while (here < compare.count && (steps[here].one.begin < at || steps[here].mark == '+'))
        here++;
    size_t begin = here, end = here;
    while (begin > 0 && steps[begin - 1].mark != ' ')
        begin--;
    while (end < compare.count && steps[end].mark != ' ')
        end++;
    size_t place = other->length;
    if (begin < end)
        place = place_in_change(steps, begin, here, end);
    else if (here < compare.count)
        place = steps[here].other.begin;
    compare_free(&compare);
    return place;
}
