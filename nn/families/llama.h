/* llama.h - what llama.c, llama_config.c and llama_write.c share. Internal header. */
#ifndef TN_LLAMA_H
#define TN_LLAMA_H

#include "nn/family.h"

/* Angles of positions. */
typedef struct tn_llama_rope {
    double theta;
    enum { TN_ROPE_PLAIN, TN_ROPE_LINEAR, TN_ROPE_LLAMA3 } scaling;
    double factor, low, high, original; /* of the scaling */
    tn_tensor *table; /* (P,D) for the positions that were needed so far; NULL: none */
} tn_llama_rope;

typedef struct tn_llama_block {
    tn_norm_layer before_attention, after_attention, before_mlp, after_mlp, q_norm, k_norm;
    tn_linear_layer q, k, v, o, gate, up, down;
    tn_linear_layer qkv, gate_up; /* of Phi 3, in place of q, k and v, and of gate and up */
    bool local;                   /* it sees only the positions of the window */
    bool unturned;                /* rope does not turn its q and k */
} tn_llama_block;

typedef struct tn_llama {
    const struct tn_llama_kind *kind;
    tn_tensor *embedding; // (V,C)
    tn_llama_block *blocks;
    tn_norm_layer norm;
    int64_t inner;  // F
    int64_t window; /* of the local blocks; 0: there are none */
    double eps, std;
    double query_scalar; /* attention is scaled by query_scalar^-1/2; 0: by D^-1/2 */
    double soft_cap;     /* of attention's scores; 0: none */
    bool qkv_bias, o_bias, mlp_bias;
    tn_llama_rope rope[2]; /* of blocks that see all positions, and of local blocks */
    const char *activation;
    tn_tensor *(*run_activation)(tn_tape *t, tn_tensor *a);
    int64_t first; /* bos_token_id; -1: none */
} tn_llama;

/* How the models of a model_type differ. The numbers are the defaults of Transformers. */
typedef struct tn_llama_kind {
    const char *type, *class;
    int64_t vocab, width, inner, layers, heads, kv_heads, head_size, positions; /* 0: see below */
    double eps, theta; /* theta 0: the config must have it */
    int first, end;    /* tokens; -1: none */
    bool tied;
    bool gemma;      /* norms multiply by 1 + w, and embeddings by sqrt(C) */
    bool four_norms; /* a norm after attention and after the MLP, too */
    bool qkv_bias, qk_norm;
    bool fused;       /* q|k|v is one layer, gate|up is one */
    int64_t unturned; /* rope leaves out every so-many-th block; 0: none */
    enum {
        TN_WINDOW_NONE,
        TN_WINDOW_ALL,   /* of every block, if the config has a window */
        TN_WINDOW_UPPER, /* from block max_window_layers on, if use_sliding_window */
        TN_WINDOW_EVEN,  /* of every second block, the first included */
        TN_WINDOW_MOST   /* of all but every sliding_window_pattern-th block */
    } windows;
    int64_t window;
} tn_llama_kind;

/* Reads the config into m and g, and makes g->blocks. Refuses what is not computed. */
int tn_llama_read(tn_model *m, tn_llama *g, const tn_json *config, tn_error *e);
void tn_llama_write(const tn_model *m, tn_text *out);

#endif
