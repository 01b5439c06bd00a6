/* record.c - what setup has changed, kept so that it can be undone */
#include "ctl/setup/record.h"

#include "common/memory.h"
#include "ctl/relay/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "post365-setup"
/* A record on its way to be one, and on its way out. */
#define COMING  "new"
#define GOING   "old"
#define EDITS   "edits"
#define CREATED "created"
/* What stands for no name in EDITS. */
#define NO_NAME "-"

const char *record_file_name(enum relay_file file)
{
    return file == RELAY_MAIN ? "main.cf" : "master.cf";
}

static char *place_of(const char *config_directory, const char *name)
{
    return memory_format("%s/" DIRECTORY "/%s", config_directory, name);
}

static char *numbered(const char *config_directory, unsigned number)
{
    return memory_format("%s/" DIRECTORY "/%u", config_directory, number);
}

/* Whether the records are what we have written. Who else may write there would have --undo put his
 * lines into main.cf. None there is none of his. */
static bool check_owner(const char *config_directory, struct error *error)
{
    struct stat status;
    char *place = memory_format("%s/" DIRECTORY, config_directory);
    bool fine = lstat(place, &status) != 0 ||
                (S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
                 (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) ||
                error_set(error,
                          "%s is not a directory of your own, or others may write there; see "
                          "what is in it, and put it elsewhere",
                          place);
    free(place);
    return fine;
}

/* The highest number below `limit`, 0 if there is none. False with the reason. */
static bool find_newest(const char *config_directory, unsigned limit, unsigned *found,
                        struct error *error)
{
    char *place = memory_format("%s/" DIRECTORY, config_directory);
    DIR *directory = opendir(place);
    const struct dirent *entry;
    bool fine = directory != NULL || errno == ENOENT ||
                error_set(error, "cannot read %s: %s", place, strerror(errno));
    *found = 0;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        char *end;
        unsigned long number = strtoul(entry->d_name, &end, 10);
        if (*end == '\0' && number > *found && number < limit)
            *found = (unsigned)number;
    }
    if (directory != NULL)
        closedir(directory);
    free(place);
    return fine;
}

void record_tidy(const char *config_directory)
{
    static const char *const names[] = {COMING, GOING};
    if (!check_owner(config_directory, NULL))
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *place = place_of(config_directory, names[i]);
        file_remove_directory(place, NULL);
        free(place);
    }
    char *all = memory_format("%s/" DIRECTORY, config_directory);
    rmdir(all); /* unless there is a record */
    free(all);
}

/* --- keeping --- */

static bool write_file(const char *directory, const char *name, const char *suffix,
                       const char *data, size_t length, struct error *error)
{
    char *path = memory_format("%s/%s%s", directory, name, suffix);
    bool fine = file_create(path, 0600, data, length, error);
    free(path);
    return fine;
}

static bool write_created(const char *directory, const struct created_list *created,
                          struct error *error)
{
    struct buffer lines = {0};
    for (size_t i = 0; i < created->count; i++)
        buffer_format(&lines, "%s %s\n", created->items[i].fingerprint, created->items[i].path);
    bool fine = write_file(directory, CREATED, "", lines.data, lines.length, error);
    buffer_free(&lines);
    return fine;
}

static bool write_record(const char *directory, const struct record *record, struct error *error)
{
    struct buffer lines = {0};
    bool fine = true;
    for (size_t i = 0; fine && i < RELAY_FILES; i++) {
        const struct record_file *file = &record->file[i];
        const char *name = record_file_name((enum relay_file)i);
        if (!file->is_changed)
            continue;
        fine =
            write_file(directory, name, ".before", file->before.data, file->before.length, error) &&
            write_file(directory, name, ".after", file->after.data, file->after.length, error);
        for (size_t j = 0; j < file->edits.count; j++) {
            const struct edit *edit = &file->edits.list[j];
            buffer_format(&lines, "%s %zu %zu %zu %zu %s\n", name, edit->before.begin,
                          edit->before.end, edit->after.begin, edit->after.end,
                          edit->name[0] != '\0' ? edit->name : NO_NAME);
        }
    }
    fine = fine && write_file(directory, EDITS, "", lines.data, lines.length, error) &&
           (record->created.count == 0 || write_created(directory, &record->created, error)) &&
           file_sync_directory(directory, error);
    buffer_free(&lines);
    return fine;
}

static bool make_directory(const char *path, struct error *error)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ||
           error_set(error, "cannot make the directory %s: %s", path, strerror(errno));
}

static bool rename_directory(const char *from, const char *to, struct error *error)
{
    return rename(from, to) == 0 ||
           error_set(error, "cannot rename %s to %s: %s", from, to, strerror(errno));
}

