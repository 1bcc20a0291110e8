#include "base/error.h"

const char *sealmq_error_text(int error)
{
    switch (error) {
    case 0:
        return "success";
#define X(name, number, text)                                                                      \
    case SEALMQ_E_##name:                                                                          \
        return text;
        SEALMQ_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}

const char *sealmq_error_name(int error)
{
    switch (error) {
    case 0:
        return "OK";
#define X(name, number, text)                                                                      \
    case SEALMQ_E_##name:                                                                          \
        return #name;
        SEALMQ_ERRORS(X)
#undef X
    default:
        return "?";
    }
}
