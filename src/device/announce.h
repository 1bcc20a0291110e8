/* Announcements on chain/<network>/announce: an id that is not registered shows its public key.
 *
 *   {"id":"plant-a/gw1","key":"<base64, 32 bytes>","sign":"<base64, 64 bytes>"}
 *
 * The signature is by that very key, over str8 id || key, with label ANNOUNCE_LABEL: it shows that
 * the announcer holds the key and means this network. Whether the id deserves it is for an operator
 * to say. */
#ifndef SEALMQ_DEVICE_ANNOUNCE_H
#define SEALMQ_DEVICE_ANNOUNCE_H

#include "base/limits.h"
#include "crypto/sign.h"

#define ANNOUNCE_LABEL     "sealmq/announce/1"
#define ANNOUNCE_BYTES_MAX 1024

SEALMQ_MUST_CHECK int announce_format(const char *id, const struct sign_key *key,
                                      const struct hash *genesis, struct buf *out);
/* SEALMQ_E_PARSE, _LIMIT, _SIGNATURE. */
SEALMQ_MUST_CHECK int announce_parse(struct bytes json, const struct hash *genesis,
                                     char id[ID_MAX + 1], struct public_key *key);

#endif
