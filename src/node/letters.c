#include "node/letters.h"

#include <stdlib.h>

#define SAID_QUEUES (VALIDATORS_MAX + 1)

static void queue_init(struct letters_queue *queue)
{
    queue->last = &queue->first;
}

void letters_init(struct letters *letters, uint64_t seed)
{
    *letters = (struct letters){.client.seed = seed};
    for (size_t i = 0; i < SAID_QUEUES; i++)
        queue_init(&letters->said[i]);
    queue_init(&letters->clients);
}

static bool is_of_client(const struct letter *letter)
{
    return letter->kind != LETTER_MESSAGE || letter->message == PBFT_MSG_REQUEST;
}

static bool is_known_peer(const struct letter *letter)
{
    return letter->peer >= 0 && letter->peer < VALIDATORS_MAX;
}

static struct letters_queue *queue_of(struct letters *letters, const struct letter *letter)
{
    if (is_of_client(letter))
        return &letters->clients;
    return &letters->said[is_known_peer(letter) ? letter->peer : VALIDATORS_MAX];
}

/* What all of this kind are on, and how much may be on it. */
static struct tally *tally_of_all(struct letters *letters, const struct letter *letter,
                                  struct tally *most)
{
    size_t share = is_of_client(letter) ? 2 : 1;
    *most = (struct tally){LETTERS_ITEMS_MAX / share, LETTERS_BYTES_MAX / share};
    return is_of_client(letter) ? &letters->clients.all : &letters->all_said;
}

/* Whose tally this letter is on, and how much may be on it; NULL when none. */
static struct tally *tally_of(struct letters *letters, const struct letter *letter,
                              struct tally *most)
{
    if (!is_of_client(letter)) {
        *most = (struct tally){LETTERS_ITEMS_MAX / 2, LETTERS_BYTES_MAX / 2};
        return &queue_of(letters, letter)->all;
    }
    if (letter->kind == LETTER_MESSAGE) {
        *most = (struct tally){LETTERS_ITEMS_MAX / 2 / LETTERS_PASSED_ON_SHARE,
                               LETTERS_BYTES_MAX / 2 / LETTERS_PASSED_ON_SHARE};
        return is_known_peer(letter) ? &letters->passed_on[letter->peer] : NULL;
    }
    *most = (struct tally){LETTERS_CLIENT_ITEMS_MAX, LETTERS_CLIENT_BYTES_MAX};
    return letter->kind == LETTER_REQUEST
               ? tallies_of(&letters->client, bytes_str(letter->client))
               : NULL; /* announcements are limited in their rate before they get here */
}

int letters_put(struct letters *letters, struct letter *letter)
{
    struct letters_queue *queue = queue_of(letters, letter);
    struct tally most_of_all, most;
    struct tally *all = tally_of_all(letters, letter, &most_of_all);
    struct tally *own = tally_of(letters, letter, &most);
    if (!tally_has_room(all, &most_of_all, letter->size) ||
        (own != NULL && !tally_has_room(own, &most, letter->size)))
        return SEALMQ_E_BUSY;
    tally_add(all, letter->size);
    if (own != NULL)
        tally_add(own, letter->size);
    letter->next = NULL;
    *queue->last = letter;
    queue->last = &letter->next;
    return 0;
}

static struct letter *take(struct letters *letters, struct letters_queue *queue)
{
    struct letter *letter = queue->first;
    if (letter == NULL)
        return NULL;
    queue->first = letter->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    struct tally most, *own = tally_of(letters, letter, &most);
    tally_take(tally_of_all(letters, letter, &most), letter->size);
    if (own != NULL)
        tally_take(own, letter->size);
    return letter;
}

struct letter *letters_take_node(struct letters *letters)
{
    for (size_t i = 0; i < SAID_QUEUES && letters->all_said.items != 0; i++) {
        struct letter *letter = take(letters, &letters->said[letters->turn]);
        letters->turn = (letters->turn + 1) % SAID_QUEUES;
        if (letter != NULL)
            return letter;
    }
    return NULL;
}

struct letter *letters_take_client(struct letters *letters)
{
    return take(letters, &letters->clients);
}

void letters_close(struct letters *letters)
{
    struct letter *letter;
    while ((letter = letters_take_node(letters)) != NULL)
        free(letter);
    while ((letter = letters_take_client(letters)) != NULL)
        free(letter);
}
