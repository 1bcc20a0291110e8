/* Runs in which the set of validators changes: an admin makes members of strangers, validators of
 * members and the other way round, revokes them, exchanges keys and changes the rules, from one
 * size of the set to the next. It has at most two requests under way, which do not depend on one
 * another, and sends them again until they are executed. Every set has four or more, of which the
 * f = 1 of sim->f may be without its votes. */
#include "sim/sim_int.h"

#include <stdio.h>

#define FIRST_VALIDATORS 4

void sim_membership_choose(struct sim *sim)
{
    struct sim_random *r = &sim->random;
    sim->has_membership = sim->options->nodes == 0 && sim->options->seed % 5 == 2;
    if (!sim->has_membership)
        return;
    sim->n = SIM_NODES_MAX;
    sim->genesis.validators.n = FIRST_VALIDATORS;
    sim->f = (unsigned)validators_f(FIRST_VALIDATORS);
    for (unsigned i = 0; i < sim->n; i++)
        sim->parts[i] = i < FIRST_VALIDATORS ? SIM_VALIDATOR : SIM_STRANGER;
    uint8_t seed[SEED_SIZE];
    sim_random_bytes(r, seed, sizeof(seed));
    sign_key_from_seed(seed, &sim->second_admin_key);
    bool is_whole = sim_random_below(r, 2) == 0; /* from four to seven to four */
    sim->targets[0] = is_whole ? 7 : (unsigned)sim_random_between(r, 5, 7);
    sim->targets[1] = is_whole ? 4 : (unsigned)sim_random_between(r, 4, sim->targets[0]);
    sim->targets[2] = (unsigned)sim_random_between(r, 4, 7);
    sim->target_count = (unsigned)sim_random_between(r, 2, 3);
}

/* --- making requests --- */

static const struct bytes admin = {(const uint8_t *)"admin/root", 10};

/* Those before are the registrations of gateways. */
static uint64_t next_number(const struct sim *sim)
{
    return sim->gateway_count + sim->change_count + 1;
}

/* Whether the chain has the second key for it. */
static bool has_new_key(const struct sim *sim, const struct sim_replica *replica)
{
    struct public_key key;
    return chain_member_keys(sim->judge, bytes_str(replica->who.id), &key, 1) == 1 &&
           memcmp(&key, &replica->next_key.public_key, sizeof(key)) == 0;
}

/* As it is, or with the keys that it gets. */
static struct validator describe(const struct sim_replica *replica, bool is_new)
{
    struct validator who = replica->who;
    if (is_new) {
        who.key = replica->next_key.public_key;
        who.log_key = replica->next_log_key.public_key;
        who.cosigner_key = replica->next_cosigner_key.public_key;
    }
    return who;
}

/* As a plain member: a stranger comes, or a validator leaves the set. */
static int make_member(struct sim *sim, const struct sim_replica *replica, struct buf *out)
{
    struct validator who = describe(replica, has_new_key(sim, replica));
    return request_make_register(admin, next_number(sim), bytes_str(who.id), MEMBER_GATEWAY,
                                 &who.key, &sim->admin_key, &sim->genesis.hash, out);
}

/* The node says which chain it has, and the admin makes it a validator. */
static int make_validator(struct sim *sim, const struct sim_replica *replica, struct buf *out)
{
    bool is_new = has_new_key(sim, replica);
    struct validator who = describe(replica, is_new);
    uint64_t height = chain_height(replica->chain);
    struct hash leaf;
    struct buf join = {0};
    merkle_log_leaf(chain_log(replica->chain), height, &leaf);
    int error = request_make_join(&who, height, &leaf, is_new ? &replica->next_key : &replica->key,
                                  &sim->genesis.hash, &join);
    if (error == 0)
        error = request_make_register_validator(admin, next_number(sim), buf_bytes(&join),
                                                &sim->admin_key, &sim->genesis.hash, out);
    buf_close(&join);
    return error;
}

