/* meter.h - a store that counts what another one does
 *
 * The ledger writes through it; it passes everything on and remembers how long each write took, how
 * large it was, and whether the last one worked. Used by one thread.
 */
#ifndef POST365_POLICYD_STORE_METER_H
#define POST365_POLICYD_STORE_METER_H

#include "common/metrics/distribution.h"
#include "policyd/store/store.h"

struct store_counts {
    struct distribution write_times;  /* microseconds, of writes that worked */
    struct distribution write_sizes;  /* records, each entry of a turn as one */
    struct distribution expiry_times; /* microseconds, of each removal of what is too old */
    uint64_t failed_writes;
    uint64_t failed_upkeep;    /* expiry, checkpoint */
    struct error write_error;  /* why the last write failed, "" if it worked */
    struct error upkeep_error; /* likewise */
};

/* In front of `inner`, which is closed with it. Its counts are valid until then. */
struct store *store_meter_new(struct store *inner);
const struct store_counts *store_meter_counts(const struct store *meter);

#endif
