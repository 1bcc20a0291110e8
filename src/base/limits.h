/* The limits of what SealMQ accepts, each with its reason. Limits that an operator may want to move
 * are defaults here and options in the configuration; those that are part of a format are fixed. */
#ifndef SEALMQ_BASE_LIMITS_H
#define SEALMQ_BASE_LIMITS_H

/* Parts of formats: the same in every network. */
#define ID_WORD_MAX      64                    /* one word of an id */
#define ID_MAX           (2 * ID_WORD_MAX + 1) /* "word/word" */
#define NETWORK_MAX      32                    /* a network's name */
#define NAME_MAX_BYTES   64                    /* a device id, service id or item name */
#define UNIT_MAX_BYTES   32                    /* a unit */
#define VALUE_MAX_BYTES  4096                  /* one value as text */
#define TOPIC_MAX_BYTES  1024                  /* a report's topic below the gateway's id */
#define TOPIC_MAX_LEVELS 61 /* of it: the id, at most two, and one for the answer make 64 */
#define URL_MAX_BYTES    255
#define VALIDATORS_MAX   128
#define VALIDATORS_MIN   4     /* a set is not made smaller than this */
#define JOIN_BLOCKS      10000 /* a joiner has seen one of so many last headers */
#define ADMINS_MAX       16
#define MEMBERS_MAX      65536 /* ids ever registered in one network */

/* One report. */
#define REPORT_ROWS_MAX  65536             /* rows of one report */
#define REPORT_BYTES_MAX (8 * 1024 * 1024) /* its JSON, decompressed */
#define JSON_DEPTH_MAX   16
#define JSON_VALUES_MAX  (1024 * 1024) /* each costs some 80 bytes when parsed */

/* One block write request, and one block. */
#define REQUEST_RECORDS_MAX    4096
#define REQUEST_LEAVES_MAX     65536 /* leaves of a history interval */
#define REQUEST_ITEMS_MAX      1024  /* items that one request describes */
#define REQUEST_BYTES_MAX      (4 * 1024 * 1024)
#define REQUEST_WINDOW         64 /* request numbers a sender may be ahead of its oldest gap */
#define BLOCK_REQUESTS_MAX     4096
#define BLOCK_BYTES_MAX        (8 * 1024 * 1024) /* requests of a block; one request always fits */
#define PENDING_MAX            4096              /* reports of one gateway pending on the chain */
#define GATEWAY_ITEMS_MAX      16384             /* items that one gateway may describe, ever */
#define SEQUENCE_MAX           INT64_MAX /* request and capture numbers: databases sign theirs */
#define DIFFICULTY_MAX         48        /* leading zero bits: more is not work but a standstill */
#define ANCHOR_INTERVAL_MAX_MS (24 * 60 * 60 * 1000)

/* Waiting requests: count and bytes, in all and of one sender. */
#define MEMPOOL_REQUESTS_MAX        65536
#define MEMPOOL_BYTES_MAX           (64 * 1024 * 1024)
#define MEMPOOL_SENDER_REQUESTS_MAX REQUEST_WINDOW
#define MEMPOOL_SENDER_BYTES_MAX    (8 * 1024 * 1024)

#endif
