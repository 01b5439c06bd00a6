/* rewrite.c - headers in, edits out: the From: that Microsoft 365 accepts
 *
 * Exchange Online wants exactly one From: with exactly one mailbox that the authenticated account
 * may send as (docs/OFFICE365.md). This module decides what has to change for that and writes the
 * new values; talking to Postfix is the session's part.
 *
 * Security: values come from whoever wrote the message. All that leaves passes fold_append_clean or
 * is made of addresses, which mailbox.c hands out without control characters, so no value can end
 * its header and start another. Sizes are bounded by the constants in rewrite.h, apart from what is
 * not touched.
 */
#include "common/sender/rewrite.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "common/sender/encoded_word.h"
#include "common/sender/fold.h"
#include "common/sender/mailbox.h"
#include "common/sender/octet.h"
#include "common/sender/salvage.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* In which upper and lower case of a letter differ: most names are told apart by their first. */
#define CASE_BIT 0x20

/* An envelope sender that is no address is shown up to this many octets. */
#define ODD_SENDER_MAX 256

/* The headers that are looked at. */
enum field {
    FIELD_FROM,
    FIELD_SENDER,
    FIELD_REPLY_TO,
    FIELD_AUTO_SUBMITTED,
    FIELD_RESPONSE_SUPPRESS,
    FIELDS
};

static const char *const field_names[FIELDS] = {
    [FIELD_FROM] = "From",
    [FIELD_SENDER] = "Sender",
    [FIELD_REPLY_TO] = "Reply-To",
    [FIELD_AUTO_SUBMITTED] = "Auto-Submitted",
    [FIELD_RESPONSE_SUPPRESS] = "X-Auto-Response-Suppress",
};

/* What the message's headers say. */
struct survey {
    const struct rewrite_header *headers;
    size_t count;
    const struct rewrite_rules *rules;
    int counts[FIELDS];
    bool says[FIELDS];                 /* one of them is not blank */
    const struct rewrite_header *from; /* the first */
    bool from_strict;                  /* every From: parses, without anything obsolete or odd */
    struct mailbox_list *from_list;    /* the mailboxes of all From: headers */
    struct mailbox_text hint;          /* looks like a name, in a From: without an address */
    bool hint_is_text;
    bool keep;       /* the first mailbox is one that the account may send as */
    int sender_kept; /* index of the one that stays, 0 if none does */
};

static void survey_headers(struct survey *survey);
static enum rewrite_status rewrite_people(struct survey *survey, struct rewrite_edits *edits);
static enum rewrite_status survey_from(struct survey *survey);
static enum rewrite_status survey_senders(struct survey *survey);
static bool from_is_right(const struct survey *survey);
static void edit_people(const struct survey *survey, struct rewrite_edits *edits);
static void edit_replies(const struct survey *survey, struct rewrite_edits *edits);
static void edit_automatic(const struct survey *survey, enum field field, const char *value,
                           struct rewrite_edits *edits);
static void sort_edits(struct rewrite_edits *edits);
static char *make_from(const struct survey *survey);
static char *make_list(const struct mailbox_list *list);
static char *make_reply_to(const struct survey *survey);
static char *make_original(const struct survey *survey);
static void append_mailbox(struct buffer *out, const struct mailbox *mailbox, size_t column);
static bool append_name(struct buffer *out, const struct mailbox *mailbox, size_t column);
static bool append_phrase(struct buffer *out, struct mailbox_text phrase, size_t column);
static bool append_text(struct buffer *out, struct mailbox_text text, bool quotes, size_t column);
static void append_quoted(struct buffer *out, const char *bytes, size_t length);
static void append_angle(struct buffer *out, const char *address, size_t column);

/* field_of - which of the headers that are looked at has this name? FIELDS if none has. */
static enum field field_of(const char *name)
{
    enum field field = 0;

    while (field < FIELDS && (((name[0] ^ field_names[field][0]) & ~CASE_BIT) != 0 ||
                              strcasecmp(name, field_names[field]) != 0))
        field++;
    return field;
}

static bool is_field(const struct rewrite_header *header, enum field field)
{
    return strcasecmp(header->name, field_names[field]) == 0;
}

