/* Trust policies: which files are policies, and which notes satisfy them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/note.h"
#include "lib/vectors.h"

#define KEYS 8

static cJSON *vectors;
static struct sign_key keys[KEYS];
static char log_vkey[256], vkeys[KEYS][256]; /* key 0 is the log's, and a witness's too */
static struct checkpoint checkpoint;

static void vkey(const char *name, uint8_t algorithm, const struct sign_key *key, char out[256])
{
    struct buf b = {0};
    note_vkey_format(bytes_str(name), algorithm, &key->public_key, &b);
    assert_int_equal(bytes_to_cstr(buf_bytes(&b), out, 256), 0);
    buf_close(&b);
}

static int setup(void **state)
{
    (void)state;
    if (crypto_init() != 0)
        return -1;
    vectors = vectors_load("note.json");
    checkpoint_origin("plant", checkpoint.origin);
    checkpoint.size = 42;
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t seed[SEED_SIZE] = {(uint8_t)(i + 1)};
        char name[32];
        sign_key_from_seed(seed, &keys[i]);
        (void)snprintf(name, sizeof(name), "witness.example/%zu", i);
        vkey(name, NOTE_COSIGNATURE, &keys[i], vkeys[i]);
    }
    vkey("sealmq/plant", NOTE_ED25519, &keys[0], log_vkey);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(vectors);
    return 0;
}

/* The text with "%L" replaced by the log's key and "%0" to "%7" by witnesses' keys. */
static void expand(const char *format, struct buf *out)
{
    for (; *format != '\0'; format++) {
        if (*format != '%')
            buf_append_u8(out, (uint8_t)*format);
        else if (*++format == 'L')
            buf_append_cstr(out, log_vkey);
        else
            buf_append_cstr(out, vkeys[*format - '0']);
    }
}

static struct policy *parsed(const char *format)
{
    struct buf text = {0};
    struct policy *policy = NULL;
    unsigned line = 0;
    char why[128];
    expand(format, &text);
    if (policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why)) != 0)
        fail_msg("line %u: %s", line, why);
    buf_close(&text);
    return policy;
}

/* The line that a witness puts under the checkpoint. */
static void append_cosignature(struct buf *note, size_t witness, uint64_t time_s)
{
    struct buf message = {0}, tagged = {0};
    struct signature signature;
    char name[32];
    uint8_t id[4];
    (void)snprintf(name, sizeof(name), "witness.example/%zu", witness);
    note_key_id(bytes_str(name), NOTE_COSIGNATURE, &keys[witness].public_key, id);
    buf_printf(&message, "cosignature/v1\ntime %llu\n", (unsigned long long)time_s);
    checkpoint_format(&checkpoint, &message);
    sign_raw(&keys[witness], buf_bytes(&message), &signature);
    buf_append(&tagged, id, sizeof(id));
    buf_append_u64(&tagged, time_s);
    buf_append(&tagged, signature.b, SIGNATURE_SIZE);
    buf_printf(note, "\xe2\x80\x94 %s ", name);
    base64_append(note, buf_bytes(&tagged));
    buf_append_u8(note, '\n');
    buf_close(&message);
    buf_close(&tagged);
}

static void append_log_line(struct buf *note)
{
    struct buf text = {0}, tagged = {0};
    struct signature signature;
    uint8_t id[4];
    note_key_id(BYTES_LIT("sealmq/plant"), NOTE_ED25519, &keys[0].public_key, id);
    checkpoint_format(&checkpoint, &text);
    sign_raw(&keys[0], buf_bytes(&text), &signature);
    buf_append(&tagged, id, sizeof(id));
    buf_append(&tagged, signature.b, SIGNATURE_SIZE);
    buf_append_cstr(note, "\xe2\x80\x94 sealmq/plant ");
    base64_append(note, buf_bytes(&tagged));
    buf_append_u8(note, '\n');
    buf_close(&text);
    buf_close(&tagged);
}

/* A note signed by the log, and cosigned by those whose digits are in `witnesses`. */
static struct buf noted(const char *witnesses)
{
    struct buf note = {0};
    checkpoint_format(&checkpoint, &note);
    buf_append_u8(&note, '\n');
    append_log_line(&note);
    for (; *witnesses != '\0'; witnesses++)
        append_cosignature(&note, (size_t)(*witnesses - '0'), 1000 + (uint64_t)*witnesses - '0');
    assert_int_equal(buf_status(&note), 0);
    return note;
}

