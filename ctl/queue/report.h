/* report.h - what a survey has found, for people and for programs */
#ifndef POST365_CTL_QUEUE_REPORT_H
#define POST365_CTL_QUEUE_REPORT_H

#include "ctl/queue/survey.h"
#include "ctl/screen.h"

#include <jansson.h>

/* Group by group, the largest first: who, how much, why, what to do, when it goes; with labels also
 * the messages. Then the sum. */
void report_text(const struct screen *screen, struct survey *survey);

/* A group a line. */
void report_json(struct survey *survey);

/* A message a line, as it comes from Postfix: reads the queue once more. False with the reason. */
bool report_messages(struct survey *survey, struct error *error);

/* Prints a line with a label, wrapped below itself. */
void report_line(const struct screen *screen, const char *label, const char *text);

/* Prints the server that mail goes to instead of Microsoft's, if it is not "". */
void report_server(const struct screen *screen, const char *server);

/* Appends when something goes: "14:05:00 (in 61 s)", "when it is mended; ...". */
void report_when(struct buffer *line, enum survey_when when, int64_t time, int64_t now);

/* A message with what is known about its recipients; the caller's to json_decref(). */
json_t *report_message_json(struct survey *survey, const struct listing_message *message);

/* The remedy with the account's name in it, and where it is about its token, the application's; the
 * caller's to free(). */
char *report_remedy(const struct survey *survey, const struct cause *cause, const char *account);

#endif
