/* closest.h - the name that somebody may have meant
 *
 * Pure.
 */
#ifndef POST365_COMMON_CLOSEST_H
#define POST365_COMMON_CLOSEST_H

/* How many letters must change to make one name of the other (Levenshtein), or a large number where
 * `other` is longer than names are. */
unsigned closest_distance(const char *one, const char *other);

/* A name further away than this many letters, or as many, is no misspelling. */
#define CLOSEST_ENOUGH 4

#endif