static int check(const struct policy *policy, const char *witnesses)
{
    struct buf note = noted(witnesses);
    struct checkpoint read;
    int error = policy_check_note(policy, buf_bytes(&note), &read, NULL);
    assert_int_equal(read.size, error == 0 ? 42 : 0);
    buf_close(&note);
    return error;
}

static void a_validator_sets_policy_is_the_frozen_one_and_works(void **state)
{
    (void)state;
    struct validator_set set = {0};
    struct buf note = {0};
    buf_append_bytes(&note, vector_text(vectors, "text"));
    buf_append_u8(&note, '\n');
    const cJSON *entry;
    cJSON_ArrayForEach(entry, vector_array(vectors, "validators"))
    {
        struct validator *who = &set.v[set.n];
        struct sign_key key;
        uint8_t seed[SEED_SIZE];
        assert_int_equal(bytes_to_cstr(vector_text(entry, "id"), who->id, sizeof(who->id)), 0);
        vector_hex_exact(entry, "log_seed", seed, sizeof(seed));
        sign_key_from_seed(seed, &key);
        who->log_key = key.public_key;
        vector_hex_exact(entry, "cosigner_seed", seed, sizeof(seed));
        sign_key_from_seed(seed, &key);
        who->cosigner_key = key.public_key;
        if (++set.n != 2) /* three of the four */
            buf_append_bytes(&note, vector_text(entry, "lines"));
    }
    struct buf text = {0};
    assert_int_equal(policy_format("plant", &set, &text), 0);
    assert_true(bytes_equal(buf_bytes(&text), vector_text(vectors, "policy")));
    struct policy *policy = NULL;
    unsigned line;
    char why[128];
    assert_int_equal(policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why)), 0);
    struct checkpoint read;
    struct policy_result result;
    assert_int_equal(policy_check_note(policy, buf_bytes(&note), &read, &result), 0);
    assert_int_equal(read.size, 42);
    assert_int_equal(result.cosigner_count, 3);
    assert_string_equal(result.cosigners[0], "sealmq/plant/broker/a");
    assert_string_equal(result.cosigners[1], "sealmq/plant/broker/c");
    assert_int_equal(result.earliest_s, vector_u64(vectors, "time"));
    assert_int_equal(result.latest_s, vector_u64(vectors, "time") + 3);
    policy_free(policy);
    buf_close(&text);
    buf_close(&note);

    assert_int_equal(policy_format("Plant", &set, &text), SEALMQ_E_ARG);
    set.n = 0;
    assert_int_equal(policy_format("plant", &set, &text), SEALMQ_E_ARG);
    assert_int_equal(text.n, 0);
}

static void the_largest_set_has_a_policy_and_a_note(void **state)
{
    (void)state;
    static struct validator_set set;
    static struct sign_key log_key, cosigner_key;
    struct buf note = {0}, text = {0};
    char word[ID_WORD_MAX + 1] = {0};
    memset(word, 'x', ID_WORD_MAX - 3);
    memset(&checkpoint.origin[7], 'n', NETWORK_MAX);
    checkpoint_format(&checkpoint, &note);
    buf_append_u8(&note, '\n');
    set.n = VALIDATORS_MAX;
    for (size_t i = 0; i < set.n; i++) {
        uint8_t seed[SEED_SIZE] = {1, (uint8_t)i};
        struct buf id = {0};
        buf_printf(&id, "%s000/%s%03zu", word, word, i);
        assert_int_equal(bytes_to_cstr(buf_bytes(&id), set.v[i].id, sizeof(set.v[i].id)), 0);
        buf_close(&id);
        sign_key_from_seed(seed, &log_key);
        seed[0] = 2;
        sign_key_from_seed(seed, &cosigner_key);
        set.v[i].log_key = log_key.public_key;
        set.v[i].cosigner_key = cosigner_key.public_key;
        checkpoint_sign(&checkpoint, &set.v[i], &log_key, &cosigner_key, INT64_MAX, &note);
    }
    assert_int_equal(buf_status(&note), 0);
    assert_in_range(note.n, 1, NOTE_BYTES_MAX);
    assert_int_equal(policy_format(&checkpoint.origin[7], &set, &text), 0);
    assert_in_range(text.n, 1, POLICY_BYTES_MAX);
    struct policy *policy = NULL;
    unsigned line;
    char why[128];
    assert_int_equal(policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why)), 0);
    struct checkpoint read;
    struct policy_result result;
    assert_int_equal(policy_check_note(policy, buf_bytes(&note), &read, &result), 0);
    assert_int_equal(result.cosigner_count, VALIDATORS_MAX);
    assert_int_equal(result.latest_s, INT64_MAX);
    policy_free(policy);
    buf_close(&note);
    buf_close(&text);
    checkpoint_origin("plant", checkpoint.origin);
}

