/* revert.c - take back what a record says, whatever else has been edited since
 *
 * The changes are taken back from the last to the first. Each is looked for by its own lines; where
 * these stand several times, or something was taken out, a comparison of all lines says where it
 * was.
 */
#include "ctl/setup/revert.h"

#include "common/memory.h"
#include "ctl/setup/compare.h"

#include <stdlib.h>
#include <string.h>

/* One change, and what stood around it. */
struct sought {
    const char *name;
    struct text_span added;    /* in `after` */
    struct text_span taken;    /* in `before` */
    const struct text *after;  /* as far as added.begin it is what was there */
    const struct text *before; /* so is this from taken.end */
};

#define NOWHERE ((size_t)-1)

/* --- where it was --- */

static bool same(const struct text *one, struct text_span a, const struct text *other,
                 struct text_span b)
{
    return a.end - a.begin == b.end - b.begin &&
           memcmp(one->data + a.begin, other->data + b.begin, a.end - a.begin) == 0;
}

/* Whether whole entries stand before and behind this place. */
static bool is_between(const struct text *text, size_t at)
{
    const struct text_entry *entry = at < text->length ? text_entry_at(text, at) : NULL;
    bool begins = at == 0 || at == text->length || text->data[at - 1] == '\n';
    return begins && (entry == NULL || entry->span.begin == at);
}

/* Where the change would be if nobody had edited anything near. */
static size_t expected_place(const struct text *now, const struct sought *sought)
{
    struct buffer then = {0};
    struct text text;
    buffer_append(&then, sought->after->data, sought->added.end);
    buffer_append(&then, sought->before->data + sought->taken.end,
                  sought->before->length - sought->taken.end);
    text_read(&text, then.data != NULL ? then.data : "", then.length);
    size_t place = compare_place(&text, sought->added.begin, now);
    text_free(&text);
    buffer_free(&then);
    return place;
}

static size_t distance(size_t one, size_t other)
{
    return one > other ? one - other : other - one;
}

/* Where these lines stand, if they do; of several places, or of all for no lines, the one that is
 * nearest to where they would be expected. */
static size_t find(const struct text *now, const struct sought *sought, const struct text *from,
                   struct text_span lines)
{
    size_t length = lines.end - lines.begin, best = NOWHERE;
    size_t expected = expected_place(now, sought);
    for (size_t at = 0; now->length - at >= length; at = text_line_end(now, at)) {
        const struct text_span here = {at, at + length};
        if (same(now, here, from, lines) && is_between(now, at) && is_between(now, here.end) &&
            (best == NOWHERE || distance(at, expected) < distance(best, expected)))
            best = at;
        if (at == now->length)
            break;
    }
    return best;
}

/* --- taking one back --- */

static void replace(struct text *now, struct text_span here, const struct sought *sought)
{
    struct buffer result = {0};
    size_t length = sought->taken.end - sought->taken.begin;
    const char *lines = sought->before->data + sought->taken.begin;
    buffer_append(&result, now->data, here.begin);
    if (length > 0 && here.begin > 0 && now->data[here.begin - 1] != '\n')
        buffer_append_char(&result, '\n');
    buffer_append(&result, lines, length);
    if (length > 0 && lines[length - 1] != '\n' && here.end < now->length)
        buffer_append_char(&result, '\n');
    buffer_append(&result, now->data + here.end, now->length - here.end);
    text_free(now);
    text_read(now, result.data != NULL ? result.data : "", result.length);
    buffer_free(&result);
}

/* How often something is defined within a part of a text. */
static size_t count(const struct text *text, size_t begin, size_t end, const char *name)
{
    size_t found = 0;
    for (size_t i = 0; i < text->count; i++)
        found += text->entries[i].span.begin >= begin && text->entries[i].span.begin < end &&
                 strcmp(text->entries[i].name, name) == 0;
    return found;
}

static void leave(struct revert *revert, const struct sought *sought)
{
    revert->left = memory_grow(revert->left, (revert->left_count + 1) * sizeof(revert->left[0]));
    revert->left[revert->left_count++] =
        (struct revert_left){memory_copy(sought->name), text_copy(sought->before, sought->taken)};
}

static void take_back(struct text *now, const struct sought *sought, struct revert *revert)
{
    bool has_added = sought->added.end > sought->added.begin;
    bool has_taken = sought->taken.end > sought->taken.begin;
    size_t defined = count(now, 0, now->length, sought->name);
    size_t expected =
        count(sought->after, 0, sought->added.begin, sought->name) +
        count(sought->before, sought->taken.end, sought->before->length, sought->name);
    size_t at = NOWHERE;
    if (has_added || defined <= expected)
        at = find(now, sought, sought->after, sought->added);
    if (at != NOWHERE) {
        replace(now, (struct text_span){at, at + sought->added.end - sought->added.begin}, sought);
        return;
    }
    /* It was never made, is taken back already, or somebody else has done that. */
    bool is_done = has_taken ? find(now, sought, sought->before, sought->taken) != NOWHERE
                             : defined <= expected;
    if (!is_done && sought->name[0] != '\0')
        leave(revert, sought);
}

/* --- all of them --- */

static bool equal(const struct text *one, const struct text *other)
{
    return same(one, (struct text_span){0, one->length}, other,
                (struct text_span){0, other->length});
}

void revert_make(const struct text *now, const struct record_file *file, struct revert *revert)
{
    struct text text;
    *revert = (struct revert){.left = NULL};
    if (equal(now, &file->after) || equal(now, &file->before)) {
        buffer_append(&revert->result, file->before.data, file->before.length);
        return;
    }
    text_read(&text, now->data, now->length);
    for (size_t i = file->edits.count; i > 0; i--) {
        const struct edit *edit = &file->edits.list[i - 1];
        const struct sought sought = {.name = edit->name,
                                      .added = edit->after,
                                      .taken = edit->before,
                                      .after = &file->after,
                                      .before = &file->before};
        take_back(&text, &sought, revert);
    }
    buffer_append(&revert->result, text.data, text.length);
    text_free(&text);
}

void revert_free(struct revert *revert)
{
    for (size_t i = 0; i < revert->left_count; i++) {
        free(revert->left[i].name);
        free(revert->left[i].was);
    }
    free(revert->left);
    buffer_free(&revert->result);
}
