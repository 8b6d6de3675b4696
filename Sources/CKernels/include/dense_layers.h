#ifndef DENSE_LAYERS_H
#define DENSE_LAYERS_H

#include <stddef.h>
#include <stdint.h>

/* Layers of networks in less than 32 bits: activations times packed weights, plus a bias, negative values cut to 0.
 *
 * Activations are rows, padded with zeros to whole steps of 32 bits: `steps` of two bfloat16 or of four bytes. Weights
 * lie in panels of CK_PANEL columns, as in dense_algebra.h, but with a step of 32 bits where that has one float:
 *
 *   panel 0: step 0 of columns 0..15 (two or four values each) | step 1 of columns 0..15 | ... | panel 1: ...
 *
 * The result of a row never depends on the rows beside it. Sums of bytes are exact and equal on every instruction set;
 * sums of bfloat16 are Float32 and differ in their last bits.
 */

/// Eight-bit activations: `scales` is what one unit of each row is worth, `zero` the byte that stands for 0.
typedef struct ck_byte_rows {
    const uint8_t *bytes;
    /// Bytes from one row to the next, a multiple of 4.
    size_t stride;
    const float *scales;
    int zero;
} ck_byte_rows;

/// Eight-bit weights: signed, with a scale for each column and the sum of each column.
typedef struct ck_byte_weights {
    const int8_t *packed;
    const float *scales;
    const int32_t *sums;
} ck_byte_weights;

/// The kernels of one instruction set.
typedef struct ck_layers {
    /// out (m x 16 * panels, bfloat16 with `narrow`, else Float32) = bias + a * packed; `lda` and `ldout` in elements.
    void (*bf16)(const uint16_t *a, size_t lda, size_t m, size_t steps, const uint16_t *packed, size_t panels,
                 const float *bias, int relu, void *out, size_t ldout, int narrow);
    /// out (m x 16 * panels, Float32) = bias + (a - zero) * weights.
    void (*u8)(const ck_byte_rows *a, size_t m, size_t steps, const ck_byte_weights *weights, size_t panels,
               const float *bias, int relu, float *out, size_t ldout);
    /// Rounds to the nearest bfloat16, ties to even.
    void (*narrow)(const float *values, size_t count, uint16_t *out);
    /// Rounds m rows of `count` floats (a multiple of 16) to bytes. Without `is_signed` all must be 0 or more and `zero`
    /// is 0; with it `zero` is 128.
    void (*to_bytes)(const float *rows, size_t stride, size_t m, size_t count, int is_signed, uint8_t *out,
                     size_t out_stride, float *scales);
} ck_layers;

/// The kernels of `isa` (a CK_ number of ckernels.h): always for CK_SCALAR; NULL where the machine has no instructions
/// that make them faster than Float32.
const ck_layers *ck_layers_of(int isa);
/// Whether this machine multiplies bfloat16 at least as fast as Float32.
int ck_has_fast_bf16(void);

/// Packs `n` rows of k floats as columns: column j is row j; rows past n and values past k are zeros.
/// `out`: (k + 1) / 2 * 2 * 16 * panels values.
void ck_pack_bf16(const float *rows, size_t stride, size_t n, size_t k, uint16_t *out);
/// The same in bytes: each column is scaled so that its largest value is 127. `out`: (k + 3) / 4 * 4 * 16 * panels;
/// `scales` and `sums`: 16 * panels.
void ck_pack_i8(const float *rows, size_t stride, size_t n, size_t k, int8_t *out, float *scales, int32_t *sums);

#endif
