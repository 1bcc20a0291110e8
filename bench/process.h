/* What another process has used, from /proc. */
#ifndef SEALMQ_BENCH_PROCESS_H
#define SEALMQ_BENCH_PROCESS_H

#include <stdint.h>

/* Nanoseconds that its threads have been on a processor; 0 for process 0. */
uint64_t process_cpu_ns(int pid);
/* Resident bytes; 0 for process 0. */
uint64_t process_resident_bytes(int pid);

#endif
