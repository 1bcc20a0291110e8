/* How many threads a load is worth: one more, one fewer, or as many as there are.
 *
 * A second thread is worth its cost when it brings more messages per second. Often it does not:
 * clients that wait for answers before they go on send no faster to two threads than to one, and
 * two that drain their sockets in smaller pieces need more processor time for each message. Nobody
 * can tell beforehand, so it is tried: a thread that was busy for a while gives some of its loops
 * back for a moment, and takes them in again when that has not brought much. After a trial in vain
 * the next one waits, each time twice as long, until the load is another one.
 *
 * Busy and late is another matter. When a turn takes long, so does every message that waits for it,
 * and input comes faster than it is handled; then a trial comes soon, and it is enough that it
 * makes the turns short without making the work less.
 *
 * Pure: it is shown one window of time after the other, and says what to do. */
#ifndef SEALMQ_NET_JUDGE_H
#define SEALMQ_NET_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#define JUDGE_DUTY_FULL  900 /* thousandths: a thread that is busier has no time to spare */
#define JUDGE_DUTY_SPARE 800 /* two that are less busy together can be one */

enum judgement {
    JUDGE_STAY,
    JUDGE_PART,      /* for a trial: some loops go back to their own threads */
    JUDGE_TAKE_BACK, /* those of the trial become one with the first again */
    JUDGE_JOIN,      /* one that has little to do becomes one with the first */
};

/* What has happened since the window before. */
struct judge_window {
    uint64_t now_ns;    /* its end */
    uint64_t length_ns; /* not 0 */
    uint64_t work;  /* packets of the shards that the first thread runs, or ran before a trial */
    uint64_t turns; /* of the first thread */
    uint32_t duty;  /* of the first thread, in thousandths of a processor */
    bool can_part;  /* the first thread runs others' loops */
    bool can_join;  /* there is one whose duty with that of the first is below DUTY_SPARE */
};

struct judge {
    unsigned full_windows, long_windows, calm_windows, trial_windows;
    bool is_trial, was_late;
    uint64_t rate; /* of work, while the first thread is full: packets a second, smoothed */
    uint64_t trial_ns, trial_work, trial_turns;
    uint64_t vain_rate; /* `rate` before the last trial in vain; 0: there was none */
    bool was_vain_late;
    uint64_t pause_ns, not_before_ns;
};

/* A fresh judge is all zeros. */
enum judgement judge_see(struct judge *judge, const struct judge_window *window);

#endif