static bool has_clean_value(const struct rewrite_header *header)
{
    return fold_is_clean(header->value, header->value_length, strlen(header->name) + strlen(": "));
}

/* same_address - equal but for ASCII case; Microsoft 365 does not tell local parts apart by case */
static bool same_address(const char *one, const char *other)
{
    return strcasecmp(one, other) == 0;
}

/* --- the decision --- */

bool rewrite_reads(const char *name)
{
    return field_of(name) < FIELDS;
}

enum rewrite_status rewrite_headers(const struct rewrite_header *headers, size_t count,
                                    const struct rewrite_rules *rules, struct rewrite_edits *edits)
{
    struct survey survey = {
        .headers = headers, .count = count, .rules = rules, .from_strict = true};
    enum rewrite_status status = REWRITE_OK;

    *edits = (struct rewrite_edits){0};
    survey_headers(&survey);
    if (rules->rewrite_from)
        status = rewrite_people(&survey, edits);
    if (status == REWRITE_OK && rules->replaces_null_sender) {
        edit_automatic(&survey, FIELD_AUTO_SUBMITTED, "auto-generated", edits);
        edit_automatic(&survey, FIELD_RESPONSE_SUPPRESS, "All", edits);
    }
    sort_edits(edits);
    return status;
}

static enum rewrite_status rewrite_people(struct survey *survey, struct rewrite_edits *edits)
{
    const char *upn = survey->rules->upn;
    char parsed[MAILBOX_ADDRESS_MAX + 1];

    if (!mailbox_address_parse(upn, strlen(upn), parsed) || strcmp(upn, parsed) != 0)
        return REWRITE_INVALID_UPN;
    survey->from_list = memory_alloc(sizeof(*survey->from_list));
    mailbox_list_init(survey->from_list);
    enum rewrite_status status = survey_from(survey);
    if (status == REWRITE_OK)
        status = survey_senders(survey);
    if (status == REWRITE_OK)
        edit_people(survey, edits);
    free(survey->from_list);
    return status;
}

void rewrite_edits_free(struct rewrite_edits *edits)
{
    for (size_t i = 0; i < edits->count; i++)
        free(edits->items[i].value);
    free(edits->items);
    *edits = (struct rewrite_edits){0};
}

static void survey_headers(struct survey *survey)
{
    for (size_t i = 0; i < survey->count; i++) {
        const struct rewrite_header *header = &survey->headers[i];
        const enum field field = field_of(header->name);
        if (field == FIELDS)
            continue;
        survey->counts[field]++;
        if (mailbox_trim(header->value, header->value_length).length > 0)
            survey->says[field] = true;
        if (field == FIELD_FROM && survey->from == NULL)
            survey->from = header;
    }
}

/* may_send_as - is it the UPN, or does the account hold Send As for it? */
static enum rewrite_coverage may_send_as(const struct rewrite_rules *rules, const char *address)
{
    if (same_address(address, rules->upn))
        return REWRITE_COVERED;
    return rules->covered(rules->context, address, strlen(address));
}

static enum rewrite_status survey_from(struct survey *survey)
{
    struct mailbox_list *list = survey->from_list;

    for (size_t i = 0; i < survey->count; i++) {
        const struct rewrite_header *header = &survey->headers[i];
        if (!is_field(header, FIELD_FROM))
            continue;
        if (mailbox_list_parse(list, header->value, header->value_length)) {
            survey->from_strict = survey->from_strict && has_clean_value(header);
            continue;
        }
        survey->from_strict = false;
        if (!salvage_mailbox(list, header->value, header->value_length) && survey->hint.length == 0)
            survey->hint = salvage_name(header->value, header->value_length, &survey->hint_is_text);
    }
    if (list->count == 0)
        return REWRITE_OK;
    enum rewrite_coverage coverage = may_send_as(survey->rules, list->items[0].address);
    survey->keep = coverage == REWRITE_COVERED;
    return coverage == REWRITE_COVERAGE_UNKNOWN ? REWRITE_LOOKUP_FAILED : REWRITE_OK;
}

