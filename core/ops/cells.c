/* cells.c - one step of one row of an LSTM or GRU, forward and back.

       lstm: c' = f c + i g             h' = o tanh(c')
       gru:  n = tanh(x_n + r q)        h' = n + z (h - n)

   i, f, o, r, z are sigmoid(v), whose slope is i (1 - i); g and n are tanh(v), with 1 - g^2. */
#include "core/ops/recurrent.h"

void tn_lstm_cell(const tn_context *context, int64_t size, tn_real *gates, const tn_real *before,
                  tn_real *after)
{
    tn_real *i = gates, *f = i + size, *g = f + size, *o = g + size, *h = after, *c = after + size;
    tn_sigmoid_array(context, 2 * size, i, i);
    tn_tanh_array(context, size, g, g);
    tn_sigmoid_array(context, size, o, o);
    for (int64_t k = 0; k < size; k++)
        c[k] = i[k] * g[k];
    for (int64_t k = 0; before && k < size; k++)
        c[k] += f[k] * before[size + k];
    tn_tanh_array(context, size, c, h);
    for (int64_t k = 0; k < size; k++)
        h[k] *= o[k];
}

/* c' = f c + i g, h' = o tanh(c') */
void tn_lstm_cell_back(const tn_context *context, int64_t size, const tn_cell *s, tn_real *tanh_c)
{
    const tn_real *i = s->gates, *f = i + size, *g = f + size, *o = g + size;
    tn_real *di = s->d, *df = di + size, *dg = df + size, *dout = dg + size;
    tn_real *dh = s->carried, *dc = dh + size;
    tn_tanh_array(context, size, s->after + size, tanh_c);
    for (int64_t k = 0; k < size; k++) {
        const tn_real h = s->dy[k] + dh[k], th = tanh_c[k];
        const tn_real c = s->dy[size + k] + dc[k] + h * o[k] * (1 - th * th);
        di[k] = c * g[k] * (i[k] * (1 - i[k]));
        df[k] = c * (s->before ? s->before[size + k] : 0) * (f[k] * (1 - f[k]));
        dg[k] = c * i[k] * (1 - g[k] * g[k]);
        dout[k] = h * th * (o[k] * (1 - o[k]));
        dc[k] = c * f[k];
        dh[k] = 0;
    }
}

void tn_gru_cell(const tn_context *context, int64_t size, const tn_real *x, tn_real *gates,
                 const tn_real *before, tn_real *h)
{
    tn_real *r = gates, *z = r + size, *q = z + size, *n = q + size;
    tn_sigmoid_array(context, 2 * size, r, r);
    for (int64_t k = 0; k < size; k++)
        n[k] = x[2 * size + k] + r[k] * q[k];
    tn_tanh_array(context, size, n, n);
    for (int64_t k = 0; k < size; k++)
        h[k] = n[k] + z[k] * ((before ? before[k] : 0) - n[k]);
}

/* n = tanh(x_n + r q), h' = n + z (h - n) */
void tn_gru_cell_back(int64_t size, const tn_cell *s)
{
    const tn_real *r = s->gates, *z = r + size, *q = z + size, *n = q + size;
    tn_real *dr = s->d, *dz = dr + size, *dq = dz + size, *dn = dq + size;
    for (int64_t k = 0; k < size; k++) {
        const tn_real h = s->dy[k] + s->carried[k], before = s->before ? s->before[k] : 0;
        dn[k] = h * (1 - z[k]) * (1 - n[k] * n[k]);
        dz[k] = h * (before - n[k]) * (z[k] * (1 - z[k]));
        dq[k] = dn[k] * r[k];
        dr[k] = dn[k] * q[k] * (r[k] * (1 - r[k]));
        s->carried[k] = h * z[k];
    }
}
