/* Both walk the two filters level by level. "#" stands for any number of levels, none included; and
 * a wildcard in the first level does not stand for a name that begins with '$' (section 4.7.2). */
#include "broker/filter_sets.h"

#include "broker/levels.h"

static bool is_hash(struct bytes level)
{
    return level.n == 1 && level.p[0] == '#';
}

static bool is_plus(struct bytes level)
{
    return level.n == 1 && level.p[0] == '+';
}

static bool is_dollar(struct bytes level)
{
    return level.n != 0 && level.p[0] == '$';
}

bool filters_overlap(struct bytes a, struct bytes b)
{
    struct level_walk walk_a = level_walk_of(a);
    struct level_walk walk_b = level_walk_of(b);
    for (bool at_first = true;; at_first = false) {
        struct bytes x, y;
        bool has_x = level_walk_next(&walk_a, &x);
        bool has_y = level_walk_next(&walk_b, &y);
        if (!has_x || !has_y)
            return has_x ? is_hash(x) : has_y ? is_hash(y) : true;
        bool x_is_wild = is_hash(x) || is_plus(x);
        bool y_is_wild = is_hash(y) || is_plus(y);
        if (at_first && ((x_is_wild && is_dollar(y)) || (y_is_wild && is_dollar(x))))
            return false;
        if (is_hash(x) || is_hash(y))
            return true;
        if (!x_is_wild && !y_is_wild && !bytes_equal(x, y))
            return false;
    }
}

bool filter_covers(struct bytes outer, struct bytes inner)
{
    struct level_walk walk_o = level_walk_of(outer);
    struct level_walk walk_i = level_walk_of(inner);
    for (bool at_first = true;; at_first = false) {
        struct bytes o, i;
        bool has_o = level_walk_next(&walk_o, &o);
        bool has_i = level_walk_next(&walk_i, &i);
        if (!has_o)
            return !has_i;
        bool o_is_wild = is_hash(o) || is_plus(o);
        if (at_first && o_is_wild && has_i && is_dollar(i))
            return false;
        if (is_hash(o))
            return true;
        if (!has_i || is_hash(i))
            return false;
        if (!is_plus(o) && (is_plus(i) || !bytes_equal(o, i)))
            return false;
    }
}