/* sender_may_stay - is it one mailbox, well written, that the account may send as? */
static enum rewrite_coverage sender_may_stay(const struct rewrite_header *header,
                                             const struct rewrite_rules *rules,
                                             struct mailbox_list *scratch)
{
    mailbox_list_init(scratch);
    if (!has_clean_value(header) ||
        !mailbox_list_parse(scratch, header->value, header->value_length) || scratch->total != 1 ||
        !scratch->strict)
        return REWRITE_NOT_COVERED;
    return may_send_as(rules, scratch->items[0].address);
}

static enum rewrite_status survey_senders(struct survey *survey)
{
    if (survey->counts[FIELD_SENDER] == 0)
        return REWRITE_OK;
    struct mailbox_list *scratch = memory_alloc(sizeof(*scratch));
    enum rewrite_coverage coverage = REWRITE_NOT_COVERED;
    int index = 0;

    for (size_t i = 0; i < survey->count && index < REWRITE_SENDERS_MAX; i++) {
        if (!is_field(&survey->headers[i], FIELD_SENDER))
            continue;
        index++;
        coverage = sender_may_stay(&survey->headers[i], survey->rules, scratch);
        if (coverage != REWRITE_NOT_COVERED)
            break;
    }
    free(scratch);
    if (coverage == REWRITE_COVERED)
        survey->sender_kept = index;
    return coverage == REWRITE_COVERAGE_UNKNOWN ? REWRITE_LOOKUP_FAILED : REWRITE_OK;
}

static bool from_is_right(const struct survey *survey)
{
    return survey->counts[FIELD_FROM] == 1 && survey->from_strict && survey->from_list->strict &&
           survey->from_list->total == 1 && survey->keep;
}

/* --- the edits --- */

static void add_edit(struct rewrite_edits *edits, enum rewrite_action action, const char *name,
                     int index, char *value)
{
    edits->items = memory_grow(edits->items, (edits->count + 1) * sizeof(*edits->items));
    edits->items[edits->count++] = (struct rewrite_edit){action, name, index, value};
}

/* set_header - give the first header of a name a value, or add one; nothing is done for NULL */
static void set_header(const struct survey *survey, struct rewrite_edits *edits, enum field field,
                       char *value)
{
    const bool there = survey->counts[field] > 0;

    if (value != NULL)
        add_edit(edits, there ? REWRITE_CHANGE : REWRITE_ADD, field_names[field], there ? 1 : 0,
                 value);
}

/* delete_others - delete the headers of a name but for the one with the index that is kept */
static void delete_others(const struct survey *survey, struct rewrite_edits *edits,
                          enum field field, int kept)
{
    for (int i = survey->counts[field]; i > 0; i--) {
        if (i != kept)
            add_edit(edits, REWRITE_DELETE, field_names[field], i, NULL);
    }
}

/* sort_edits - changes, then deletions, then additions, each in the order in which they were made
 */
static void sort_edits(struct rewrite_edits *edits)
{
    static const enum rewrite_action order[] = {REWRITE_CHANGE, REWRITE_DELETE, REWRITE_ADD};
    struct rewrite_edit *sorted;
    size_t count = 0;

    if (edits->count == 0)
        return;
    sorted = memory_zero(edits->count, sizeof(*sorted));
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        for (size_t j = 0; j < edits->count; j++) {
            if (edits->items[j].action == order[i])
                sorted[count++] = edits->items[j];
        }
    }
    free(edits->items);
    edits->items = sorted;
}

static void set_from(const struct survey *survey, struct rewrite_edits *edits)
{
    char *value = make_from(survey);
    const size_t length = strlen(value);

    if (survey->from != NULL && length == survey->from->value_length &&
        memcmp(value, survey->from->value, length) == 0)
        free(value);
    else
        set_header(survey, edits, FIELD_FROM, value);
}

static void edit_people(const struct survey *survey, struct rewrite_edits *edits)
{
    delete_others(survey, edits, FIELD_SENDER, survey->sender_kept);
    if (from_is_right(survey))
        return;
    set_from(survey, edits);
    delete_others(survey, edits, FIELD_FROM, 1);
    if (survey->rules->add_reply_to)
        edit_replies(survey, edits);
    char *original = make_original(survey);
    if (original != NULL)
        add_edit(edits, REWRITE_ADD, REWRITE_ORIGINAL, 0, original);
}

