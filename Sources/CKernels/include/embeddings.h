#ifndef EMBEDDINGS_H
#define EMBEDDINGS_H

#include <stddef.h>
#include <stdint.h>

/* Embeddings of features: fetching them, the second-order term of a factorization machine, and Adam steps.
 *
 * A row of the network's input holds the embeddings of its fields one after the other, `width` Float32 each.
 */

/// One Adam step (Kingma & Ba 2014, arXiv:1412.6980) with decoupled weight decay; corrections for the first steps are in
/// `rate` and `epsilon`.
typedef struct ck_adam_step {
    float rate, beta1, beta2, epsilon;
    /// What a weight loses of itself: rate times decay.
    float shrink;
} ck_adam_step;

/// The kernels of one instruction set.
typedef struct ck_embeddings {
    /// out[r * stride + f * width ..<] = row ids[r * fields + f] of the table (IEEE halves with `half`).
    void (*gather)(const void *table, int half, size_t width, const uint32_t *ids, size_t m, size_t fields, float *out,
                   size_t stride);
    /// out[r * stride ..<] = start + row ids[r] of the table; what is negative becomes 0 with `relu`.
    void (*add_gathered)(const void *table, int half, size_t width, const uint32_t *ids, size_t m, const float *start,
                         int relu, float *out, size_t stride);
    /// out[r] += sum over pairs of fields of their inner product.
    void (*pairs)(const float *rows, size_t stride, size_t m, size_t fields, size_t width, float *out);
    /// gradients[r, f] += g[r] * (sum of the row's fields - field f): the derivative of `pairs` times g.
    void (*pair_gradients)(const float *rows, size_t stride, size_t m, size_t fields, size_t width, const float *g,
                           float *gradients, size_t gradient_stride);
    /// Moves weights against their gradients; `m1` and `m2` are the running means.
    void (*adam)(float *weights, const float *gradients, float *m1, float *m2, size_t count, const ck_adam_step *step);
} ck_embeddings;

/// The kernels of `isa` (a CK_ number of ckernels.h), or NULL where this machine or build cannot run them.
const ck_embeddings *ck_embeddings_of(int isa);

#endif
