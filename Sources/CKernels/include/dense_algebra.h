#ifndef DENSE_ALGEBRA_H
#define DENSE_ALGEBRA_H

#include <stddef.h>
#include <stdint.h>

/* Dense algebra: products of tall matrices with small ones, layers of networks, and least squares over gathered rows.
 *
 * All matrices are row-major Float32. Every row is padded with zeros to a multiple of CK_PANEL floats and `k` below is
 * that padded length, so no kernel has a tail. The result of a row never depends on the rows that stand beside it in a
 * call: a caller may deal rows to threads as it likes and gets the same bits.
 *
 * A packed matrix holds column panels one after the other:
 *
 *   panel 0: rows 0..k-1 of columns 0..15 | panel 1: rows 0..k-1 of columns 16..31 | ...
 */

enum { CK_PANEL = 16, CK_GRAM_BLOCK = 256, CK_CG_BATCH = 8 };

/// Rows to be solved for at once, each a least squares problem over some rows of one factor matrix:
///   (gram + lambda I + sum w y y^T) x = sum w y        for row i, y over ids[starts[i] ..< starts[i + 1]]
typedef struct ck_least_squares {
    /// The symmetric matrix that all share (k x k), packed.
    const float *gram;
    /// The factor matrix that `ids` names rows of.
    const float *factors;
    size_t stride;
    size_t k;
    const uint32_t *ids;
    /// One weight for each id; NULL: all 1.
    const float *weights;
} ck_least_squares;

/// The kernels of one instruction set.
typedef struct ck_algebra {
    /// c (m x 16 * panels) = a (m x k) * packed b, or c += with `accumulate`.
    void (*multiply)(const float *a, size_t lda, size_t m, size_t k, const float *packed, size_t panels, float *c,
                     size_t ldc, int accumulate);
    /// Upper triangle (by 16 x 16 tiles) of c (k x k) += a^T a over n rows. `scratch`: CK_GRAM_BLOCK * k floats.
    void (*gram)(const float *a, size_t lda, size_t n, size_t k, float *c, size_t ldc, float *scratch);
    /// y (k) += sum over the rows named by ids of value * row.
    void (*gather_sum)(const float *base, size_t stride, size_t k, const uint32_t *ids, const float *values, size_t n,
                       float *y);
    /// Improves x (count rows of k floats, ldx apart, count <= CK_CG_BATCH) by `steps` steps of conjugate gradients.
    /// Returns sum w (1 - y.x)^2 over all ids at the x handed in. `scratch`: 3 * CK_CG_BATCH * k floats.
    double (*conjugate_gradients)(const ck_least_squares *problem, const size_t *starts, const float *lambdas,
                                  size_t count, int steps, float *x, size_t ldx, float *scratch);
    /// Solves the problem of one row by Cholesky; `gram_rows` is the shared matrix, not packed (k x k). Only the
    /// first `rank` columns are solved for. Returns 0, or 1 + the row at which the matrix was not positive.
    /// `scratch`: (k + CK_GRAM_BLOCK * 2 + 1) * k floats.
    int (*cholesky)(const ck_least_squares *problem, const float *gram_rows, size_t start, size_t end, float lambda,
                    size_t rank, float *x, float *scratch);
    /// c (m x 16 * panels) = start + a * packed b; what is negative becomes 0 with `relu`.
    /// Element (r, t) of a is a[r * row_step + t * k_step], so that a transpose needs no copy. Row r of `start` is at
    /// start + r * start_step: a step of 0 is one bias for all; NULL: zeros; c itself: sums are added.
    void (*product)(const float *a, size_t row_step, size_t k_step, size_t m, size_t k, const float *packed,
                    size_t panels, const float *start, size_t start_step, float *c, size_t ldc, int relu);
    /// Solves a y = x for a positive definite a (k x k), of which the upper triangle by 16 x 16 tiles is read and
    /// overwritten. Rows and columns from `rank` on must be zero. x (k) becomes y. Returns 0, or 1 + the row at which a
    /// was not positive; x is then undefined. `scratch`: 2 * CK_PANEL * k floats.
    int (*solve_positive)(float *a, size_t rank, size_t k, float *x, float *scratch);
} ck_algebra;

/// The kernels of `isa` (a CK_ number of ckernels.h), or NULL where this machine or build cannot run them.
const ck_algebra *ck_algebra_of(int isa);

/// Packs b (k rows, n columns; n a multiple of 16) for `multiply`.
void ck_pack(const float *b, size_t ldb, size_t k, size_t n, float *packed);
/// Packs the transpose of rows: column j of the packed matrix (k x 16 * panels) is row j; rows past n are zeros.
void ck_pack_transposed(const float *rows, size_t stride, size_t n, size_t k, float *packed);

#endif