/* read_replies - append the mailboxes of a Reply-To: to a list; false if a reply would go nowhere
 */
static bool read_replies(struct mailbox_list *list, const struct rewrite_header *header)
{
    const size_t before = list->total;

    if (mailbox_list_parse(list, header->value, header->value_length))
        return list->total > before;
    return salvage_mailbox(list, header->value, header->value_length) ||
           salvage_hints_at_address(header->value, header->value_length);
}

/* edit_replies - leave one Reply-To:, since the reader's program would otherwise choose: that of
 * the author as it is, all that he named in several, or, where none has an address, ours */
static void edit_replies(const struct survey *survey, struct rewrite_edits *edits)
{
    struct mailbox_list *list = memory_alloc(sizeof(*list));
    char *value = NULL;
    int index = 0;
    int first = 0; /* the first that has an address */
    int addressed = 0;

    mailbox_list_init(list);
    for (size_t i = 0; i < survey->count; i++) {
        if (!is_field(&survey->headers[i], FIELD_REPLY_TO))
            continue;
        index++;
        if (read_replies(list, &survey->headers[i]) && addressed++ == 0)
            first = index;
    }
    if (addressed == 0)
        value = make_reply_to(survey);
    else if (addressed > 1)
        value = make_list(list);
    if (value != NULL)
        set_header(survey, edits, FIELD_REPLY_TO, value);
    if (value != NULL || addressed == 1)
        delete_others(survey, edits, FIELD_REPLY_TO, value != NULL ? 1 : first);
    free(list);
}

/* edit_automatic - have a header say that nobody wrote this message, where none says anything */
static void edit_automatic(const struct survey *survey, enum field field, const char *value,
                           struct rewrite_edits *edits)
{
    if (!survey->says[field])
        set_header(survey, edits, field, memory_copy(value));
}

/* --- the values --- */

/* envelope_address - the envelope sender as an address; false if it is null or none */
static bool envelope_address(const struct survey *survey, char address[MAILBOX_ADDRESS_MAX + 1])
{
    const char *sender = survey->rules->envelope_sender;
    size_t length = strlen(sender);

    if (length > 1 && sender[0] == '<' && sender[length - 1] == '>') {
        sender++;
        length -= 2;
    }
    return mailbox_address_parse(sender, length, address);
}

/* append_envelope_name - the envelope sender as a display name, if it says more than the UPN */
static bool append_envelope_name(struct buffer *out, const struct survey *survey, size_t column)
{
    const char *sender = survey->rules->envelope_sender;
    char address[MAILBOX_ADDRESS_MAX + 1];

    if (envelope_address(survey, address)) {
        if (same_address(address, survey->rules->upn))
            return false;
        append_quoted(out, address, strlen(address));
        return true;
    }
    const size_t length = strlen(sender);
    return strcmp(sender, "<>") != 0 && length <= ODD_SENDER_MAX &&
           append_text(out, (struct mailbox_text){sender, length}, true, column);
}

/* append_replacement_name - the display name where From: has no address at all */
static bool append_replacement_name(struct buffer *out, const struct survey *survey, size_t column)
{
    if (survey->hint.length > 0 &&
        (survey->hint_is_text ? append_text(out, survey->hint, false, column)
                              : append_phrase(out, survey->hint, column)))
        return true;
    return append_envelope_name(out, survey, column);
}

static char *make_from(const struct survey *survey)
{
    const size_t column = strlen("From: ");
    const struct mailbox *first = &survey->from_list->items[0];
    struct buffer out = {0};

    if (survey->keep) {
        append_mailbox(&out, first, column);
    } else if (survey->from_list->count > 0) {
        if (!append_name(&out, first, column))
            append_quoted(&out, first->address, strlen(first->address));
        append_angle(&out, survey->rules->upn, column);
    } else if (append_replacement_name(&out, survey, column)) {
        append_angle(&out, survey->rules->upn, column);
    } else {
        buffer_append_string(&out, survey->rules->upn);
    }
    return buffer_take(&out);
}

