/* Topic aliases towards one client (5.0 section 3.3.2.3.4): short numbers for the topics that it is
 * sent often. A topic gets a number when there is a free one; when there is none, a topic that
 * comes twice takes the place of another.
 *
 * An alias holds for the connection on which it was sent with its topic, and for no other; so the
 * table belongs to the connection. */
#ifndef SEALMQ_BROKER_ALIAS_H
#define SEALMQ_BROKER_ALIAS_H

#include "base/bytes.h"

#define ALIASES_MAX           64  /* for one client: they are searched one by one */
#define ALIAS_TOPIC_BYTES_MIN 4   /* shorter topics gain nothing */
#define ALIAS_TOPIC_BYTES_MAX 512 /* longer ones are not kept */

struct aliases;

struct alias {
    uint16_t number; /* 0: none, the topic is to be sent as it is */
    bool is_known;   /* to the client: it needs no topic */
};

/* The alias for a topic. `hash` is the topic's; `most` (at most ALIASES_MAX) is the same for all
 * calls with one *table, which is made when it is NULL. */
struct alias aliases_choose(struct aliases **table, uint16_t most, uint64_t hash,
                            struct bytes topic);
/* The alias that was chosen last has been sent with its topic. */
void aliases_sent(struct aliases *table, uint16_t number);
void aliases_free(struct aliases *table);

#endif
