#include "config/limits_config.h"

#define OPTIONAL_NUMBER (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

/* Each one more than its value, so that 0 is what nobody said. */
static const cyaml_strval_t overflows[] = {
    {"drop_new", BROKER_DROP_NEW + 1},
    {"drop_old", BROKER_DROP_OLD + 1},
    {"disconnect", BROKER_DISCONNECT + 1},
};
static const cyaml_strval_t evictions[] = {{"no", 1}, {"yes", 2}, {"false", 1}, {"true", 2}};

#define WORD(key, member, words)                                                                   \
    CYAML_FIELD_ENUM(key, CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct limits_config, member,   \
                     words, sizeof(words) / sizeof((words)[0]))

const cyaml_schema_field_t limits_config_fields[] = {
#define X(field, least, most, when, unit, words)                                                   \
    CYAML_FIELD_UINT_PTR(#field, OPTIONAL_NUMBER, struct limits_config, field),
    LIMITS_CONFIG(X)
#undef X
        WORD("overflow", overflow, overflows),
    WORD("evicts_sessions", evicts_sessions, evictions),
    CYAML_FIELD_END,
};

static int check(const struct config_source *source, const char *place, uint64_t value,
                 uint64_t least, uint64_t most, const char *unit)
{
    if (value >= least && value <= most)
        return 0;
    return config_refuse(source, place, "%s is %llu%s%s, it must be %llu to %llu", place,
                         (unsigned long long)value, unit[0] != '\0' ? " " : "", unit,
                         (unsigned long long)least, (unsigned long long)most);
}

int limits_config_apply(const struct limits_config *config, const struct config_source *source,
                        struct broker_limits *out)
{
    int error = 0;
#define X(field, least, most, when, unit, words)                                                   \
    if (error == 0 && config->field != NULL) {                                                     \
        error = check(source, "limits." #field, *config->field, least, most, unit);                \
        if (error == 0)                                                                            \
            out->field = (__typeof__(out->field))*config->field;                                   \
    }
    LIMITS_CONFIG(X)
#undef X
    if (config->overflow != 0)
        out->overflow = (enum broker_overflow)(config->overflow - 1);
    if (config->evicts_sessions != 0)
        out->evicts_sessions = config->evicts_sessions == 2;
    return error;
}

enum when { LIVE, FIXED };

const char *limits_config_fixed_difference(const struct broker_limits *running,
                                           const struct broker_limits *wanted)
{
#define X(field, least, most, when, unit, words)                                                   \
    if ((when) == FIXED && running->field != wanted->field)                                        \
        return #field;
    LIMITS_CONFIG(X)
#undef X
    return NULL;
}

static void print(struct buf *out, const char *name, uint64_t value, const char *unit,
                  const char *words)
{
    buf_printf(out, "  %s: %llu # %s%s%s\n", name, (unsigned long long)value, unit,
               unit[0] != '\0' ? ": " : "", words);
}

void limits_config_print(const struct broker_limits *limits, struct buf *out)
{
    buf_append_cstr(out, "limits:\n");
#define X(field, least, most, when, unit, words) print(out, #field, limits->field, unit, words);
    LIMITS_CONFIG(X)
#undef X
    buf_printf(out, "  overflow: %s # what is lost when a session has no room\n",
               overflows[limits->overflow].str);
    buf_printf(out, "  evicts_sessions: %s # at `sessions`: end the oldest that is offline\n",
               limits->evicts_sessions ? "yes" : "no");
}
