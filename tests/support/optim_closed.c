/* optim_closed.c - weights, gradients and losses of the problem of invariance.json. */
#include "tests/support/optim_closed.h"

#include <math.h>
#include <stdlib.h>

enum { RANK = 4, MOST = 20 };

typedef double square[RANK][RANK];

double closed_a(int i, int j)
{
    return 0.5 * sin(1 + 2 * i + 3 * j + 0.7 * i * j);
}

static double b0(int i, int j)
{
    return 0.4 * cos(2 + 2 * i + 3 * j + 0.9 * i * j);
}

static double y(int i, int j)
{
    return cos(0.7 * i + 1.3 * j + 0.61 * i * j);
}

double closed_noise(int k, int i, int j)
{
    return 0.3 * sin(1 + 1.1 * i + 2.3 * j + 0.53 * i * j + 0.77 * k + 0.29 * k * i - 0.17 * k * j);
}

static void rotation(int r, square q, double from, double by)
{
    for (int i = 0; i < r; i++)
        for (int j = 0; j < r; j++)
            q[i][j] = i == j;
    int p = 0;
    for (int a = 0; a < r; a++)
        for (int b = a + 1; b < r; b++, p++) {
            double c = cos(from + by * p), s = sin(from + by * p);
            for (int i = 0; i < r; i++) {
                double u = q[i][a], v = q[i][b];
                q[i][a] = c * u + s * v;
                q[i][b] = -s * u + c * v;
            }
        }
}

/* t = T and u = T^-T for a name (optim_closed.h). */
static void transform(const char *name, int r, square t, square u)
{
    square r1, r2;
    rotation(r, r1, 0.5, 0.7);
    rotation(r, r2, 1.1, 0.4);
    double x = name[0] == 'c' || name[0] == 'k' ? strtod(name + 1, NULL) : 1;
    for (int i = 0; i < r; i++)
        for (int j = 0; j < r; j++) {
            t[i][j] = u[i][j] = 0;
            if (name[0] == 'c' && i == j) {
                t[i][j] = x;
                u[i][j] = 1 / x;
            } else if (name[0] == 'r') {
                t[i][j] = u[i][j] = r1[i][j];
            } else if (name[0] == 'p' && j == (i + 1) % r) {
                t[i][j] = u[i][j] = i % 2 ? -1 : 1;
            }
            for (int k = 0; k < r && name[0] == 'k'; k++) {
                double d = pow(x, 0.5 - k / (r - 1.0));
                t[i][j] += r1[i][k] * d * r2[k][j];
                u[i][j] += r1[i][k] / d * r2[k][j];
            }
        }
}

void closed_start(problem *p, int i, bool zero, const char *name)
{
    const pair_size *s = &p->size[i];
    int r = (int)s->r;
    square t, u;
    transform(name, r, t, u);
    for (int k = 0; k < s->out; k++)
        for (int j = 0; j < r; j++) {
            double sum = 0;
            for (int l = 0; l < r && !zero; l++)
                sum += closed_a(k, l) * t[l][j];
            p->b[i]->x[k * r + j] = (tn_real)sum;
        }
    for (int k = 0; k < s->in; k++)
        for (int j = 0; j < r; j++) {
            double sum = 0;
            for (int l = 0; l < r; l++)
                sum += b0(k, l) * u[l][j];
            p->a[i]->x[j * s->in + k] = (tn_real)sum;
        }
}

double closed_gradients(problem *p, int k)
{
    double target[MOST * MOST], loss = 0;
    for (int i = 0; i < p->pairs; i++) {
        for (int j = 0; j < p->size[i].out; j++)
            for (int l = 0; l < p->size[i].in; l++)
                target[j * p->size[i].in + l] = y(j, l) - (k ? closed_noise(k, j, l) : 0);
        loss += problem_gradients(p, i, target, 1);
    }
    return loss;
}