bool record_keep(const char *config_directory, struct record *record, struct error *error)
{
    unsigned last;
    if (!check_owner(config_directory, error) ||
        !find_newest(config_directory, UINT_MAX, &last, error))
        return false;
    record->number = last + 1;
    char *all = memory_format("%s/" DIRECTORY, config_directory);
    char *coming = place_of(config_directory, COMING);
    char *place = numbered(config_directory, record->number);
    bool fine = make_directory(all, error) && make_directory(coming, error) &&
                write_record(coming, record, error) && rename_directory(coming, place, error) &&
                file_sync_directory(all, error) && file_sync_directory(config_directory, error);
    if (!fine) {
        file_remove_directory(place, NULL);
        record_tidy(config_directory);
    }
    free(all);
    free(coming);
    free(place);
    return fine;
}

/* --- reading --- */

static bool read_text(const char *directory, const char *name, const char *suffix,
                      struct text *text, struct error *error)
{
    struct buffer contents = {0};
    char *path = memory_format("%s/%s%s", directory, name, suffix);
    bool fine = file_read(path, &contents, error);
    if (fine)
        text_read(text, contents.data != NULL ? contents.data : "", contents.length);
    free(path);
    buffer_free(&contents);
    return fine;
}

static bool fits(struct text_span span, const struct text *text)
{
    return span.begin <= span.end && span.end <= text->length;
}

/* The next two numbers of a line. */
static bool read_span(char **rest, struct text_span *span)
{
    size_t *const numbers[] = {&span->begin, &span->end};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const char *word = strsep(rest, " ");
        char *end = NULL;
        if (word == NULL)
            return false;
        *numbers[i] = strtoul(word, &end, 10);
        if (end == word || *end != '\0')
            return false;
    }
    return true;
}

/* One line of EDITS. */
static bool read_edit(char *line, const char *directory, struct record *record, struct error *error)
{
    struct text_span before, after;
    const char *file_name = strsep(&line, " ");
    if (!read_span(&line, &before) || !read_span(&line, &after) || line == NULL)
        return false;
    enum relay_file which =
        strcmp(file_name, record_file_name(RELAY_MAIN)) == 0 ? RELAY_MAIN : RELAY_MASTER;
    if (strcmp(file_name, record_file_name(which)) != 0)
        return false;
    struct record_file *file = &record->file[which];
    if (!file->is_changed) {
        file->is_changed = true;
        if (!read_text(directory, file_name, ".before", &file->before, error) ||
            !read_text(directory, file_name, ".after", &file->after, error))
            return false;
    }
    if (!fits(before, &file->before) || !fits(after, &file->after))
        return false;
    edits_add(&file->edits, before, strcmp(line, NO_NAME) == 0 ? "" : line, NULL);
    file->edits.list[file->edits.count - 1].after = after;
    return true;
}

/* Where nothing else was made there is no such file. */
static bool read_created(const char *directory, struct created_list *created, struct error *error)
{
    struct text text = {.data = NULL};
    char *path = memory_format("%s/" CREATED, directory);
    bool fine = access(path, F_OK) != 0 || read_text(directory, CREATED, "", &text, error);
    char *rest = text.data, *line;
    while (fine && rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
        const char *fingerprint = strsep(&line, " ");
        if (line != NULL && line[0] == '/')
            created_add(created, line, fingerprint);
    }
    free(path);
    text_free(&text);
    return fine;
}

bool record_read(const char *config_directory, unsigned limit, struct record *record,
                 struct error *error)
{
    struct text edits = {.data = NULL};
    *record = (struct record){.number = 0};
    if (!check_owner(config_directory, error) ||
        !find_newest(config_directory, limit, &record->number, error))
        return false;
    if (record->number == 0)
        return true;
    char *place = numbered(config_directory, record->number);
    bool fine =
        read_created(place, &record->created, error) && read_text(place, EDITS, "", &edits, error);
    if (fine)
        error_set(error,
                  "%s/" EDITS " is damaged; main.cf.before and master.cf.before in %s are "
                  "what was there: put them back by hand, and remove the directory",
                  place, place);
    for (size_t at = 0; fine && at < edits.length;) {
        size_t end = text_line_end(&edits, at);
        edits.data[end - 1] = '\0';
        fine = read_edit(edits.data + at, place, record, error);
        at = end;
    }
    free(place);
    text_free(&edits);
    return fine;
}

void record_free(struct record *record)
{
    for (size_t i = 0; i < RELAY_FILES; i++) {
        text_free(&record->file[i].before);
        text_free(&record->file[i].after);
        edits_free(&record->file[i].edits);
    }
    created_free(&record->created);
    *record = (struct record){.number = 0};
}

/* --- forgetting --- */

bool record_forget(const char *config_directory, unsigned number, struct error *error)
{
    char *place = numbered(config_directory, number), *going = place_of(config_directory, GOING);
    bool fine = rename_directory(place, going, error);
    record_tidy(config_directory);
    free(place);
    free(going);
    return fine && file_sync_directory(config_directory, error);
}
