/* The disk under SQLite, whose power can be cut: what was not synced by then may be gone, in part
 * and in any order. A VFS before SQLite's own, for files of every connection that is opened after.
 */
#ifndef TEST_STORE_DISK_H
#define TEST_STORE_DISK_H

#include <stdbool.h>

enum disk_loss {
    DISK_LOSES_NOTHING, /* the process died, the machine did not */
    DISK_LOSES_ALL,     /* everything that was not synced */
    DISK_LOSES_SOME,    /* any part of that: writes, and parts of a write */
};

/* Once in a program. `draw` gives numbers below its argument. */
void disk_install(unsigned (*draw)(unsigned below));
/* The power fails in this many writes, truncations, syncs or removals, counted from 1; that one and
 * all later ones fail. 0: never. */
void disk_cut_in(unsigned operations);
bool disk_is_cut(void);
/* Leaves in the files what the crash left. No connection is open. Afterwards the power is on, and
 * everything there is synced. */
void disk_restart(enum disk_loss loss);
/* Other files from here on: what was known of those before is dropped. No connection is open. */
void disk_forget(void);

#endif