#define WITNESSES                                                                                  \
    "log %L\n"                                                                                     \
    "witness X1 %1\nwitness X2 %2\nwitness X3 %3\nwitness Y1 %4\nwitness Y2 %5\nwitness Y3 %6\n"

static void nested_groups_decide_as_they_are_written(void **state)
{
    (void)state;
    struct policy *policy = parsed(WITNESSES "group X 2 X1 X2 X3\n"
                                             "group Y any Y1 Y2 Y3\n"
                                             "group both all X Y\n"
                                             "quorum both\n");
    for (unsigned signers = 0; signers < 64; signers++) {
        char witnesses[8] = {0};
        unsigned n = 0, x = 0, y = 0;
        for (unsigned i = 0; i < 6; i++) {
            if ((signers >> i & 1) == 0)
                continue;
            witnesses[n++] = (char)('1' + i);
            x += i < 3;
            y += i >= 3;
        }
        assert_int_equal(check(policy, witnesses), x >= 2 && y >= 1 ? 0 : SEALMQ_E_COUNT);
    }
    policy_free(policy);
}

static void the_quorum_may_be_one_witness_a_part_or_nobody(void **state)
{
    (void)state;
    struct policy *policy = parsed(WITNESSES "quorum X2\n");
    assert_int_equal(check(policy, "2"), 0);
    assert_int_equal(check(policy, "13456"), SEALMQ_E_COUNT);
    policy_free(policy);

    policy = parsed(WITNESSES "quorum none\n");
    assert_int_equal(check(policy, ""), 0);
    struct buf note = noted("");
    struct checkpoint read;
    struct policy_result result;
    assert_int_equal(policy_check_note(policy, buf_bytes(&note), &read, &result), 0);
    assert_int_equal(result.cosigner_count, 0);
    assert_int_equal(result.earliest_s, 0);
    buf_close(&note);
    policy_free(policy);

    /* a group within another can be the quorum too, and a group of one is a group */
    policy = parsed(WITNESSES "group all all X1\ngroup any any all X2\nquorum all\n");
    assert_int_equal(check(policy, "1"), 0);
    assert_int_equal(check(policy, "2"), SEALMQ_E_COUNT);
    policy_free(policy);
}

static void white_space_comments_and_urls_are_taken(void **state)
{
    (void)state;
    struct policy *policy = parsed("# a comment\n\n   \t\n  # another \xff\n"
                                   "\tlog  %L\thttps://log.example/  \n"
                                   " witness \xe2\x84\xaa %1 https://w.example\nwitness K %2\n"
                                   "group g\t1 K\nquorum \xe2\x84\xaa\n# the end\n");
    assert_int_equal(check(policy, "1"), 0);
    assert_int_equal(check(policy, "2"), SEALMQ_E_COUNT); /* K is not the Kelvin sign */
    policy_free(policy);
}

