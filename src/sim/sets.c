/* Who decides each block. What is agreed goes through a chain of the simulator's own, which says
 * the set of every height: the rules are checked by that, and not by the genesis. */
#include "sim/sim_int.h"

#include <stdlib.h>

static int add_policy(struct sim *sim)
{
    struct buf text = {0};
    struct policy *policy = NULL;
    unsigned line;
    char why[128];
    int error = policy_format(sim->genesis.network, chain_validators(sim->judge), &text);
    if (error == 0)
        error = policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why));
    buf_close(&text);
    if (error == 0 &&
        !sim_grow(&sim->policies, sim->policy_count, &sim->policy_capacity, sizeof(*sim->policies)))
        error = SEALMQ_E_NOMEM;
    if (error != 0)
        policy_free(policy);
    else
        sim->policies[sim->policy_count++] =
            (struct sim_policy){chain_height(sim->judge) + 1, policy};
    return error;
}

/* The set of the next height; `has_changed`: it, or keys in it, are others than before. */
static int add_set(struct sim *sim, bool has_changed)
{
    uint64_t height = chain_height(sim->judge) + 1;
    if (!sim_grow(&sim->sets, height - 1, &sim->set_capacity, sizeof(*sim->sets)))
        return SEALMQ_E_NOMEM;
    const struct validator_set *set = chain_validators(sim->judge);
    struct sim_set *out = &sim->sets[height - 1];
    *out = (struct sim_set){0};
    for (unsigned i = 0; i < sim->n; i++) {
        int at = validator_set_find(set, bytes_str(sim->replicas[i].who.id));
        if (at >= 0) {
            ASSERT(at < SIM_NODES_MAX);
            out->replicas[at] = (uint8_t)i;
            out->n++;
        }
    }
    ASSERT(out->n == set->n);
    return has_changed ? add_policy(sim) : 0;
}

int sim_sets_start(struct sim *sim)
{
    int error = chain_new(&sim->genesis, &sim->judge);
    return error != 0 ? error : add_set(sim, true);
}

static void mark_change(struct sim *sim)
{
    sim_mark(sim, SIM_MARK_SET_CHANGED);
    size_t newest = chain_height(sim->judge);
    if (sim->sets[newest].n != 4 || sim->sets[newest - 1].n == 4)
        return;
    for (size_t i = 0; i < newest; i++) {
        if (sim->sets[i].n == 7) {
            sim_mark(sim, SIM_MARK_SEVEN_TO_FOUR);
            return;
        }
    }
}

void sim_sets_add(struct sim *sim, const struct block *block, struct bytes wire)
{
    struct certificate certificate;
    struct hash before = *chain_validators_hash(sim->judge);
    int error = certificate_decode(wire, &certificate);
    if (error == 0)
        error = certificate_verify(&certificate, COMMIT_LABEL, chain_validators(sim->judge),
                                   &sim->genesis.hash);
    if (error == 0 && !hash_equal(&certificate.header, &block->hash))
        error = SEALMQ_E_CORRUPT;
    if (error == 0)
        error = chain_append(sim->judge, block);
    bool has_changed = !hash_equal(&before, chain_validators_hash(sim->judge));
    if (error == 0)
        error = add_set(sim, has_changed);
    if (error == SEALMQ_E_NOMEM)
        sim->failed = error;
    else if (error != 0)
        sim_broken(sim, "validity", "the block at height %llu is final, and not valid: %s",
                   (unsigned long long)block->header.height, sealmq_error_text(error));
    else if (has_changed)
        mark_change(sim);
}

const struct sim_set *sim_set_at(const struct sim *sim, uint64_t height)
{
    uint64_t newest = chain_height(sim->judge) + 1;
    ASSERT(height >= 1);
    return &sim->sets[(height < newest ? height : newest) - 1];
}

struct sim_replica *sim_member_at(struct sim *sim, uint64_t height, int index)
{
    const struct sim_set *set = sim_set_at(sim, height);
    return index >= 0 && (unsigned)index < set->n ? &sim->replicas[set->replicas[index]] : NULL;
}

bool sim_is_validator(const struct sim *sim, uint64_t height, const struct sim_replica *replica)
{
    const struct sim_set *set = sim_set_at(sim, height);
    for (unsigned i = 0; i < set->n; i++)
        if (set->replicas[i] == replica->index)
            return true;
    return false;
}

bool sim_changes_set(const struct sim *sim, uint64_t height)
{
    for (size_t i = 1; i < sim->policy_count; i++)
        if (sim->policies[i].from == height + 1)
            return true;
    return false;
}

/* A log of size s ends with the block at s - 1, and the set after it says so. */
int sim_check_checkpoint(const struct sim *sim, struct bytes note, struct checkpoint *out)
{
    struct bytes text, signatures;
    int error = checkpoint_parse(note, out, &text, &signatures);
    if (error != 0)
        return error;
    size_t at = sim->policy_count - 1;
    while (at > 0 && sim->policies[at].from > out->size)
        at--;
    return policy_check_note(sim->policies[at].policy, note, out, NULL);
}

void sim_sets_close(struct sim *sim)
{
    for (size_t i = 0; i < sim->policy_count; i++)
        policy_free(sim->policies[i].policy);
    free(sim->policies);
    free(sim->sets);
    chain_free(sim->judge);
}
