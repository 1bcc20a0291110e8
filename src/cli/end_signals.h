/* Signals of a program that serves until it is told to end: SIGTERM and SIGINT end it, in order; a
 * second one at once. SIGHUP reloads. */
#ifndef SEALMQ_CLI_END_SIGNALS_H
#define SEALMQ_CLI_END_SIGNALS_H

/* Signals are taken by end_signals_wait on this thread alone; all threads made later inherit that.
 * Others are ignored that have an answer elsewhere: SIGPIPE, SIGXFSZ. */
void end_signals_block(void);
/* Waits for SIGTERM or SIGINT and returns which; calls `reload` for each SIGHUP meanwhile. After
 * that, one that another process sends ends the program at once, as it does without a handler: a
 * disk that never answers holds up the end in order. */
int end_signals_wait(void (*reload)(void *context), void *context);

#endif