static void bad_policies_are_refused_with_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int error;
        unsigned line;
    } bad[] = {
        {"", SEALMQ_E_PARSE, 0},
        {"log %L\n", SEALMQ_E_PARSE, 1}, /* no quorum: the last line is as good as any */
        {"quorum none", SEALMQ_E_PARSE, 1},
        {"quorum none\nquorum none\n", SEALMQ_E_EXISTS, 2},
        {"quorum\n", SEALMQ_E_PARSE, 1},
        {"quorum none none\n", SEALMQ_E_PARSE, 1},
        {"quorum a\n", SEALMQ_E_NOTFOUND, 1},
        {"quorum a\nwitness a %1\n", SEALMQ_E_NOTFOUND, 1},
        {"\nhello\n", SEALMQ_E_PARSE, 2},
        {"Log %L\nquorum none\n", SEALMQ_E_PARSE, 1},
        {"log\nquorum none\n", SEALMQ_E_PARSE, 1},
        {"log x\nquorum none\n", SEALMQ_E_PARSE, 1},
        {"log %L https://a https://b\nquorum none\n", SEALMQ_E_PARSE, 1},
        {"log %L\n\nlog %L\nquorum none\n", SEALMQ_E_EXISTS, 3},
        {"log %1\nquorum none\n", SEALMQ_E_TYPE, 1},
        {"witness a %L\nquorum none\n", SEALMQ_E_TYPE, 1},
        {"witness %1\nquorum none\n", SEALMQ_E_PARSE, 1},
        {"witness a\nquorum none\n", SEALMQ_E_PARSE, 1},
        {"witness\nquorum none\n", SEALMQ_E_PARSE, 1},
        {"witness none %1\nquorum none\n", SEALMQ_E_PARSE, 1},
        {"witness a %1\nwitness a %2\nquorum none\n", SEALMQ_E_EXISTS, 2},
        {"witness a %1\nwitness b %1\nquorum none\n", SEALMQ_E_EXISTS, 2},
        {"witness a %1 u v\nquorum none\n", SEALMQ_E_PARSE, 1},
        {"witness a %1\ngroup a any a\nquorum none\n", SEALMQ_E_EXISTS, 2},
        {"witness a %1\ngroup none any a\nquorum none\n", SEALMQ_E_PARSE, 2},
        {"witness a %1\ngroup g any none\nquorum none\n", SEALMQ_E_NOTFOUND, 2},
        {"witness a %1\ngroup g any g\nquorum none\n", SEALMQ_E_NOTFOUND, 2},
        {"witness a %1\ngroup g any\nquorum none\n", SEALMQ_E_PARSE, 2},
        {"witness a %1\ngroup g\nquorum none\n", SEALMQ_E_PARSE, 2},
        {"witness a %1\ngroup\nquorum none\n", SEALMQ_E_PARSE, 2},
        {"witness a %1\ngroup g 0 a\nquorum none\n", SEALMQ_E_PARSE, 2},
        {"witness a %1\ngroup g 2 a\nquorum none\n", SEALMQ_E_PARSE, 2},
        {"witness a %1\ngroup g -1 a\nquorum none\n", SEALMQ_E_PARSE, 2},
        {"witness a %1\ngroup g 4294967297 a\nquorum none\n", SEALMQ_E_PARSE, 2},
        {"witness a %1\ngroup g ALL a\nquorum none\n", SEALMQ_E_PARSE, 2},
        {"witness a %1\ngroup g any a a\nquorum none\n", SEALMQ_E_CONFLICT, 2},
        {"witness a %1\ngroup g any a\ngroup h any a\nquorum none\n", SEALMQ_E_CONFLICT, 3},
        {"witness a %1\r\nquorum none\n", SEALMQ_E_PARSE, 1},
        {"quorum none\n\x7f\n", SEALMQ_E_PARSE, 2},
        {"quorum none\n# \x01\n", SEALMQ_E_PARSE, 2},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf text = {0};
        struct policy *policy = NULL;
        unsigned line = 99;
        char why[128] = "";
        expand(bad[i].text, &text);
        int error = policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why));
        if (error != bad[i].error || line != bad[i].line || why[0] == '\0' || policy != NULL)
            fail_msg("%zu: %d in line %u (%s) for %s", i, error, line, why, bad[i].text);
        assert_int_equal(policy_parse(buf_bytes(&text), &policy, &line, NULL, 0), error);
        buf_close(&text);
    }
    struct policy *policy;
    unsigned line;
    char why[128];
    assert_int_equal(policy_parse(BYTES_LIT("quorum none\n# \0\n"), &policy, &line, why, 128),
                     SEALMQ_E_PARSE);
}

