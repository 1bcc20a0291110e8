/* The program's subcommands. To add one: a line in CLI_COMMANDS, and a file cli_<name>.c with
 * `int cli_<name>(int argc, char **argv)`, where argv[0] is the subcommand's name and the result is
 * the exit status: 0, CLI_NO, CLI_USAGE or one of sysexits.h.
 *
 * Each subcommand answers --help on standard output by itself. */
#ifndef SEALMQ_CLI_CLI_H
#define SEALMQ_CLI_CLI_H

#include "base/bytes.h"

#include <stdio.h>
#include <sysexits.h>

#define CLI_COMMANDS(X)                                                                            \
    X(init, "make the keys, genesis and configurations of a new network")                          \
    X(keygen, "make a key for a gateway, a node or an operator")                                   \
    X(node, "run a node: MQTT server, history, chain")                                             \
    X(gateway, "run a gateway: readings of this machine and of devices")                           \
    X(device, "list, approve and revoke gateways")                                                 \
    X(validator, "add and remove nodes that agree on the chain, exchange their keys")              \
    X(status, "ask a node how it is")                                                              \
    X(block, "show a block of a node's store")                                                     \
    X(audit, "compare a history database with the chain")                                          \
    X(proof, "write the proof of a reading, a record or a block")                                  \
    X(policy, "write the validators' policy, of now or of a size of the log")                      \
    X(verify, "check a proof file offline")                                                        \
    X(token, "make a log-in token for an id that has a key")                                       \
    X(broker, "run a plain MQTT server, without a ledger")                                         \
    X(passwd, "add, change or remove a user of a password file")                                   \
    X(sim, "run simulated networks with faults, from seeds")

#define X(name, help) int cli_##name(int argc, char **argv);
CLI_COMMANDS(X)
#undef X

#define CLI_NO    1 /* it worked, and the answer is no */
#define CLI_USAGE 2

/* Prints "sealmq <command>: <words>" and where help is; returns CLI_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_usage(const char *command, const char *format, ...);
/* Prints "sealmq <command>: <words>"; returns `status`. */
__attribute__((format(printf, 3, 4))) int cli_fail(const char *command, int status,
                                                   const char *format, ...);
/* The same for one of our errors, in these words or, where `why` is empty, the error's own. */
int cli_fail_with(const char *command, int error, const char *why);
/* For getopt_long with opterr 0 and an option string that begins with ':' (after a '+', if any):
 * what to say when it returned ':' or '?'. Returns CLI_USAGE. */
int cli_bad_option(const char *command, int returned, char **argv);
/* The exit status for one of our errors. */
int cli_status_of(int error);
/* Decimal, `least` to `most`. false: nothing is printed. */
bool cli_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *out);

/* Log lines to standard error from here on: time, level, component, words. */
void cli_log_to_stderr(bool is_verbose);

#endif