/* By itself, or, as if the key were lost, by the admin. */
static int make_rotation(struct sim *sim, const struct sim_replica *replica, struct buf *out)
{
    bool is_own = sim_random_below(&sim->random, 2) == 0;
    bool is_validator = sim->parts[replica->index] == SIM_VALIDATOR;
    struct validator who = describe(replica, true);
    return request_make_rotate(is_own ? bytes_str(who.id) : admin, is_own ? 1 : next_number(sim),
                               bytes_str(who.id), is_validator ? &who : NULL, &replica->next_key,
                               is_own ? &replica->key : &sim->admin_key, &sim->genesis.hash, out);
}

static int make_rules(struct sim *sim, struct buf *out)
{
    struct genesis *rules = &sim->rules;
    struct buf value = {0};
    enum configure_what what = CONFIGURE_PARAMETERS;
    if (rules->admin_count == 1 && sim_random_below(&sim->random, 2) == 0) {
        what = CONFIGURE_ADMINS;
        struct genesis_admin *second = &rules->admins[rules->admin_count++];
        snprintf(second->id, sizeof(second->id), "admin/second");
        second->key = sim->second_admin_key.public_key;
        genesis_admins_encode(rules, &value);
    } else {
        rules->parameters.anchor_interval_ms += 1000;
        genesis_parameters_encode(&rules->parameters, &value);
    }
    int error = buf_status(&value);
    if (error == 0)
        error = request_make_configure(admin, next_number(sim), what, buf_bytes(&value),
                                       &sim->admin_key, &sim->genesis.hash, out);
    buf_close(&value);
    return error;
}

/* --- what is asked for next --- */

static bool is_done(const struct sim *sim, const struct sim_change *change)
{
    struct request request;
    const struct chain *chain = sim_clients_look(sim);
    return chain != NULL && request_decode(buf_bytes(&change->wire), &request) == 0 &&
           chain_request_used(chain, request.sender, request.number);
}

static unsigned set_size(const struct sim *sim)
{
    unsigned n = 0;
    for (unsigned i = 0; i < sim->n; i++)
        n += sim->parts[i] == SIM_VALIDATOR;
    return n;
}

/* The change that is under way; NULL. */
static const struct sim_change *under_way(const struct sim *sim)
{
    for (unsigned i = 0; i < sim->change_count; i++)
        if (!is_done(sim, &sim->changes[i]))
            return &sim->changes[i];
    return NULL;
}

/* One whom nothing under way is about, for which `may` is true. NULL: none. */
static struct sim_replica *choose(struct sim *sim, const struct sim_change *other,
                                  bool (*may)(const struct sim *, const struct sim_replica *))
{
    unsigned first = (unsigned)sim_random_below(&sim->random, sim->n);
    for (unsigned k = 0; k < sim->n; k++) {
        struct sim_replica *replica = &sim->replicas[(first + k) % sim->n];
        if ((other == NULL || other->replica != (int)replica->index) && may(sim, replica))
            return replica;
    }
    return NULL;
}

static bool may_grow(const struct sim *sim, const struct sim_replica *replica)
{
    enum sim_part part = sim->parts[replica->index];
    return part == SIM_STRANGER || (part == SIM_MEMBER && replica->is_up);
}

static bool may_leave(const struct sim *sim, const struct sim_replica *replica)
{
    return sim->parts[replica->index] == SIM_VALIDATOR;
}

static bool may_rotate(const struct sim *sim, const struct sim_replica *replica)
{
    enum sim_part part = sim->parts[replica->index];
    return !sim->has_rotated[replica->index] && (part == SIM_VALIDATOR || part == SIM_MEMBER);
}

static int make_larger(struct sim *sim, struct sim_replica *replica, struct sim_change *change)
{
    enum sim_part *part = &sim->parts[replica->index];
    /* Most come as members first, and follow; a few become validators at once. */
    bool joins = *part == SIM_MEMBER || (replica->is_up && sim_random_below(&sim->random, 4) == 0);
    *part = joins ? SIM_VALIDATOR : SIM_MEMBER;
    change->way = joins ? 1 : 0;
    return joins ? make_validator(sim, replica, &change->wire)
                 : make_member(sim, replica, &change->wire);
}