static void keys_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a",
        "a+00000000",
        "a+00000000+",
        "a+0000000+AYX2Ks8VP2p2NVligwbLsj6z1LUING3bQMEfU5kxUEhP",
        "+00000000+AYX2Ks8VP2p2NVligwbLsj6z1LUING3bQMEfU5kxUEhP",
        "a+00000000+AYX2Ks8VP2p2NVligwbLsj6z1LUING3bQMEfU5kxUEhP", /* another key id */
        "a+0000000g+AYX2Ks8VP2p2NVligwbLsj6z1LUING3bQMEfU5kxUEhP",
        "a+00000000+AYX2Ks8VP2p2NVligwbLsj6z1LUING3bQMEfU5kxUEg=",
        "a+00000000+BoX2Ks8VP2p2NVligwbLsj6z1LUING3bQMEfU5kxUEhP", /* algorithm 6 */
        "a+00000000+Ag==",
        "a\xc2\xa0+00000000+AYX2Ks8VP2p2NVligwbLsj6z1LUING3bQMEfU5kxUEhP",
        "\xff+00000000+AYX2Ks8VP2p2NVligwbLsj6z1LUING3bQMEfU5kxUEhP",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf text = {0};
        struct policy *policy = NULL;
        unsigned line = 0;
        char why[128];
        buf_printf(&text, "quorum none\nlog %s\n", bad[i]);
        int error = policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why));
        if (error == 0 || line != 2 || policy != NULL)
            fail_msg("%d in line %u for %s", error, line, bad[i]);
        buf_close(&text);
    }
    /* every changed byte of a good one but the case of its key id */
    struct buf text = {0};
    expand("log %L\nquorum none\n", &text);
    size_t end = strlen("log ") + strlen(log_vkey);
    for (size_t i = strlen("log "); i < end; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct policy *policy = NULL;
            unsigned line;
            char why[128];
            uint8_t kept = text.p[i];
            text.p[i] ^= (uint8_t)(1u << bit);
            bool same = i >= strlen("log sealmq/plant+") &&
                        i < strlen("log sealmq/plant+01234567") &&
                        (kept | 0x20) == (text.p[i] | 0x20) && kept > '9';
            int error = policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why));
            assert_int_equal(error == 0, same);
            policy_free(policy);
            text.p[i] = kept;
        }
    }
    buf_close(&text);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct buf text = {0};
    struct policy *policy = NULL;
    unsigned line;
    char why[128], key[256];
    for (unsigned i = 0; i <= VALIDATORS_MAX; i++) {
        struct sign_key secret;
        uint8_t seed[SEED_SIZE] = {9, (uint8_t)i};
        sign_key_from_seed(seed, &secret);
        vkey("w", NOTE_COSIGNATURE, &secret, key);
        buf_printf(&text, "witness %u %s\n", i, key);
    }
    buf_append_cstr(&text, "quorum none\n");
    assert_int_equal(policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why)),
                     SEALMQ_E_LIMIT);
    assert_int_equal(line, VALIDATORS_MAX + 1);
    buf_reset(&text);
    while (text.n <= POLICY_BYTES_MAX)
        buf_append_cstr(&text, "\n");
    assert_int_equal(policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why)),
                     SEALMQ_E_LIMIT);
    buf_close(&text);

    char name[KEY_NAME_MAX + 1] = {0};
    memset(name, 'x', KEY_NAME_MAX);
    vkey(name, NOTE_ED25519, &keys[1], key);
    buf_printf(&text, "log %s\nquorum none\n", key);
    assert_int_equal(policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why)),
                     SEALMQ_E_LIMIT);
    buf_close(&text);
    /* a chain of as many groups as fit, each within the next */
    expand("log %L\nwitness w %1\n", &text);
    buf_append_cstr(&text, "group g0 all w\n");
    for (unsigned i = 1; i < 255; i++)
        buf_printf(&text, "group g%u all g%u\n", i, i - 1);
    buf_append_cstr(&text, "quorum g254\n");
    assert_int_equal(policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why)), 0);
    assert_int_equal(check(policy, "1"), 0);
    assert_int_equal(check(policy, "2"), SEALMQ_E_COUNT);
    policy_free(policy);
    buf_append_cstr(&text, "group h all g254\n");
    assert_int_equal(policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why)),
                     SEALMQ_E_LIMIT);
    buf_close(&text);
}