/* is_repeated - is the address of a mailbox that of one before it? */
static bool is_repeated(const struct mailbox_list *list, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (same_address(list->items[i].address, list->items[index].address))
            return true;
    }
    return false;
}

/* make_list - the mailboxes of a list, each address once; NULL if there are none */
static char *make_list(const struct mailbox_list *list)
{
    const size_t column = strlen("Reply-To: ");
    struct buffer out = {0};
    struct buffer item = {0};

    for (size_t i = 0; i < list->count; i++) {
        if (is_repeated(list, i))
            continue;
        buffer_clear(&item);
        append_mailbox(&item, &list->items[i], out.length == 0 ? column : 1);
        if (out.length + item.length > REWRITE_REPLY_TO_MAX)
            break;
        size_t width = fold_column(&out, column) + strlen(", ") + item.length;
        if (out.length > 0)
            buffer_append_string(&out, width < FOLD_LINE_WIDTH ? ", " : ",\n ");
        buffer_append(&out, item.data, item.length);
    }
    buffer_free(&item);
    return out.length == 0 ? NULL : buffer_take(&out);
}

/* is_one_address - do all mailboxes of a list have the same? */
static bool is_one_address(const struct mailbox_list *list)
{
    for (size_t i = 1; i < list->count; i++) {
        if (!is_repeated(list, i))
            return false;
    }
    return list->count > 0;
}

/* make_reply_to - all that From: named, else the envelope sender; NULL if that is no news */
static char *make_reply_to(const struct survey *survey)
{
    char envelope[MAILBOX_ADDRESS_MAX + 1];

    if (survey->from_list->count > 0)
        return survey->keep && is_one_address(survey->from_list) ? NULL
                                                                 : make_list(survey->from_list);
    if (envelope_address(survey, envelope) && !same_address(envelope, survey->rules->upn))
        return memory_copy(envelope);
    return NULL;
}

static char *make_original(const struct survey *survey)
{
    struct buffer raw = {0};
    struct buffer out = {0};

    for (size_t i = 0; i < survey->count && raw.length <= REWRITE_ORIGINAL_MAX; i++) {
        const struct rewrite_header *header = &survey->headers[i];
        if (!is_field(header, FIELD_FROM))
            continue;
        struct mailbox_text value = mailbox_trim(header->value, header->value_length);
        if (value.length > 0 && raw.length > 0)
            buffer_append_string(&raw, ", ");
        fold_append_unfolded(&raw, value.bytes, value.length, REWRITE_ORIGINAL_MAX);
    }
    struct mailbox_text text = mailbox_trim(raw.data, raw.length);
    if (text.length > REWRITE_ORIGINAL_MAX) {
        const char *cut = fold_character_start(text.bytes + REWRITE_ORIGINAL_MAX, text.bytes);
        raw.length = (size_t)(cut - raw.data);
        buffer_append_string(&raw, " ...");
        text = mailbox_trim(raw.data, raw.length);
    }
    if (text.length > 0)
        fold_append(&out, text.bytes, text.length, strlen(REWRITE_ORIGINAL ": "), FOLD_TO_WIDTH);
    buffer_free(&raw);
    return out.length == 0 ? NULL : buffer_take(&out);
}

/* --- mailboxes and names --- */

/* append_mailbox - append a mailbox as it was written, or as close to it as is sound */
static void append_mailbox(struct buffer *out, const struct mailbox *mailbox, size_t column)
{
    struct buffer clean = {0};
    bool done = false;

    if (mailbox->strict && mailbox->text.length <= REWRITE_NAME_MAX + MAILBOX_ADDRESS_MAX) {
        fold_append_clean(&clean, mailbox->text.bytes, mailbox->text.length);
        done = fold_append(out, clean.data, clean.length, column, FOLD_WHERE_NEEDED);
    }
    buffer_free(&clean);
    if (done)
        return;
    if (append_name(out, mailbox, column))
        append_angle(out, mailbox->address, column);
    else
        buffer_append_string(out, mailbox->address);
}

