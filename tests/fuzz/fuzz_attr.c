/* fuzz_attr.c - bytes from a stranger into the name=value protocol
 *
 * libFuzzer (clang -fsanitize=fuzzer). The first byte says how the rest is cut into pieces; the
 * outcome must not depend on it.
 */
#include "common/attr.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Walks over everything of a request; a sanitizer sees a look beyond it. */
static size_t walk(const char *request, size_t length)
{
    size_t position = 0;
    size_t sum = 0;
    struct attr attr;
    struct attr_walk lines = {.request = request, .length = length};
    struct attr_line line;
    while (attr_next(request, length, &position, &attr)) {
        uint32_t number = 0;
        attr_number(&attr, &number);
        if (attr.name_length == 0 || memchr(attr.name, '=', attr.name_length) != NULL ||
            memchr(attr.value, '\n', attr.value_length) != NULL)
            abort();
        if (!attr_next_line(&lines, &line) || line.text != attr.name ||
            line.length != attr.name_length + attr.value_length + 1)
            abort();
        sum += attr.name_length + attr.value_length + 2;
    }
    if (sum + 1 != length || attr_next_line(&lines, &line))
        abort(); /* a line was left out */
    return sum;
}

/* How many requests there are, plus one if the stream is malformed after them. */
static size_t count(const char *stream, size_t length, size_t step)
{
    struct attr_reader reader = {0};
    struct error error;
    size_t requests = 0;
    size_t start = 0;
    size_t available = 0;
    while (available < length) {
        available = length - available > step ? available + step : length;
        size_t request;
        enum attr_progress progress;
        while ((progress = attr_read(&reader, stream + start, available - start, &request,
                                     &error)) == ATTR_REQUEST) {
            walk(stream + start, request);
            start += request;
            requests += 2;
        }
        if (progress == ATTR_MALFORMED)
            return requests + 1;
    }
    return requests;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t length = size - 1;
    char *stream = malloc(length + 1);
    if (stream == NULL)
        return 0;
    memcpy(stream, data + 1, length);
    if (count(stream, length, (size_t)data[0] + 1) != count(stream, length, SIZE_MAX / 2))
        abort();
    free(stream);
    return 0;
}
