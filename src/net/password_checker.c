/* Password checks on libuv's thread pool. */
#include "net/passwords.h"

#include "base/assert.h"
#include "crypto/password.h"
#include "crypto/seal.h"

#include <stdlib.h>

struct password_checker {
    uv_loop_t *loop;
    password_answer answer;
    void *context;
    unsigned waiting, waiting_max;
    bool is_freed; /* the last check that ends frees it */
};

struct check {
    uv_work_t work;
    struct password_checker *checker;
    struct passwords *passwords;
    const char *hash; /* the table's, or a decoy; NULL: the table is empty */
    bool is_known;
    struct broker_conn conn;
    struct buf name, password;
    int result;
};

static int verify(const char *hash, struct bytes password)
{
    struct scram_verifier verifier;
    if (!bytes_starts_with(bytes_str(hash), BYTES_LIT(SCRAM_PREFIX)))
        return password_verify(hash, password);
    int e = scram_verifier_parse(bytes_str(hash), &verifier);
    if (e == 0)
        e = scram_verifier_check(&verifier, password);
    secret_wipe(&verifier, sizeof verifier);
    return e;
}

static void check_run(uv_work_t *work)
{
    struct check *check = work->data;
    check->result =
        check->hash == NULL ? SEALMQ_E_DENIED : verify(check->hash, buf_bytes(&check->password));
    buf_wipe(&check->password);
}

static void check_free(struct check *check)
{
    passwords_unref(check->passwords);
    buf_close(&check->name);
    buf_wipe(&check->password);
    free(check);
}

static void check_done(uv_work_t *work, int status)
{
    struct check *check = work->data;
    struct password_checker *checker = check->checker;
    ASSERT(checker->waiting > 0);
    checker->waiting--;
    if (!checker->is_freed) {
        bool is_right = status == 0 && check->is_known && check->result == 0;
        checker->answer(checker->context, check->conn, buf_bytes(&check->name), is_right);
    }
    if (checker->is_freed && checker->waiting == 0)
        free(checker);
    check_free(check);
}

int password_checker_new(uv_loop_t *loop, unsigned waiting_max, password_answer answer,
                         void *context, struct password_checker **out)
{
    struct password_checker *checker = calloc(1, sizeof(*checker));
    *out = checker;
    if (checker == NULL)
        return SEALMQ_E_NOMEM;
    checker->loop = loop;
    checker->waiting_max = waiting_max;
    checker->answer = answer;
    checker->context = context;
    return 0;
}

int password_checker_check(struct password_checker *checker, struct passwords *passwords,
                           struct broker_conn conn, struct bytes name, struct bytes password)
{
    if (checker->waiting >= checker->waiting_max)
        return SEALMQ_E_BUSY;
    struct check *check = calloc(1, sizeof(*check));
    if (check == NULL)
        return SEALMQ_E_NOMEM;
    check->work.data = check;
    check->checker = checker;
    check->passwords = passwords_ref(passwords);
    check->hash = passwords_find(passwords, name);
    check->is_known = check->hash != NULL;
    if (!check->is_known)
        check->hash = passwords_decoy(passwords, name);
    check->conn = conn;
    buf_append_bytes(&check->name, name);
    buf_append_bytes(&check->password, password);
    if (buf_status(&check->name) != 0 || buf_status(&check->password) != 0 ||
        uv_queue_work(checker->loop, &check->work, check_run, check_done) != 0) {
        check_free(check);
        return SEALMQ_E_NOMEM;
    }
    checker->waiting++;
    return 0;
}

void password_checker_free(struct password_checker *checker)
{
    if (checker == NULL)
        return;
    checker->is_freed = true;
    if (checker->waiting == 0)
        free(checker);
}