/* append_name - append the display name, or what stands for it; false if there is none that fits */
static bool append_name(struct buffer *out, const struct mailbox *mailbox, size_t column)
{
    if (mailbox->name.length > 0)
        return mailbox->name_is_text ? append_text(out, mailbox->name, false, column)
                                     : append_phrase(out, mailbox->name, column);
    return append_text(out, mailbox->comment, true, column);
}

/* append_angle - append <address> behind a display name */
static void append_angle(struct buffer *out, const char *address, size_t column)
{
    const bool fits = fold_column(out, column) + strlen(" <>") + strlen(address) <= FOLD_LINE_WIDTH;

    buffer_format(out, "%s<%s>", fits ? " " : "\n ", address);
}

static bool append_phrase(struct buffer *out, struct mailbox_text phrase, size_t column)
{
    struct buffer legal = {0};
    struct buffer clean = {0};
    bool done = false;

    if (phrase.length <= REWRITE_NAME_MAX) {
        mailbox_append_phrase(&legal, phrase);
        fold_append_clean(&clean, legal.data, legal.length);
        done = fold_append(out, clean.data, clean.length, column, FOLD_WHERE_NEEDED);
    }
    buffer_free(&legal);
    buffer_free(&clean);
    return done;
}

/* append_plain - append text without folds, control characters and the backslashes of quoted pairs
 * (not those of DOMAIN\user); without its quotes, too, unless they are wanted */
static void append_plain(struct buffer *out, struct mailbox_text text, bool quotes)
{
    struct buffer clean = {0};

    fold_append_clean(&clean, text.bytes, text.length);
    for (size_t i = 0; i < clean.length; i++) {
        const char byte = clean.data[i];
        if (byte == '\\' && i + 1 < clean.length && strchr("\"\\()", clean.data[i + 1]) != NULL)
            buffer_append_char(out, clean.data[++i]);
        else if (byte != '\n' && (quotes || byte != '"'))
            buffer_append_char(out, byte);
    }
    buffer_free(&clean);
}

/* append_words - quote what is not an encoded-word; those would not be decoded inside of quotes */
static void append_words(struct buffer *out, const char *at, const char *end)
{
    const char *run = NULL;
    const char *run_end = NULL;

    while (at < end) {
        const char *word = at;
        while (at < end && !octet_is_space(*at))
            at++;
        const size_t length = (size_t)(at - word);
        const bool encoded = length > 0 && encoded_word_length(word, length) == length;
        if (encoded && run != NULL) {
            append_quoted(out, run, (size_t)(run_end - run));
            buffer_append_char(out, ' ');
            run = NULL;
        }
        if (encoded) {
            encoded_word_append(out, word, length);
        } else if (length > 0) {
            run = run == NULL ? word : run;
            run_end = at;
        }
        while (at < end && octet_is_space(*at))
            at++;
        if (encoded && at < end)
            buffer_append_char(out, ' ');
    }
    if (run != NULL)
        append_quoted(out, run, (size_t)(run_end - run));
}

/* append_text - append any text as a phrase; false if there is nothing to see or it does not fit */
static bool append_text(struct buffer *out, struct mailbox_text text, bool quotes, size_t column)
{
    struct buffer plain = {0};
    struct buffer phrase = {0};
    bool done = false;

    if (text.length <= REWRITE_NAME_MAX)
        append_plain(&plain, text, quotes);
    if (plain.length > 0) {
        struct mailbox_text trimmed = mailbox_trim(plain.data, plain.length);
        append_words(&phrase, trimmed.bytes, trimmed.bytes + trimmed.length);
        done = phrase.length > 0 &&
               fold_append(out, phrase.data, phrase.length, column, FOLD_WHERE_NEEDED);
    }
    buffer_free(&plain);
    buffer_free(&phrase);
    return done;
}

/* append_quoted - append a quoted string (RFC 5322, 3.2.4) */
static void append_quoted(struct buffer *out, const char *bytes, size_t length)
{
    buffer_append_char(out, '"');
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\')
            buffer_append_char(out, '\\');
        buffer_append_char(out, bytes[i]);
    }
    buffer_append_char(out, '"');
}
