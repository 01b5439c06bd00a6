/* far.c - a network interface behind which this host is far away from itself
 *
 * SYNOPSIS
 *     far INTERFACE MICROSECONDS
 *
 * DESCRIPTION
 *     Makes a TUN interface. Every IPv4 packet that is sent through it comes back after so many
 *     MICROSECONDS with source and destination exchanged (the checksums stay right): with the
 *     address A on the interface, a connection to any other address B of its network reaches what
 *     listens on A, from B, and each way takes that long. Throughput is not limited. It is what
 *     `tc netem` does, for kernels without it.
 *
 *     Says "ready" on stdout when the interface is there; it is gone when the program ends.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define PACKETS_MAX 8192 /* under way */
#define PACKET_SIZE 2048
#define IPV4_HEADER 20
#define SOURCE      12
#define DESTINATION 16

struct packet {
    int64_t due; /* nanoseconds */
    size_t length;
    unsigned char octets[PACKET_SIZE];
};

/* All take equally long: who came first leaves first. */
static struct packet packets[PACKETS_MAX];
static size_t first, count;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int open_interface(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0)
        err(EX_OSERR, "/dev/net/tun");
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(descriptor, TUNSETIFF, &request) != 0)
        err(EX_OSERR, "%s", name);
    return descriptor;
}

static void turn_round(unsigned char *octets)
{
    unsigned char source[4];
    memcpy(source, octets + SOURCE, 4);
    memcpy(octets + SOURCE, octets + DESTINATION, 4);
    memcpy(octets + DESTINATION, source, 4);
}

/* Takes what has been sent. What is no IPv4 is of no use here. */
static void take_packets(int descriptor, int64_t delay)
{
    while (count < PACKETS_MAX) {
        struct packet *packet = &packets[(first + count) % PACKETS_MAX];
        ssize_t length = read(descriptor, packet->octets, PACKET_SIZE);
        if (length < 0)
            return;
        if (length < IPV4_HEADER || packet->octets[0] >> 4 != 4)
            continue;
        turn_round(packet->octets);
        packet->length = (size_t)length;
        packet->due = now() + delay;
        count++;
    }
}

static void give_packets(int descriptor)
{
    int64_t time = now();
    for (; count > 0 && packets[first].due <= time; count--) {
        if (write(descriptor, packets[first].octets, packets[first].length) < 0)
            warn("a packet is lost");
        first = (first + 1) % PACKETS_MAX;
    }
}

static void wait_for_packets(int descriptor)
{
    struct pollfd wanted = {.fd = descriptor, .events = count < PACKETS_MAX ? POLLIN : 0};
    int64_t left = count > 0 ? packets[first].due - now() : 0;
    struct timespec timeout = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    if (count > 0 && left <= 0)
        return;
    if (ppoll(&wanted, 1, count > 0 ? &timeout : NULL, NULL) < 0 && errno != EINTR)
        err(EX_OSERR, "poll");
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        fprintf(stderr, "usage: far interface microseconds\n");
        return EX_USAGE;
    }
    int descriptor = open_interface(argv[1]);
    int64_t delay = strtoll(argv[2], NULL, 10) * 1000;
    puts("ready");
    fflush(stdout);
    for (;;) {
        wait_for_packets(descriptor);
        take_packets(descriptor, delay);
        give_packets(descriptor);
    }
}
