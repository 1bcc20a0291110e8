/* Clients: an admin that registers gateways, and gateways that describe their items and then write
 * records. Each sends what is not on the chain yet to some replicas, again and again. A client
 * knows what is on the chain by looking, as with receipts. */
#include "sim/sim_int.h"

#include <stdio.h>
#include <stdlib.h>

#define ACT_EVERY_US 150000

static int make_registration(struct sim *sim, unsigned i)
{
    const struct sim_gateway *gateway = &sim->gateways[i];
    return request_make_register(BYTES_LIT("admin/root"), i + 1, bytes_str(gateway->id),
                                 MEMBER_GATEWAY, &gateway->key.public_key, &sim->admin_key,
                                 &sim->genesis.hash, &sim->registrations[i]);
}

int sim_clients_start(struct sim *sim)
{
    sim->gateway_count = (unsigned)sim_random_between(&sim->random, 1, SIM_GATEWAYS_MAX);
    for (unsigned i = 0; i < sim->gateway_count; i++) {
        struct sim_gateway *gateway = &sim->gateways[i];
        uint8_t seed[SEED_SIZE];
        sim_random_bytes(&sim->random, seed, sizeof(seed));
        sign_key_from_seed(seed, &gateway->key);
        snprintf(gateway->id, sizeof(gateway->id), "devices/g%u", i);
        gateway->total = (unsigned)sim_random_between(&sim->random, 2, 8);
        gateway->requests = calloc(gateway->total, sizeof(*gateway->requests));
        if (gateway->requests == NULL)
            return SEALMQ_E_NOMEM;
        int error = make_registration(sim, i);
        if (error != 0)
            return error;
    }
    sim_put(sim, (struct sim_event){.at_us = sim->now_us, .kind = SIM_CLIENTS});
    return 0;
}

/* About one report, which is the next one when it is `report`. */
static int make_request(struct sim *sim, struct sim_gateway *gateway, uint64_t number,
                        uint64_t report, struct buf *out)
{
    struct bytes id = bytes_str(gateway->id);
    if (number == 1) {
        struct item item = {.num = 1, .type = DATATYPE_INT};
        item.device = item.service = item.name = BYTES_LIT("x");
        item.unit = BYTES_LIT("1");
        return request_make_describe(id, number, &item, 1, &gateway->key, &sim->genesis.hash, out);
    }
    char value[24];
    snprintf(value, sizeof(value), "%llu", (unsigned long long)(sim->now_us / 1000));
    struct record record = {
        .gateway = id, .device = BYTES_LIT("x"), .num = 1, .value = bytes_str(value)};
    record.time_us = INT64_C(1700000000000000) + (int64_t)number * 1000000;
    struct interval_leaf leaf = {.n = report, .status = LEAF_ACKNOWLEDGED};
    leaf.node = bytes_str(sim->genesis.validators.v[0].id);
    sim_random_bytes(&sim->random, leaf.report.b, HASH_SIZE);
    struct request_data data = {.sender = id,
                                .number = number,
                                .records = &record,
                                .record_count = 1,
                                .from = report,
                                .to = report,
                                .leaves = &leaf,
                                .leaf_count = 1};
    return request_make_data(&data, &gateway->key, &sim->genesis.hash, out);
}

static int make_next(struct sim *sim, struct sim_gateway *gateway)
{
    uint64_t number = ++gateway->made;
    int error = make_request(sim, gateway, number, number - 1, &gateway->requests[number - 1]);
    if (error == 0 && number == 2 && sim->result->liars > 0)
        error = make_request(sim, gateway, gateway->total + 1, 1000, &gateway->bad);
    return error;
}

const struct chain *sim_clients_look(const struct sim *sim)
{
    const struct chain *best = NULL;
    for (unsigned i = 0; i < sim->n; i++) {
        const struct sim_replica *replica = &sim->replicas[i];
        if (replica->is_up && !replica->is_liar &&
            (best == NULL || chain_height(replica->chain) > chain_height(best)))
            best = replica->chain;
    }
    return best;
}

void sim_clients_submit(struct sim *sim, const struct buf *wire)
{
    uint64_t count = sim_random_between(&sim->random, 1, sim->f + 1);
    unsigned first = (unsigned)sim_random_below(&sim->random, sim->n);
    for (unsigned k = 0; k < count; k++) {
        struct sim_replica *replica = &sim->replicas[(first + k) % sim->n];
        struct request request;
        if (!replica->is_up || request_decode(buf_bytes(wire), &request) != 0 ||
            chain_check_signatures(replica->chain, &request) != 0)
            continue; /* not reached, or refused by this node for now */
        struct pbft_event step = {.kind = PBFT_EVENT_REQUEST, .request = buf_bytes(wire)};
        sim_replica_step(sim, replica, &step);
    }
}