static int make_smaller(struct sim *sim, struct sim_replica *replica, struct sim_change *change)
{
    bool stays = sim_random_below(&sim->random, 2) == 0;
    change->way = -1;
    sim->parts[replica->index] = stays ? SIM_MEMBER : SIM_REVOKED;
    if (stays)
        return make_member(sim, replica, &change->wire);
    return request_make_revoke(admin, next_number(sim), bytes_str(replica->who.id), BYTES_LIT(""),
                               &sim->admin_key, &sim->genesis.hash, &change->wire);
}

/* Something that leaves the set's size as it is. */
static int make_aside(struct sim *sim, const struct sim_change *other, struct sim_change *change)
{
    struct sim_replica *replica = choose(sim, other, may_rotate);
    if (replica == NULL || sim_random_below(&sim->random, 3) == 0)
        return make_rules(sim, &change->wire);
    change->replica = (int)replica->index;
    sim->has_rotated[replica->index] = true;
    return make_rotation(sim, replica, &change->wire);
}

/* A step towards the next size. Two at once are no two ways: the set must not be too small. */
static int make_step(struct sim *sim, const struct sim_change *other, struct sim_change *change)
{
    unsigned n = set_size(sim), target = sim->targets[sim->target];
    int way = n < target ? 1 : -1;
    if (n == target || (other != NULL && other->way == -way))
        return 0;
    struct sim_replica *replica = choose(sim, other, way > 0 ? may_grow : may_leave);
    if (replica == NULL)
        return 0;
    change->replica = (int)replica->index;
    return way > 0 ? make_larger(sim, replica, change) : make_smaller(sim, replica, change);
}

/* Whether there is nobody who could still bring the set nearer to its next size. */
static bool is_reached(const struct sim *sim)
{
    unsigned n = set_size(sim), target = sim->targets[sim->target], revoked = 0;
    for (unsigned i = 0; i < sim->n; i++)
        revoked += sim->parts[i] == SIM_REVOKED;
    return n == target || (n < target && n + revoked == sim->n);
}

static void add_change(struct sim *sim, const struct sim_change *other)
{
    struct sim_change *change = &sim->changes[sim->change_count];
    change->replica = -1;
    int error = sim_random_below(&sim->random, 4) == 0 ? make_aside(sim, other, change)
                                                       : make_step(sim, other, change);
    if (error != 0)
        sim->failed = error;
    else if (change->wire.n != 0)
        sim->change_count++;
}

void sim_membership_act(struct sim *sim)
{
    if (!sim->has_membership)
        return;
    const struct sim_change *other = under_way(sim);
    bool is_alone = true;
    for (unsigned i = 0; i < sim->change_count; i++) {
        const struct sim_change *change = &sim->changes[i];
        if (is_done(sim, change))
            continue;
        is_alone = is_alone && change == other;
        sim_clients_submit(sim, &change->wire);
    }
    if (sim->target == sim->target_count || sim->change_count == SIM_CHANGES_MAX)
        return;
    if (is_reached(sim)) {
        sim->target += other == NULL;
        return;
    }
    if (is_alone && (other == NULL || sim_random_below(&sim->random, 4) == 0))
        add_change(sim, other);
}

bool sim_membership_done(const struct sim *sim)
{
    return (sim->target == sim->target_count || sim->change_count == SIM_CHANGES_MAX) &&
           under_way(sim) == NULL;
}

bool sim_is_told(const struct sim *sim, const struct sim_replica *replica)
{
    struct member member;
    return chain_member(sim->judge, bytes_str(replica->who.id), &member) == 0 &&
           member.status == MEMBER_ACTIVE;
}

void sim_membership_close(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_CHANGES_MAX; i++)
        buf_close(&sim->changes[i].wire);
}
