/* Inside a running gateway: what its parts share. */
#ifndef SEALMQ_EDGE_RUNNER_INT_H
#define SEALMQ_EDGE_RUNNER_INT_H

#include "config/gateway_config.h"
#include "edge/intake.h"
#include "edge/journal.h"
#include "edge/runner.h"
#include "edge/source_mqtt.h"
#include "edge/source_system.h"
#include "edge/uplink.h"

struct runner {
    uv_loop_t loop;
    bool has_loop;
    struct gateway_config *config;
    char config_path[PATH_SIZE];
    struct genesis genesis;
    struct sign_key key;
    struct policy *policy;
    struct gateway_policy *policies;
    size_t policy_count;
    char status_path[PATH_SIZE]; /* "": none */
    bool status_is_bad;          /* and that was said */

    struct gateway *core; /* NULL: lost, see runner.h */
    struct journal *journal;
    int store_error; /* of the last commit */
    struct uplink *uplink;
    struct intake *intake;
    struct parcel *unanswered, **unanswered_end; /* taken, not durable yet */

    struct source_mqtt *mqtt[GATEWAY_SOURCES_MAX];
    struct source_system *system[GATEWAY_SOURCES_MAX];

    uv_timer_t tick;   /* the core's deadline */
    uv_timer_t second; /* status, retries, the watch */
    uv_timer_t drain;
    uv_prepare_t settle; /* before the loop waits: commit, send, answer */
    uv_signal_t on_term, on_int, on_hup;
    bool is_draining;
    uint64_t drain_until_ms;

    /* The watch: when things last moved on, and how long to wait for that. */
    uint64_t moved_ms, patience_ms, moved_count;
    uint64_t height; /* of the last receipt */
    uint64_t full_logged_ms, bad_logged_ms;
};

/* runner_setup.c: from the configuration to the parts that do not run */
SEALMQ_MUST_CHECK int runner_setup(struct runner *runner, const char *config_path, char *why,
                                   size_t why_size);
void runner_teardown(struct runner *runner);
/* A core from what is on disk. */
SEALMQ_MUST_CHECK int runner_make_core(struct runner *runner);

/* runner_notes.c */
void runner_log_notes(struct runner *runner, const struct gateway_update *update);

/* status.c: the status file, rewritten */
void runner_write_status(struct runner *runner);

#endif
