/* Trust policies (c2sp.org/tlog-policy): which logs and witnesses are trusted, and which witnesses
 * together are enough.
 *
 * Witnesses and groups are nodes, in the order in which they are defined. A name can be used before
 * it is a member of anything but only after it was defined, and is a member of at most one group:
 * so the nodes are a forest whose children come before their parents, and one pass over them
 * decides whether the quorum is there. */
#include "ledger/note.h"

#include "base/assert.h"
#include "base/id.h"
#include "base/text.h"
#include "ledger/note_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* c2sp.org/tlog-policy recommends 32 of each at least; here a log and a witness for each validator
 * must fit. */
#define LOGS_MAX      VALIDATORS_MAX
#define WITNESSES_MAX VALIDATORS_MAX
#define NODES_MAX     (WITNESSES_MAX + 128)
#define NO_NODE       (-1)

struct node {
    struct bytes name; /* borrowed from the policy's text */
    bool is_group;
    unsigned threshold;  /* of a group: how many members are enough */
    int parent;          /* the group that it is a member of */
    struct note_key key; /* of a witness */
};

struct policy {
    uint8_t *text; /* a copy */
    size_t log_count, node_count, witness_count;
    bool has_quorum;
    int quorum; /* node, or NO_NODE when no cosignature is needed */
    struct note_key logs[LOGS_MAX];
    struct node nodes[NODES_MAX];
};

/* --- reading --- */

struct parser {
    struct policy *policy;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct parser *p, int error,
                                                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (p->why_size != 0)
        (void)vsnprintf(p->why, p->why_size, format, arguments);
    va_end(arguments);
    return error;
}

/* For messages: printf's %.*s of bytes that may not be text. Long ones are cut. */
#define SHOWN(b) (int)((b).n < 64 ? (b).n : 64), (const char *)(b).p

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Takes the next item of a line; empty when there is none. */
static struct bytes take_item(struct bytes *line)
{
    while (line->n != 0 && is_blank(line->p[0]))
        *line = bytes_of(line->p + 1, line->n - 1);
    struct bytes item = {line->p, 0};
    while (item.n < line->n && !is_blank(line->p[item.n]))
        item.n++;
    *line = bytes_of(line->p + item.n, line->n - item.n);
    return item;
}

static int find_node(const struct policy *policy, struct bytes name)
{
    for (size_t i = 0; i < policy->node_count; i++)
        if (bytes_equal(policy->nodes[i].name, name))
            return (int)i;
    return NO_NODE;
}

static int read_vkey(struct parser *p, struct bytes vkey, uint8_t algorithm, struct note_key *out)
{
    if (vkey.n == 0)
        return refuse(p, SEALMQ_E_PARSE, "the key is missing");
    int error = note_vkey_parse(vkey, out);
    if (error == SEALMQ_E_HASH)
        return refuse(p, error, "the key id of %.*s is not that of its key", SHOWN(vkey));
    if (error == SEALMQ_E_UNSUPPORTED)
        return refuse(p, error, "the key %.*s is of an algorithm that is not supported",
                      SHOWN(vkey));
    if (error == SEALMQ_E_LIMIT)
        return refuse(p, error, "the key's name is longer than %d bytes", KEY_NAME_MAX - 1);
    if (error != 0)
        return refuse(p, error, "%.*s is not a key (<name>+<key id>+<base64>)", SHOWN(vkey));
    if (out->algorithm != algorithm)
        return refuse(p, SEALMQ_E_TYPE, "a %s key has algorithm 0x%02x, not 0x%02x",
                      algorithm == NOTE_ED25519 ? "log's" : "witness's", algorithm, out->algorithm);
    return 0;
}

static bool same_key(const struct note_key *a, const struct note_key *b)
{
    return memcmp(a->key.b, b->key.b, PUBLIC_KEY_SIZE) == 0;
}

/* An optional URL, and nothing after it. */
static int read_url(struct parser *p, struct bytes rest)
{
    (void)take_item(&rest);
    struct bytes extra = take_item(&rest);
    if (extra.n != 0)
        return refuse(p, SEALMQ_E_PARSE, "unexpected \"%.*s\"", SHOWN(extra));
    return 0;
}

