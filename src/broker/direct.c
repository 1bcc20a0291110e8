/* Shards that one thread runs: a message goes from one to the other at once, without a parcel.
 *
 * The other shard is entered at the first message and left when the outermost call of this one has
 * been left: so connections end, and the host is told, when nobody is in the middle of anything.
 * What happens in there (wills, mostly) goes by parcel, which keeps two shards from calling each
 * other without end.
 *
 * Order: while a parcel for the other shard has items, messages go there too, behind them. What
 * somebody waits for until it is stored goes by parcel anyway, since parcels carry the word that it
 * is (storing.c); so do retained messages and those for groups. */
#include "broker/broker_int.h"

static uint64_t bit_of(const struct broker *b)
{
    return UINT64_C(1) << b->shard;
}

void broker_direct_begin(struct broker *b, struct broker *other)
{
    ASSERT(b != other && b->shards == other->shards);
    ASSERT(b->key.k0 == other->key.k0 && b->key.k1 == other->key.k1);
    b->outboxes[other->shard].direct = other;
    b->direct_shards |= bit_of(other);
}

void broker_direct_end(struct broker *b, struct broker *other)
{
    ASSERT((b->entered_shards & bit_of(other)) == 0);
    b->outboxes[other->shard].direct = NULL;
    b->direct_shards &= ~bit_of(other);
}

/* Whether a message may go past the outbox. A shard that is in the middle of something else is left
 * alone. */
static bool is_free(const struct broker *b, unsigned shard)
{
    bool is_entered = (b->entered_shards >> shard & 1) != 0;
    return parcel_is_empty(b, shard) && (is_entered || b->outboxes[shard].direct->depth == 0);
}

uint64_t direct_shards(const struct broker *b, uint64_t shards)
{
    uint64_t direct = shards & b->direct_shards;
    if (direct == 0 || b->is_visited || b->is_leaving)
        return 0;
    for (uint64_t rest = direct; rest != 0; rest &= rest - 1) {
        unsigned shard = (unsigned)__builtin_ctzll(rest);
        if (!is_free(b, shard))
            direct &= ~(UINT64_C(1) << shard);
    }
    return direct;
}

static struct broker *enter(struct broker *b, unsigned shard)
{
    struct broker *other = b->outboxes[shard].direct;
    uint64_t bit = UINT64_C(1) << shard;
    if ((b->entered_shards & bit) == 0) {
        b->entered_shards |= bit;
        broker_enter(other, b->now_ms);
    }
    return other;
}

void direct_deliver(struct broker *b, uint64_t shards, struct publication *p)
{
    for (; shards != 0; shards &= shards - 1) {
        struct broker *other = enter(b, (unsigned)__builtin_ctzll(shards));
        parcel_receive_message(other, p);
        pace_publisher(b, p->view.publisher, pace_pressure_ms(other));
    }
}

void direct_leave(struct broker *b)
{
    while (b->entered_shards != 0) {
        unsigned shard = (unsigned)__builtin_ctzll(b->entered_shards);
        b->entered_shards &= b->entered_shards - 1;
        broker_leave(b->outboxes[shard].direct);
    }
}
