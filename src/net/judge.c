#include "net/judge.h"

#define SECOND_NS    UINT64_C(1000000000)
#define LONG_TURN_NS UINT64_C(8000000) /* later than this, a message is late */

#define FULL_WINDOWS  20 /* of full duty before a trial */
#define LATE_WINDOWS  4  /* the same when turns are long */
#define CALM_WINDOWS  4  /* of little to do before two become one */
#define TRIAL_SETTLES 1  /* windows of a trial that do not count */
#define TRIAL_WINDOWS 3  /* and all of it */

#define GAIN_LEAST 1300 /* thousandths of the rate before: less is not worth a thread */
#define OTHER_LOAD 1500 /* thousandths between two rates: more is another load */

#define PAUSE_FIRST_NS SECOND_NS
#define PAUSE_MOST_NS  (60 * SECOND_NS)

static uint64_t per_second(uint64_t work, uint64_t length_ns)
{
    return (uint64_t)((double)work * (double)SECOND_NS / (double)length_ns);
}

static bool is_long(uint64_t turns, uint64_t length_ns)
{
    return length_ns / (turns + 1) >= LONG_TURN_NS;
}

static void count_windows(struct judge *judge, const struct judge_window *window)
{
    judge->calm_windows = window->can_join ? judge->calm_windows + 1 : 0;
    if (!window->can_part || window->duty <= JUDGE_DUTY_FULL) {
        judge->full_windows = judge->long_windows = 0;
        return;
    }
    uint64_t rate = per_second(window->work, window->length_ns);
    judge->rate = judge->full_windows == 0 ? rate : (3 * judge->rate + rate) / 4;
    judge->full_windows++;
    judge->long_windows = is_long(window->turns, window->length_ns) ? judge->long_windows + 1 : 0;
}

static bool is_another_load(const struct judge *judge, bool is_late)
{
    return (is_late && !judge->was_vain_late) ||
           judge->rate * 1000 > judge->vain_rate * OTHER_LOAD ||
           judge->vain_rate * 1000 > judge->rate * OTHER_LOAD;
}

static bool is_worth_a_trial(struct judge *judge, uint64_t now_ns)
{
    bool is_late = judge->long_windows >= LATE_WINDOWS;
    if (!is_late && judge->full_windows < FULL_WINDOWS)
        return false;
    if (judge->vain_rate != 0 && is_another_load(judge, is_late)) {
        judge->vain_rate = 0;
        judge->pause_ns = judge->not_before_ns = 0;
    }
    judge->was_late = is_late;
    return now_ns >= judge->not_before_ns;
}

static enum judgement begin_trial(struct judge *judge)
{
    judge->is_trial = true;
    judge->full_windows = judge->long_windows = judge->calm_windows = judge->trial_windows = 0;
    judge->trial_ns = judge->trial_work = judge->trial_turns = 0;
    return JUDGE_PART;
}

static bool has_paid(const struct judge *judge)
{
    uint64_t rate = per_second(judge->trial_work, judge->trial_ns);
    if (judge->was_late && !is_long(judge->trial_turns, judge->trial_ns) && rate >= judge->rate)
        return true;
    return rate != 0 && rate * 1000 >= judge->rate * GAIN_LEAST;
}

static enum judgement end_trial(struct judge *judge, uint64_t now_ns)
{
    judge->is_trial = false;
    if (has_paid(judge)) {
        judge->vain_rate = judge->pause_ns = 0;
        return JUDGE_STAY;
    }
    judge->pause_ns = judge->pause_ns == 0 ? PAUSE_FIRST_NS : 2 * judge->pause_ns;
    if (judge->pause_ns > PAUSE_MOST_NS)
        judge->pause_ns = PAUSE_MOST_NS;
    judge->not_before_ns = now_ns + judge->pause_ns;
    judge->vain_rate = judge->rate;
    judge->was_vain_late = judge->was_late;
    return JUDGE_TAKE_BACK;
}

static enum judgement see_trial(struct judge *judge, const struct judge_window *window)
{
    if (++judge->trial_windows > TRIAL_SETTLES) {
        judge->trial_ns += window->length_ns;
        judge->trial_work += window->work;
        judge->trial_turns += window->turns;
    }
    return judge->trial_windows < TRIAL_WINDOWS ? JUDGE_STAY : end_trial(judge, window->now_ns);
}

enum judgement judge_see(struct judge *judge, const struct judge_window *window)
{
    if (judge->is_trial)
        return see_trial(judge, window);
    count_windows(judge, window);
    if (is_worth_a_trial(judge, window->now_ns))
        return begin_trial(judge);
    if (judge->calm_windows < CALM_WINDOWS)
        return JUDGE_STAY;
    judge->calm_windows = 0;
    return JUDGE_JOIN;
}