/* log <vkey> [<url>] */
static int read_log(struct parser *p, struct bytes rest)
{
    struct policy *policy = p->policy;
    if (policy->log_count == LOGS_MAX)
        return refuse(p, SEALMQ_E_LIMIT, "more than %d logs", LOGS_MAX);
    struct note_key *key = &policy->logs[policy->log_count];
    int error = read_vkey(p, take_item(&rest), NOTE_ED25519, key);
    if (error == 0)
        error = read_url(p, rest);
    if (error != 0)
        return error;
    for (size_t i = 0; i < policy->log_count; i++)
        if (same_key(&policy->logs[i], key))
            return refuse(p, SEALMQ_E_EXISTS, "this log's key is there already");
    policy->log_count++;
    return 0;
}

/* A new node's name, which must be free; the node is not counted yet. */
static int read_new_name(struct parser *p, struct bytes name)
{
    if (name.n == 0)
        return refuse(p, SEALMQ_E_PARSE, "the name is missing");
    if (bytes_equal(name, BYTES_LIT("none")))
        return refuse(p, SEALMQ_E_PARSE, "the name \"none\" is taken");
    if (find_node(p->policy, name) != NO_NODE)
        return refuse(p, SEALMQ_E_EXISTS, "the name \"%.*s\" is defined twice", SHOWN(name));
    if (p->policy->node_count == NODES_MAX)
        return refuse(p, SEALMQ_E_LIMIT, "more than %d witnesses and groups", NODES_MAX);
    p->policy->nodes[p->policy->node_count] = (struct node){.name = name, .parent = NO_NODE};
    return 0;
}

/* witness <name> <vkey> [<url>] */
static int read_witness(struct parser *p, struct bytes rest)
{
    struct policy *policy = p->policy;
    int error = read_new_name(p, take_item(&rest));
    if (error != 0)
        return error;
    if (policy->witness_count == WITNESSES_MAX)
        return refuse(p, SEALMQ_E_LIMIT, "more than %d witnesses", WITNESSES_MAX);
    struct node *node = &policy->nodes[policy->node_count];
    error = read_vkey(p, take_item(&rest), NOTE_COSIGNATURE, &node->key);
    if (error == 0)
        error = read_url(p, rest);
    if (error != 0)
        return error;
    for (size_t i = 0; i < policy->node_count; i++)
        if (!policy->nodes[i].is_group && same_key(&policy->nodes[i].key, &node->key))
            return refuse(p, SEALMQ_E_EXISTS, "this witness's key is there already, as \"%.*s\"",
                          SHOWN(policy->nodes[i].name));
    policy->witness_count++;
    policy->node_count++;
    return 0;
}

/* group <name> all|any|<k> <name>... */
static int read_group(struct parser *p, struct bytes rest)
{
    struct policy *policy = p->policy;
    int error = read_new_name(p, take_item(&rest));
    if (error != 0)
        return error;
    struct bytes rule = take_item(&rest);
    size_t members = 0;
    for (struct bytes name = take_item(&rest); name.n != 0; name = take_item(&rest)) {
        int member = find_node(policy, name);
        if (member == NO_NODE)
            return refuse(p, SEALMQ_E_NOTFOUND, "\"%.*s\" is not defined before this line",
                          SHOWN(name));
        if (policy->nodes[member].parent != NO_NODE)
            return refuse(p, SEALMQ_E_CONFLICT, "\"%.*s\" is listed as a member twice",
                          SHOWN(name));
        policy->nodes[member].parent = (int)policy->node_count;
        members++;
    }
    if (members == 0)
        return refuse(p, SEALMQ_E_PARSE, "a group is: group <name> all|any|<number> <member>...");
    uint64_t threshold = 0;
    if (bytes_equal(rule, BYTES_LIT("all")))
        threshold = members;
    else if (bytes_equal(rule, BYTES_LIT("any")))
        threshold = 1;
    else if (u64_parse(rule, &threshold) != 0 || threshold == 0 || threshold > members)
        return refuse(p, SEALMQ_E_PARSE, "\"%.*s\" is not all, any, or a number from 1 to %zu",
                      SHOWN(rule), members);
    struct node *node = &policy->nodes[policy->node_count];
    node->is_group = true;
    node->threshold = (unsigned)threshold;
    policy->node_count++;
    return 0;
}

