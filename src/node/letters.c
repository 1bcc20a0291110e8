#include "node/letters.h"

#include <stdlib.h>

void letters_init(struct letters *letters, uint64_t seed)
{
    *letters = (struct letters){.seed = seed};
    letters->nodes.last = &letters->nodes.first;
    letters->clients.last = &letters->clients.first;
}

static bool is_of_client(const struct letter *letter)
{
    return letter->kind != LETTER_MESSAGE || letter->message == PBFT_MSG_REQUEST;
}

static size_t client_slot(const struct letters *letters, const char *client)
{
    uint64_t hash = letters->seed;
    for (; *client != '\0'; client++) {
        hash = (hash ^ (uint8_t)*client) * UINT64_C(0x100000001b3);
        hash ^= hash >> 29;
    }
    return hash % LETTERS_CLIENT_TALLIES;
}

/* Whose tally this letter is on, and how much may be on it. */
static struct letters_tally *tally_of(struct letters *letters, const struct letter *letter,
                                      struct letters_tally *most)
{
    bool is_known_peer = letter->peer >= 0 && letter->peer < VALIDATORS_MAX;
    if (!is_of_client(letter)) {
        *most = (struct letters_tally){LETTERS_ITEMS_MAX / 2, LETTERS_BYTES_MAX / 2};
        return is_known_peer ? &letters->said[letter->peer] : NULL;
    }
    if (letter->kind == LETTER_MESSAGE) {
        *most = (struct letters_tally){LETTERS_ITEMS_MAX / 2 / LETTERS_PASSED_ON_SHARE,
                                       LETTERS_BYTES_MAX / 2 / LETTERS_PASSED_ON_SHARE};
        return is_known_peer ? &letters->passed_on[letter->peer] : NULL;
    }
    *most = (struct letters_tally){LETTERS_CLIENT_ITEMS_MAX, LETTERS_CLIENT_BYTES_MAX};
    return letter->kind == LETTER_REQUEST
               ? &letters->client[client_slot(letters, letter->client)]
               : NULL; /* announcements are limited in their rate before they get here */
}

static bool has_room(const struct letters_tally *tally, const struct letters_tally *most,
                     const struct letter *letter)
{
    return tally->items < most->items && tally->bytes + letter->size <= most->bytes;
}

static void count(struct letters_tally *tally, const struct letter *letter)
{
    tally->items++;
    tally->bytes += letter->size;
}

static void discount(struct letters_tally *tally, const struct letter *letter)
{
    tally->items--;
    tally->bytes -= letter->size;
}

int letters_put(struct letters *letters, struct letter *letter)
{
    size_t share = is_of_client(letter) ? 2 : 1;
    struct letters_queue *queue = is_of_client(letter) ? &letters->clients : &letters->nodes;
    const struct letters_tally room = {LETTERS_ITEMS_MAX / share, LETTERS_BYTES_MAX / share};
    struct letters_tally most, *own = tally_of(letters, letter, &most);
    if (!has_room(&queue->all, &room, letter) || (own != NULL && !has_room(own, &most, letter)))
        return SEALMQ_E_BUSY;
    count(&queue->all, letter);
    if (own != NULL)
        count(own, letter);
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
    struct letters_tally most, *own = tally_of(letters, letter, &most);
    discount(&queue->all, letter);
    if (own != NULL)
        discount(own, letter);
    return letter;
}

struct letter *letters_take_node(struct letters *letters)
{
    return take(letters, &letters->nodes);
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
