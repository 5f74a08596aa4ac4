/* elementwise.h - the kernels of elementwise.def, for generic.h.
   Internal header. */
#ifndef TN_ELEMENTWISE_H
#define TN_ELEMENTWISE_H

#include "core/kernels/activation.h"

/* A formula for one element of each operand. In MAP_E the second operand is e. */
typedef tn_real element(tn_real a, tn_real b, tn_real c, tn_real dy, tn_real p, tn_real q);

/* The loop of every formula. For every element all operands are read, even those that the formula
   does not choose: the compiler then needs no branch. (A branch that is predicted wrongly costs
   15 ns.) An operand that does not occur in the formula is not loaded. */
static inline __attribute__((always_inline)) void over(int64_t n, const tn_elements *z,
                                                       tn_real beta, tn_real *to, element *f)
{
    const tn_real *a = z->in[0], *b = z->in[1], *c = z->in[2], *dy = z->dy, p = z->p, q = z->q;
    if (beta == 0)
        for (int64_t i = 0; i < n; i++)
            to[i] = f(a[i], b[i], c[i], dy[i], p, q);
    else
        for (int64_t i = 0; i < n; i++)
            to[i] = beta * to[i] + f(a[i], b[i], c[i], dy[i], p, q);
}

/* A gradient is computed in two loops, for AT_ONCE elements at a time: first e, then the formula. A
   single loop would be one long chain: 0.95 ns per element of gelu instead of 0.75 (Zen 3). A
   result is computed in one loop: with two, gelu_erf takes 1.01 ns per element instead of 0.78
   (Xeon with AVX-512). */
enum { AT_ONCE = 64 };

static inline __attribute__((always_inline)) void over_parts(int64_t n, const tn_elements *z,
                                                             tn_real beta, tn_real *to,
                                                             element *part, element *f)
{
    tn_real e[AT_ONCE];
    for (int64_t i = 0; i < n; i += AT_ONCE) {
        const int64_t count = n - i < AT_ONCE ? n - i : AT_ONCE;
        tn_elements now = { .in = { z->in[0] + i, e, e }, .dy = z->dy + i, .p = z->p, .q = z->q };
        for (int64_t k = 0; k < count; k++)
            e[k] = part(now.in[0][k], 0, 0, 0, z->p, z->q);
        over(count, &now, beta, to + i, f);
    }
}

/* clang-format off */
#define ELEMENT(name, a, b, c, formula)                                                            \
    static inline tn_real name##_of(tn_real a, tn_real b, tn_real c, tn_real dy, tn_real p,        \
                                    tn_real q)                                                     \
    {                                                                                              \
        (void)a, (void)b, (void)c, (void)dy, (void)p, (void)q;                                     \
        return formula;                                                                            \
    }
#define KERNEL(name, loop, ...)                                                                    \
    static void k_##name(int64_t n, const tn_elements *z, tn_real beta, tn_real *to)               \
    {                                                                                              \
        loop(n, z, beta, to, __VA_ARGS__);                                                         \
    }
/* clang-format on */

#define PLAIN(name, a, b, c, formula) ELEMENT(name, a, b, c, formula) KERNEL(name, over, name##_of)
#define MAP(name, positive, y, dx) PLAIN(name##_y, x, v, w, y) PLAIN(name##_da, x, v, w, dx)
#define MAP_Y(name, positive, result, dx)                                                          \
    PLAIN(name##_y, x, v, w, result) PLAIN(name##_da, y, v, w, dx)
#define MAP_PQ(name, y, dx) MAP(name, 0, y, dx)
#define MAP_E(name, part, y, dx)                                                                   \
    ELEMENT(name##_e, x, v, w, part)                                                               \
    ELEMENT(name##_end, x, e, w, y)                                                                \
    ELEMENT(name##_da, x, e, w, dx)                                                                \
    PLAIN(name##_y, x, v, w, name##_end_of(x, name##_e_of(x, v, w, dy, p, q), w, dy, p, q))        \
    KERNEL(name##_da, over_parts, name##_e_of, name##_da_of)
#define PAIR(name, positive, passes, y, da, db)                                                    \
    PLAIN(name##_y, a, b, w, y) PLAIN(name##_da, a, b, w, da) PLAIN(name##_db, a, b, w, db)
#define TERM(name, y, da, db) PAIR(name, 0, 0, y, da, db)
#define PICK(name, y, da, db)                                                                      \
    PLAIN(name##_y, c, a, b, y) PLAIN(name##_da, c, a, b, da) PLAIN(name##_db, c, a, b, db)
#include "core/kernels/elementwise.def"

static const tn_formula_table k_formulas = {
#define MAP(name, ...) .name = { k_##name##_y, { k_##name##_da } },
#define MAP_Y MAP
#define MAP_E MAP
#define MAP_PQ MAP
#define PAIR(name, ...) .name = { k_##name##_y, { k_##name##_da, k_##name##_db } },
#define TERM PAIR
#define PICK(name, ...) .name = { k_##name##_y, { NULL, k_##name##_da, k_##name##_db } },
#include "core/kernels/elementwise.def"
};

#endif
