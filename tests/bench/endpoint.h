/* endpoint.h - the sockets of the benchmark: "unix:PATH" or "inet:HOST:PORT"
 *
 * Both functions end the program with a line on stderr if it cannot be done: a benchmark without
 * its socket has nothing to measure.
 */
#ifndef POST365_TESTS_BENCH_ENDPOINT_H
#define POST365_TESTS_BENCH_ENDPOINT_H

/* A connected socket, not blocking from then on. */
int endpoint_connect(const char *place);

/* A listening socket, not blocking. A UNIX socket of that name is replaced; everybody may connect.
 */
int endpoint_listen(const char *place);

/* Room for as many descriptors as the system allows. */
void endpoint_raise_limit(void);

#endif
