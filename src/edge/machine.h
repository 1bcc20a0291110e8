/* What the kernel tells of this machine, as rows. Services and items:
 *
 *   load         load_1, load_5, load_15, running, processes
 *   memory       total, available, free, swap_total, swap_free (bytes)
 *   network      IF.rx_bytes, IF.rx_packets, IF.rx_errors, IF.rx_dropped, and the same with tx
 *   disk         DISK.reads, DISK.read_bytes, DISK.writes, DISK.written_bytes
 *   temperature  SENSOR (degrees Celsius), where the kernel shows any
 *   uptime       uptime (seconds)
 *
 * Whole disks only, and none that are made of memory or files; no veth interfaces, whose names are
 * random: an item is described on the chain for ever. The kernel's files differ from machine to
 * machine: what is missing, and lines that are not as expected, are left out. */
#ifndef SEALMQ_EDGE_MACHINE_H
#define SEALMQ_EDGE_MACHINE_H

#include "ledger/row.h"

#define MACHINE_ROWS_MAX 2048

/* Rows with strings of their own. Zero-initialised is empty; kept from round to round. */
struct machine {
    struct row rows[MACHINE_ROWS_MAX];
    size_t count;
    struct buf text; /* what rows borrow; filled first, pointed into at the end */
    size_t places[MACHINE_ROWS_MAX][2];
    struct buf file;
};

/* Reads all there is. `root` is "" or, in tests, a folder that holds proc and sys. */
void machine_read(struct machine *machine, const char *root, struct bytes device, int64_t now_us);
void machine_close(struct machine *machine);

#endif
