/* Bytes as text: hexadecimal, base64 and base64url; numbers and times as text; UTF-8. */
#ifndef SEALMQ_BASE_TEXT_H
#define SEALMQ_BASE_TEXT_H

#include "base/bytes.h"

/* Lower-case hexadecimal of b; out holds 2 * b.n + 1 bytes. */
void hex_encode(struct bytes b, char *out);
/* Exactly out_size bytes from 2 * out_size digits of either case. SEALMQ_E_PARSE otherwise. */
SEALMQ_MUST_CHECK int hex_decode(struct bytes text, uint8_t *out, size_t out_size);

/* Standard base64 with padding (RFC 4648 section 4), appended. */
void base64_append(struct buf *out, struct bytes b);
/* Appends what `text` decodes to; strict: right padding, no white space, zero spare bits. On an
 * error (SEALMQ_E_PARSE, or the status of `out`) nothing is appended. `text` must not lie in `out`,
 * here and wherever something is appended. */
SEALMQ_MUST_CHECK int base64_decode(struct bytes text, struct buf *out);
/* The same into a fixed place that must be filled exactly (SEALMQ_E_PARSE otherwise). */
SEALMQ_MUST_CHECK int base64_decode_exact(struct bytes text, uint8_t *out, size_t out_size);
/* base64url without padding (RFC 4648 section 5), as JWS uses it. */
void base64url_append(struct buf *out, struct bytes b);
SEALMQ_MUST_CHECK int base64url_decode(struct bytes text, struct buf *out);
SEALMQ_MUST_CHECK int base64url_decode_exact(struct bytes text, uint8_t *out, size_t out_size);

/* Decimal digits only, no sign, no leading zero but "0" itself. SEALMQ_E_PARSE, SEALMQ_E_LIMIT. */
SEALMQ_MUST_CHECK int u64_parse(struct bytes text, uint64_t *out);

/* Times are microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
 * Text form ("eventtime"): basic ISO 8601 in UTC, 20200706T144831Z, with an optional fraction of 1
 * to 6 digits (20200706T144831.25Z). Years 1970 to 9999; a second of 60 is refused. */
#define EVENTTIME_MAX 24 /* with final zero: yyyymmddThhmmss.ffffffZ */
SEALMQ_MUST_CHECK int eventtime_parse(struct bytes text, int64_t *out_us);
/* The canonical form: no fraction when it is zero, no trailing zeros in one. `us` must be in the
 * years named above (clamped otherwise). */
void eventtime_format(int64_t us, char out[EVENTTIME_MAX]);
/* RFC 3339 for people: 2020-07-06T14:48:31Z (or with .ffffff). */
#define RFC3339_MAX 28
void rfc3339_format(int64_t us, char out[RFC3339_MAX]);

/* Well-formed UTF-8 (RFC 3629: shortest form, no surrogates). */
bool utf8_is_valid(struct bytes s);
/* Length (1 to 4) of the well-formed character that `s` starts with; 0 when it starts with none. */
size_t utf8_next(struct bytes s);

#endif
