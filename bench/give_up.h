#ifndef SEALMQ_BENCH_GIVE_UP_H
#define SEALMQ_BENCH_GIVE_UP_H

/* Prints why and ends the program with status 2: the measurement is void. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