/* quorum <name>|none */
static int read_quorum(struct parser *p, struct bytes rest)
{
    struct policy *policy = p->policy;
    if (policy->has_quorum)
        return refuse(p, SEALMQ_E_EXISTS, "there is a quorum line already");
    struct bytes name = take_item(&rest);
    if (name.n == 0)
        return refuse(p, SEALMQ_E_PARSE, "the name is missing");
    struct bytes extra = take_item(&rest);
    if (extra.n != 0)
        return refuse(p, SEALMQ_E_PARSE, "unexpected \"%.*s\"", SHOWN(extra));
    policy->quorum = NO_NODE;
    if (!bytes_equal(name, BYTES_LIT("none"))) {
        policy->quorum = find_node(policy, name);
        if (policy->quorum == NO_NODE)
            return refuse(p, SEALMQ_E_NOTFOUND, "\"%.*s\" is not defined before this line",
                          SHOWN(name));
    }
    policy->has_quorum = true;
    return 0;
}

static int read_line(struct parser *p, struct bytes line)
{
    static const struct {
        const char *keyword;
        int (*read)(struct parser *p, struct bytes rest);
    } kinds[] = {{"log", read_log},
                 {"witness", read_witness},
                 {"group", read_group},
                 {"quorum", read_quorum}};

    for (size_t i = 0; i < line.n; i++)
        if ((line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f)
            return refuse(p, SEALMQ_E_PARSE, "control character 0x%02x", line.p[i]);
    struct bytes keyword = take_item(&line);
    if (keyword.n == 0 || keyword.p[0] == '#')
        return 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (bytes_equal(keyword, bytes_str(kinds[i].keyword)))
            return kinds[i].read(p, line);
    return refuse(p, SEALMQ_E_PARSE, "\"%.*s\" is not log, witness, group or quorum",
                  SHOWN(keyword));
}

static int read_lines(struct parser *p, struct bytes text, unsigned *line)
{
    while (text.n != 0) {
        ++*line;
        const uint8_t *newline = memchr(text.p, '\n', text.n);
        if (newline == NULL)
            return refuse(p, SEALMQ_E_PARSE, "the line does not end in a newline");
        size_t n = (size_t)(newline - text.p);
        int error = read_line(p, bytes_of(text.p, n));
        if (error != 0)
            return error;
        text = bytes_of(newline + 1, text.n - n - 1);
    }
    if (!p->policy->has_quorum)
        return refuse(p, SEALMQ_E_PARSE, "there is no quorum line");
    return 0;
}

int policy_parse(struct bytes text, struct policy **out, unsigned *line, char *why, size_t why_size)
{
    struct parser p = {NULL, why, why_size};
    *out = NULL;
    *line = 0;
    if (why_size != 0)
        why[0] = '\0';
    if (text.n > POLICY_BYTES_MAX)
        return refuse(&p, SEALMQ_E_LIMIT, "longer than %d bytes", POLICY_BYTES_MAX);
    struct policy *policy = calloc(1, sizeof(*policy));
    uint8_t *copy = policy == NULL ? NULL : malloc(text.n + 1);
    if (copy == NULL) {
        free(policy);
        return refuse(&p, SEALMQ_E_NOMEM, "out of memory");
    }
    if (text.n != 0)
        memcpy(copy, text.p, text.n);
    policy->text = copy;
    p.policy = policy;
    int error = read_lines(&p, bytes_of(copy, text.n), line);
    if (error != 0) {
        policy_free(policy);
        return error;
    }
    *out = policy;
    return 0;
}

void policy_free(struct policy *policy)
{
    if (policy == NULL)
        return;
    free(policy->text);
    free(policy);
}

/* --- writing --- */

int policy_format(const char *network, const struct validator_set *set, struct buf *out)
{
    if (!network_name_is_valid(bytes_str(network)) || set->n == 0 || set->n > VALIDATORS_MAX)
        return SEALMQ_E_ARG;
    char origin[ORIGIN_MAX];
    struct note_key key;
    checkpoint_origin(network, origin);
    buf_printf(out, "# Validators of the SealMQ network %s (c2sp.org/tlog-policy).\n", network);
    for (size_t i = 0; i < set->n; i++) {
        note_key_of_log(&key, origin, &set->v[i]);
        buf_append_cstr(out, "log ");
        note_vkey_format(bytes_str(key.name), key.algorithm, &key.key, out);
        buf_append_u8(out, '\n');
    }
    for (size_t i = 0; i < set->n; i++) {
        note_key_of_cosigner(&key, origin, &set->v[i]);
        buf_printf(out, "witness %s ", set->v[i].id);
        note_vkey_format(bytes_str(key.name), key.algorithm, &key.key, out);
        buf_append_u8(out, '\n');
    }
    buf_printf(out, "group validators %zu", validators_quorum(set->n));
    for (size_t i = 0; i < set->n; i++)
        buf_printf(out, " %s", set->v[i].id);
    buf_append_cstr(out, "\nquorum validators\n");
    return buf_status(out);
}

/* --- checking --- */

/* What is known of a note's signatures while its lines are walked. */
struct tally {
    bool log_signed;
    bool witnessed[NODES_MAX];
    uint64_t earliest_s, latest_s;
};

/* One line against all keys that it may be by. Two keys of the same name and id are not expected,
 * but an id has four bytes only: then it is enough that one of them signed. */
static int count_line(const struct policy *policy, const struct note_line *line, const char *origin,
                      struct bytes text, struct tally *tally)
{
    int error = 0;
    bool known = false, valid = false;
    uint64_t time_s;
    for (size_t i = 0; i < policy->log_count && !valid; i++) {
        const struct note_key *key = &policy->logs[i];
        if (strcmp(key->name, origin) != 0 || !note_line_is_by(line, key))
            continue;
        known = true;
        error = note_line_verify(line, key, text, &time_s);
        valid = error == 0;
        tally->log_signed = tally->log_signed || valid;
    }
    for (size_t i = 0; i < policy->node_count && !valid; i++) {
        const struct node *node = &policy->nodes[i];
        if (node->is_group || !note_line_is_by(line, &node->key))
            continue;
        known = true;
        error = note_line_verify(line, &node->key, text, &time_s);
        valid = error == 0;
        if (!valid)
            continue;
        tally->witnessed[i] = true;
        tally->earliest_s = time_s < tally->earliest_s ? time_s : tally->earliest_s;
        tally->latest_s = time_s > tally->latest_s ? time_s : tally->latest_s;
    }
    return known && !valid ? error : 0;
}

static bool quorum_is_there(const struct policy *policy, const bool witnessed[NODES_MAX])
{
    unsigned count[NODES_MAX] = {0};
    for (size_t i = 0; i < policy->node_count; i++) {
        const struct node *node = &policy->nodes[i];
        bool holds = node->is_group ? count[i] >= node->threshold : witnessed[i];
        if (holds && (int)i == policy->quorum)
            return true;
        if (holds && node->parent != NO_NODE)
            count[node->parent]++;
    }
    return policy->quorum == NO_NODE;
}

static void name_cosigners(const struct policy *policy, const struct tally *tally,
                           struct policy_result *out)
{
    *out = (struct policy_result){0};
    for (size_t i = 0; i < policy->node_count; i++) {
        if (!tally->witnessed[i])
            continue;
        ASSERT(out->cosigner_count < VALIDATORS_MAX);
        memcpy(out->cosigners[out->cosigner_count++], policy->nodes[i].key.name, KEY_NAME_MAX);
    }
    if (out->cosigner_count != 0) {
        out->earliest_s = tally->earliest_s;
        out->latest_s = tally->latest_s;
    }
}

static bool knows_origin(const struct policy *policy, const char *origin)
{
    for (size_t i = 0; i < policy->log_count; i++)
        if (strcmp(policy->logs[i].name, origin) == 0)
            return true;
    return false;
}

int policy_check_note(const struct policy *policy, struct bytes note, struct checkpoint *out,
                      struct policy_result *result)
{
    struct checkpoint checkpoint;
    struct bytes text, lines;
    *out = (struct checkpoint){0};
    if (result != NULL)
        *result = (struct policy_result){0};
    int error = checkpoint_parse(note, &checkpoint, &text, &lines);
    if (error != 0)
        return error;
    if (!knows_origin(policy, checkpoint.origin))
        return SEALMQ_E_NETWORK;
    struct tally tally = {.earliest_s = UINT64_MAX};
    while (lines.n != 0) {
        struct note_line line;
        uint8_t scratch[128];
        if (!note_lines_next(&lines, &line, scratch))
            return SEALMQ_E_PARSE;
        error = count_line(policy, &line, checkpoint.origin, text, &tally);
        if (error != 0)
            return error;
    }
    if (!tally.log_signed)
        return SEALMQ_E_SIGNATURE;
    if (!quorum_is_there(policy, tally.witnessed))
        return SEALMQ_E_COUNT;
    *out = checkpoint;
    if (result != NULL)
        name_cosigners(policy, &tally, result);
    return 0;
}
