/* watch.c - a picture on the whole terminal, drawn again and again
 *
 * Signals are taken from a descriptor, one after the other, so that none comes in the middle of a
 * frame and each way out goes through leave(). */
#include "ctl/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

/* The other screen, no cursor, no second row for a line with characters that are two columns wide.
 */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

#define TOP        "\033[H"
#define ERASE_LINE "\033[K"
#define ERASE_REST "\033[J"

struct watch {
    struct screen *screen;
    watch_draw *draw;
    void *context;
    struct termios settings; /* of the terminal, as they were */
    int signals;             /* where they are read */
    struct buffer drawn;     /* lines */
    struct buffer frame;     /* what is written */
    bool is_over;
    int ended_by; /* a signal, 0: none */
};

bool watch_is_possible(struct error *error)
{
    const char *terminal = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        error_set(error, "it draws on a terminal, and this is none; leave it out, or use ssh -t");
    else if (terminal == NULL || strcmp(terminal, "dumb") == 0)
        error_set(error, "this terminal cannot be drawn on: TERM is %s",
                  terminal != NULL ? "dumb" : "not set");
    else
        return true;
    return false;
}

/* A terminal that takes nothing any more is the end. */
static void write_all(struct watch *watch, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            watch->is_over = true;
            return;
        }
        bytes += written;
        length -= (size_t)written;
    }
}

/* Keys come one by one and unseen. Signals' keys stay what they are. */
static void enter(struct watch *watch)
{
    struct termios settings = watch->settings;
    settings.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &settings);
    write_all(watch, ENTER, strlen(ENTER));
}

static void leave(struct watch *watch)
{
    write_all(watch, LEAVE, strlen(LEAVE));
    tcsetattr(STDIN_FILENO, TCSANOW, &watch->settings);
}

/* Appends what fits of a line. Colours go on to its end, so that they are switched off. */
static void append_cut(struct buffer *frame, const char *line, size_t length, size_t width)
{
    size_t column = 0;
    for (size_t i = 0; i < length; i++) {
        if (line[i] == '\033') {
            size_t code = strcspn(line + i, "m") + 1;
            buffer_append(frame, line + i, code);
            i += code - 1;
            continue;
        }
        column += ((unsigned char)line[i] & 0xc0) != 0x80; /* a character's first octet */
        if (column <= width)
            buffer_append_char(frame, line[i]);
    }
}

/* A line is erased before it is written: behind one that fills its row the cursor is still on its
 * last character. */
static void show(struct watch *watch)
{
    screen_measure(watch->screen);
    buffer_clear(&watch->drawn);
    buffer_clear(&watch->frame);
    watch->draw(watch->context, watch->screen, &watch->drawn);
    buffer_append_string(&watch->frame, TOP);
    const char *line = watch->drawn.length > 0 ? watch->drawn.data : "";
    for (size_t row = 0; row < watch->screen->height && *line != '\0'; row++) {
        size_t length = strcspn(line, "\n");
        buffer_append_string(&watch->frame, row > 0 ? "\r\n" ERASE_LINE : ERASE_LINE);
        append_cut(&watch->frame, line, length, watch->screen->width);
        line += length + (line[length] == '\n');
        if (row + 1 < watch->screen->height && *line == '\0')
            buffer_append_string(&watch->frame, "\r\n" ERASE_REST);
    }
    write_all(watch, watch->frame.data, watch->frame.length);
}

static void take_signal(struct watch *watch)
{
    struct signalfd_siginfo signal;
    if (read(watch->signals, &signal, sizeof(signal)) != sizeof(signal))
        return;
    switch (signal.ssi_signo) {
    case SIGWINCH:
        break;
    case SIGTSTP:
        leave(watch);
        raise(SIGSTOP);
        enter(watch);
        break;
    case SIGCONT:
        enter(watch);
        break;
    case SIGINT:
        watch->is_over = true;
        break;
    default:
        watch->is_over = true;
        watch->ended_by = (int)signal.ssi_signo;
    }
}

static void take_keys(struct watch *watch)
{
    char keys[64];
    ssize_t count = read(STDIN_FILENO, keys, sizeof(keys));
    if (count <= 0 || memchr(keys, 'q', (size_t)count) != NULL)
        watch->is_over = true;
}

static void wait_for_something(struct watch *watch, int64_t interval)
{
    struct pollfd from[] = {{.fd = watch->signals, .events = POLLIN},
                            {.fd = STDIN_FILENO, .events = POLLIN}};
    if (poll(from, 2, (int)(interval / 1000)) <= 0)
        return;
    if (from[0].revents != 0)
        take_signal(watch);
    if (from[1].revents != 0 && !watch->is_over)
        take_keys(watch);
}

static void draw_until_over(struct watch *watch, int64_t interval)
{
    enter(watch);
    while (!watch->is_over) {
        show(watch);
        if (!watch->is_over)
            wait_for_something(watch, interval);
    }
    leave(watch);
}

bool watch_run(struct screen *screen, int64_t interval, watch_draw *draw, void *context,
               struct error *error)
{
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
    struct watch watch = {.screen = screen, .draw = draw, .context = context};
    sigset_t signals, before;
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        sigaddset(&signals, taken[i]);
    sigprocmask(SIG_BLOCK, &signals, &before);
    watch.signals = signalfd(-1, &signals, SFD_CLOEXEC);
    bool can = watch.signals >= 0 && tcgetattr(STDIN_FILENO, &watch.settings) == 0;
    if (can)
        draw_until_over(&watch, interval);
    else
        error_set(error, "the terminal: %s", strerror(errno));
    if (watch.signals >= 0)
        close(watch.signals);
    buffer_free(&watch.drawn);
    buffer_free(&watch.frame);
    if (watch.ended_by != 0)
        raise(watch.ended_by); /* comes when it is not blocked any more */
    sigprocmask(SIG_SETMASK, &before, NULL);
    return can;
}