static bool is_done(const struct chain *chain, const char *sender, uint64_t number)
{
    return chain != NULL && chain_request_used(chain, bytes_str(sender), number);
}

void sim_clients_act(struct sim *sim)
{
    for (unsigned i = 0; i < sim->gateway_count; i++) {
        struct sim_gateway *gateway = &sim->gateways[i];
        if (!is_done(sim_clients_look(sim), "admin/root", i + 1)) {
            sim_clients_submit(sim, &sim->registrations[i]);
            continue;
        }
        if (gateway->made < gateway->total && (sim->now_us >= gateway->next_us || sim->is_healed)) {
            int error = make_next(sim, gateway);
            if (error != 0) {
                sim->failed = error;
                return;
            }
            gateway->next_us = sim->now_us + sim_random_below(&sim->random, 3000000);
        }
        for (unsigned k = 0; k < gateway->made; k++)
            if (!is_done(sim_clients_look(sim), gateway->id, k + 1))
                sim_clients_submit(sim, &gateway->requests[k]);
    }
    sim_membership_act(sim);
    sim_put(sim, (struct sim_event){.at_us = sim->now_us + ACT_EVERY_US +
                                             sim_random_below(&sim->random, 4 * ACT_EVERY_US),
                                    .kind = SIM_CLIENTS});
}

/* A client looks at what a replica shows, takes it if the quorum of validators has signed it, and
 * holds everyone to it from then on. */
void sim_clients_receipt(struct sim *sim, const struct sim_replica *replica, struct bytes note)
{
    struct checkpoint checkpoint;
    if (sim_check_checkpoint(sim, note, &checkpoint) != 0) {
        if (!replica->is_liar)
            sim_broken(sim, "receipts", "replica %u shows a checkpoint that is none",
                       replica->index);
        sim_mark(sim, SIM_MARK_FALSE_RECEIPT);
        return;
    }
    sim_mark(sim, SIM_MARK_RECEIPT);
    for (size_t i = 0; i < sim->receipt_count; i++) {
        if (sim->receipts[i].size != checkpoint.size)
            continue;
        if (!hash_equal(&sim->receipts[i].root, &checkpoint.root))
            sim_broken(sim, "receipts", "two checkpoints of size %llu",
                       (unsigned long long)checkpoint.size);
        return;
    }
    if (sim->receipt_count == sim->receipt_capacity) {
        size_t capacity = sim->receipt_capacity == 0 ? 32 : 2 * sim->receipt_capacity;
        struct sim_receipt *receipts = realloc(sim->receipts, capacity * sizeof(*receipts));
        if (receipts == NULL) {
            sim->failed = SEALMQ_E_NOMEM;
            return;
        }
        sim->receipts = receipts;
        sim->receipt_capacity = capacity;
    }
    sim->receipts[sim->receipt_count++] =
        (struct sim_receipt){.size = checkpoint.size, .root = checkpoint.root};
}

size_t sim_clients_waiting(const struct sim *sim, const struct chain *chain, struct bytes *out,
                           size_t max)
{
    size_t n = 0;
    for (unsigned i = 0; i < sim->gateway_count; i++) {
        const struct sim_gateway *gateway = &sim->gateways[i];
        if (!is_done(chain, "admin/root", i + 1)) {
            if (n < max)
                out[n++] = buf_bytes(&sim->registrations[i]);
            continue; /* its own come after it */
        }
        for (unsigned k = 0; k < gateway->made && n < max; k++)
            if (!is_done(chain, gateway->id, k + 1))
                out[n++] = buf_bytes(&gateway->requests[k]);
    }
    return n;
}

bool sim_clients_served(struct sim *sim)
{
    const struct chain *chain = sim_clients_look(sim);
    for (unsigned i = 0; i < sim->gateway_count; i++) {
        const struct sim_gateway *gateway = &sim->gateways[i];
        if (!is_done(chain, "admin/root", i + 1))
            return false;
        for (unsigned k = 0; k < gateway->total; k++)
            if (!is_done(chain, gateway->id, k + 1))
                return false;
    }
    return sim_membership_done(sim);
}

void sim_clients_close(struct sim *sim)
{
    for (unsigned i = 0; i < sim->gateway_count; i++) {
        struct sim_gateway *gateway = &sim->gateways[i];
        for (unsigned k = 0; k < gateway->total && gateway->requests != NULL; k++)
            buf_close(&gateway->requests[k]);
        free(gateway->requests);
        buf_close(&gateway->bad);
        buf_close(&sim->registrations[i]);
    }
}