static void a_note_of_another_log_or_without_the_log_is_refused(void **state)
{
    (void)state;
    struct policy *policy = parsed("log %L\nwitness w %1\nquorum w\n");
    struct checkpoint read;
    checkpoint_origin("plants", checkpoint.origin);
    assert_int_equal(check(policy, "1"), SEALMQ_E_NETWORK);
    checkpoint_origin("plant", checkpoint.origin);
    assert_int_equal(check(policy, "1"), 0);

    struct buf note = {0};
    checkpoint_format(&checkpoint, &note);
    assert_int_equal(policy_check_note(policy, buf_bytes(&note), &read, NULL), SEALMQ_E_SIGNATURE);
    buf_append_u8(&note, '\n');
    append_cosignature(&note, 1, 5);
    assert_int_equal(policy_check_note(policy, buf_bytes(&note), &read, NULL), SEALMQ_E_SIGNATURE);
    append_log_line(&note);
    assert_int_equal(policy_check_note(policy, buf_bytes(&note), &read, NULL), 0);
    buf_close(&note);
    policy_free(policy);

    policy = parsed("witness w %1\nquorum w\n"); /* a policy without logs proves nothing here */
    assert_int_equal(check(policy, "1"), SEALMQ_E_NETWORK);
    policy_free(policy);
}

static void a_bad_signature_of_a_known_key_spoils_the_note(void **state)
{
    (void)state;
    struct policy *policy = parsed(WITNESSES "group X 1 X1 X2\nquorum X\n");
    struct buf note = noted("12");
    struct checkpoint read;
    assert_int_equal(policy_check_note(policy, buf_bytes(&note), &read, NULL), 0);
    size_t start = 0; /* of the signature lines */
    while (memcmp(&note.p[start], "\n\n", 2) != 0)
        start++;
    for (size_t i = 0; i < note.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            note.p[i] ^= (uint8_t)(1u << bit);
            int error = policy_check_note(policy, buf_bytes(&note), &read, NULL);
            /* A changed name or key id makes the line a stranger's, and X needs one of the two. */
            if (error == 0)
                assert_in_range(i, start, note.n - 1);
            note.p[i] ^= (uint8_t)(1u << bit);
        }
    }
    /* the last four bytes of base64 are of the signature of witness 2 */
    note.p[note.n - 6] ^= 1;
    assert_int_equal(policy_check_note(policy, buf_bytes(&note), &read, NULL), SEALMQ_E_SIGNATURE);
    buf_close(&note);
    policy_free(policy);
}

static void a_witness_counts_once_however_often_it_signs(void **state)
{
    (void)state;
    struct policy *policy = parsed(WITNESSES "group X 2 X1 X2 X3\nquorum X\n");
    assert_int_equal(check(policy, "111111"), SEALMQ_E_COUNT);
    assert_int_equal(check(policy, "1112"), 0);
    assert_int_equal(check(policy, "1457"), SEALMQ_E_COUNT);
    policy_free(policy);
}

static void a_time_beyond_the_range_is_no_cosignature(void **state)
{
    (void)state;
    struct policy *policy = parsed("log %L\nwitness w %1\nquorum w\n");
    struct checkpoint read;
    struct policy_result result;
    struct buf note = noted("");
    append_cosignature(&note, 1, INT64_MAX);
    assert_int_equal(policy_check_note(policy, buf_bytes(&note), &read, &result), 0);
    assert_int_equal(result.earliest_s, INT64_MAX);
    buf_close(&note);
    note = noted("");
    append_cosignature(&note, 1, (uint64_t)INT64_MAX + 1);
    assert_int_equal(policy_check_note(policy, buf_bytes(&note), &read, &result),
                     SEALMQ_E_SIGNATURE);
    buf_close(&note);
    policy_free(policy);
    policy_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_validator_sets_policy_is_the_frozen_one_and_works),
        cmocka_unit_test(the_largest_set_has_a_policy_and_a_note),
        cmocka_unit_test(nested_groups_decide_as_they_are_written),
        cmocka_unit_test(the_quorum_may_be_one_witness_a_part_or_nobody),
        cmocka_unit_test(white_space_comments_and_urls_are_taken),
        cmocka_unit_test(bad_policies_are_refused_with_the_line),
        cmocka_unit_test(keys_that_are_none_are_refused),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(a_note_of_another_log_or_without_the_log_is_refused),
        cmocka_unit_test(a_bad_signature_of_a_known_key_spoils_the_note),
        cmocka_unit_test(a_witness_counts_once_however_often_it_signs),
        cmocka_unit_test(a_time_beyond_the_range_is_no_cosignature),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
