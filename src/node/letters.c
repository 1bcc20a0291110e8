#include "node/letters.h"

#include <stdlib.h>

void letters_init(struct letters *letters, uint64_t seed)
{
    *letters = (struct letters){.client.seed = seed};
    letters->nodes.last = &letters->nodes.first;
    letters->clients.last = &letters->clients.first;
}

static bool is_of_client(const struct letter *letter)
{
    return letter->kind != LETTER_MESSAGE || letter->message == PBFT_MSG_REQUEST;
}

/* Whose tally this letter is on, and how much may be on it. */
static struct tally *tally_of(struct letters *letters, const struct letter *letter,
                              struct tally *most)
{
    bool is_known_peer = letter->peer >= 0 && letter->peer < VALIDATORS_MAX;
    if (!is_of_client(letter)) {
        *most = (struct tally){LETTERS_ITEMS_MAX / 2, LETTERS_BYTES_MAX / 2};
        return is_known_peer ? &letters->said[letter->peer] : NULL;
    }
    if (letter->kind == LETTER_MESSAGE) {
        *most = (struct tally){LETTERS_ITEMS_MAX / 2 / LETTERS_PASSED_ON_SHARE,
                               LETTERS_BYTES_MAX / 2 / LETTERS_PASSED_ON_SHARE};
        return is_known_peer ? &letters->passed_on[letter->peer] : NULL;
    }
    *most = (struct tally){LETTERS_CLIENT_ITEMS_MAX, LETTERS_CLIENT_BYTES_MAX};
    return letter->kind == LETTER_REQUEST
               ? tallies_of(&letters->client, bytes_str(letter->client))
               : NULL; /* announcements are limited in their rate before they get here */
}

int letters_put(struct letters *letters, struct letter *letter)
{
    size_t share = is_of_client(letter) ? 2 : 1;
    struct letters_queue *queue = is_of_client(letter) ? &letters->clients : &letters->nodes;
    const struct tally room = {LETTERS_ITEMS_MAX / share, LETTERS_BYTES_MAX / share};
    struct tally most, *own = tally_of(letters, letter, &most);
    if (!tally_has_room(&queue->all, &room, letter->size) ||
        (own != NULL && !tally_has_room(own, &most, letter->size)))
        return SEALMQ_E_BUSY;
    tally_add(&queue->all, letter->size);
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
    tally_take(&queue->all, letter->size);
    if (own != NULL)
        tally_take(own, letter->size);
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
