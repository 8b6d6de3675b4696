// AVX-512: sixteen rows, or sixteen trees, at a time.
#if defined(__x86_64__)
#include "trees.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma"))), \
                             apply_to = function)

enum { W = 16 };

/// Sixteen neighbouring features of sixteen rows, written as columns.
static void transpose(const float *values, size_t stride, size_t rows, float *columns) {
    __m512 r[16], t[16];
    for (size_t i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(values + (i < rows ? i : rows - 1) * stride);
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int h = 0; h < 2; h++) {
            __m512d a = _mm512_castps_pd(t[i + h]), b = _mm512_castps_pd(t[i + 2 + h]);
            r[i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    for (int j = 0; j < 4; j++)
        for (int h = 0; h < 2; h++) {
            t[j + 8 * h] = _mm512_shuffle_f32x4(r[j + 8 * h], r[j + 4 + 8 * h], 0x88);
            t[j + 4 + 8 * h] = _mm512_shuffle_f32x4(r[j + 8 * h], r[j + 4 + 8 * h], 0xdd);
        }
    for (int j = 0; j < 8; j++) {
        _mm512_store_ps(columns + j * CK_TREE_ROWS, _mm512_shuffle_f32x4(t[j], t[j + 8], 0x88));
        _mm512_store_ps(columns + (j + 8) * CK_TREE_ROWS, _mm512_shuffle_f32x4(t[j], t[j + 8], 0xdd));
    }
}

static void prepare(const ck_trees *trees, const float *values, size_t stride, size_t rows, float *columns) {
    const uint32_t *features = trees->features;
    size_t c = 0;
    while (c < trees->column_count) {
        // Columns stand in the order of kind and feature: a run of sixteen plain ones needs only its ends looked at.
        if (c + 16 <= trees->column_count && trees->kinds[c + 15] == CK_COLUMN_PLAIN &&
            features[c + 15] == features[c] + 15) {
            for (size_t b = 0; b < rows; b += 16)
                transpose(values + b * stride + features[c], stride, rows - b, columns + c * CK_TREE_ROWS + b);
            c += 16;
        } else {
            size_t end = c + 1;
            ck_prepare_columns(trees, values, stride, rows, c, end, columns);
            c = end;
        }
    }
}

/// The lanes whose code is in the set.
CKT_INLINE __mmask16 in_set(const ck_trees *trees, const ck_category_test *test, __m512i codes) {
    __mmask16 inside = _mm512_cmplt_epu32_mask(codes, _mm512_set1_epi32((int)test->bit_count));
    __m512i words = _mm512_mask_i32gather_epi32(
        _mm512_setzero_si512(), inside, _mm512_srli_epi32(codes, 5), trees->words + test->first_word, 4);
    __m512i bits = _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_and_si512(codes, _mm512_set1_epi32(31)));
    return _mm512_test_epi32_mask(words, bits);
}

/// One piece over `n` times sixteen rows. Doubles are added in the order in which unpacking leaves them: of four rows
/// the first two in one vector, the last two in the next.
CKT_INLINE void piece_over(const ck_trees *trees, size_t p, const float *columns, double *sums, float *singles,
                           const int n, const int single, const int cut, __mmask16 *open) {
    const ck_tree_piece *piece = trees->pieces + p;
    size_t at = (size_t)trees->group_slots[p / CK_TREE_LANES] * CK_TREE_LANES + p % CK_TREE_LANES;
    __m512i left[4];
    for (int v = 0; v < n; v++) left[v] = _mm512_set1_epi32(-1);
    uint32_t e = 0;
    for (; e < piece->nan_left_entries; e++, at += CK_TREE_LANES) {
        const float *x = columns + (size_t)trees->columns[at] * CK_TREE_ROWS;
        const __m512 t = _mm512_set1_ps(trees->thresholds[at]);
        const __m512i mask = _mm512_set1_epi32((int)trees->masks[at]);
#pragma clang loop unroll(full)
        for (int v = 0; v < n; v++) {
            __mmask16 right = _mm512_cmp_ps_mask(_mm512_load_ps(x + v * 16), t, _CMP_GE_OQ);
            left[v] = _mm512_mask_and_epi32(left[v], right, left[v], mask);
        }
    }
    for (; e < piece->entries; e++, at += CK_TREE_LANES) {
        const float *x = columns + (size_t)trees->columns[at] * CK_TREE_ROWS;
        const __m512 t = _mm512_set1_ps(trees->thresholds[at]);
        const __m512i mask = _mm512_set1_epi32((int)trees->masks[at]);
#pragma clang loop unroll(full)
        for (int v = 0; v < n; v++) {
            __mmask16 right = _mm512_cmp_ps_mask(_mm512_load_ps(x + v * 16), t, _CMP_NLT_UQ);
            left[v] = _mm512_mask_and_epi32(left[v], right, left[v], mask);
        }
    }
    for (uint32_t i = 0; i < piece->category_count; i++) {
        const ck_category_test *test = trees->categories + piece->category_first + i;
        const float *x = columns + (size_t)test->column * CK_TREE_ROWS;
        const __m512i mask = _mm512_set1_epi32((int)test->mask);
        for (int v = 0; v < n; v++)
            left[v] = _mm512_mask_and_epi32(
                left[v], in_set(trees, test, _mm512_load_si512((const void *)(x + v * 16))), left[v], mask);
    }
    __mmask16 here[4];
    for (int v = 0; v < n; v++) {
        here[v] = 0xFFFF;
        if (cut) {
            if (!piece->continues) open[v] = 0xFFFF;
            here[v] = _mm512_mask_test_epi32_mask(open[v], left[v], left[v]);
            open[v] &= (__mmask16)~here[v];
        }
        left[v] = _mm512_lzcnt_epi32(left[v]);
    }
    if (single) {
        const float *leaves = trees->single_leaves + p * CK_PIECE_LEAVES;
        const __m512 a = _mm512_load_ps(leaves), b = _mm512_load_ps(leaves + 16);
        float *sum = singles + (size_t)piece->output * CK_TREE_ROWS;
        for (int v = 0; v < n; v++) {
            __m512 old = _mm512_load_ps(sum + v * 16), leaf = _mm512_permutex2var_ps(a, left[v], b);
            _mm512_store_ps(sum + v * 16, cut ? _mm512_mask_add_ps(old, here[v], old, leaf) : _mm512_add_ps(old, leaf));
        }
    } else {
        const uint32_t *halves = trees->leaf_halves + p * 2 * CK_PIECE_LEAVES;
        const __m512i a = _mm512_load_si512(halves), b = _mm512_load_si512(halves + 16);
        const __m512i c = _mm512_load_si512(halves + 32), d = _mm512_load_si512(halves + 48);
        double *sum = sums + (size_t)piece->output * CK_TREE_ROWS;
        for (int v = 0; v < n; v++) {
            // A row whose leaf is elsewhere adds 0, and -0 + 0 = 0: sums begin with no -0.
            __m512i low = _mm512_permutex2var_epi32(a, left[v], b), high = _mm512_permutex2var_epi32(c, left[v], d);
            if (cut) {
                low = _mm512_maskz_mov_epi32(here[v], low);
                high = _mm512_maskz_mov_epi32(here[v], high);
            }
            double *s = sum + v * 16;
            _mm512_store_pd(s, _mm512_add_pd(_mm512_load_pd(s), _mm512_castsi512_pd(_mm512_unpacklo_epi32(low, high))));
            _mm512_store_pd(
                s + 8, _mm512_add_pd(_mm512_load_pd(s + 8), _mm512_castsi512_pd(_mm512_unpackhi_epi32(low, high))));
        }
    }
}

CKT_INLINE void pieces_over(const ck_trees *trees, const float *columns, double *sums, float *singles, const int n,
                            const int single, const int cut) {
    __mmask16 open[4] = {0, 0, 0, 0};
    for (size_t p = 0; p < trees->piece_count; p++)
        piece_over(trees, p, columns, sums, singles, n, single, cut, open);
}

CKT_INLINE void any_over(const ck_trees *trees, const float *columns, double *sums, float *singles, const int n) {
    if (trees->single)
        if (trees->cut) pieces_over(trees, columns, sums, singles, n, 1, 1);
        else pieces_over(trees, columns, sums, singles, n, 1, 0);
    else if (trees->cut) pieces_over(trees, columns, sums, singles, n, 0, 1);
    else pieces_over(trees, columns, sums, singles, n, 0, 0);
}

static void rows_together(const ck_trees *trees, const float *columns, size_t rows, double *sums, float *singles) {
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    for (size_t k = 0; k < trees->output_count; k++)
        for (size_t r = 0; r < CK_TREE_ROWS; r += 8) {
            // Adding 0 turns a -0 into 0; see piece_over.
            __m512d base = _mm512_set1_pd(trees->base[k] + 0.0);
            _mm512_store_pd(sums + k * CK_TREE_ROWS + r, base);
            _mm256_store_ps(singles + k * CK_TREE_ROWS + r, _mm512_cvtpd_ps(base));
        }
    if (rows <= 16) any_over(trees, columns, sums, singles, 1);
    else any_over(trees, columns, sums, singles, 4);
    for (size_t i = 0; i < trees->output_count * CK_TREE_ROWS; i += 16) {
        if (trees->single) {
            _mm512_store_pd(sums + i, _mm512_cvtps_pd(_mm256_load_ps(singles + i)));
            _mm512_store_pd(sums + i + 8, _mm512_cvtps_pd(_mm256_load_ps(singles + i + 8)));
        } else {
            __m512d a = _mm512_load_pd(sums + i), b = _mm512_load_pd(sums + i + 8);
            _mm512_store_pd(sums + i, _mm512_permutex2var_pd(a, first, b));
            _mm512_store_pd(sums + i + 8, _mm512_permutex2var_pd(a, second, b));
        }
    }
}

/// A group's slots over one row whose columns fill `n` pairs of vectors (0: more than there are registers for).
CKT_INLINE void slots(const ck_trees *trees, size_t from, size_t to, const float *columns, uint32_t *out,
                      const __m512 *row, const int n) {
    __m512i left = _mm512_set1_epi32(-1);
    for (size_t s = from; s < to; s++) {
        const size_t at = s * CK_TREE_LANES;
        const __m512i c = _mm512_load_si512(trees->columns + at);
        __m512 x;
        if (n == 0) {
            x = _mm512_i32gather_ps(c, columns, 4);
        } else {
            x = _mm512_permutex2var_ps(row[0], c, row[1]);
            if (n >= 2) {
                const __mmask16 odd = _mm512_test_epi32_mask(c, _mm512_set1_epi32(32));
                x = _mm512_mask_mov_ps(x, odd, _mm512_permutex2var_ps(row[2], c, row[3]));
                if (n == 4) {
                    __m512 y = _mm512_permutex2var_ps(row[4], c, row[5]);
                    y = _mm512_mask_mov_ps(y, odd, _mm512_permutex2var_ps(row[6], c, row[7]));
                    x = _mm512_mask_mov_ps(x, _mm512_test_epi32_mask(c, _mm512_set1_epi32(64)), y);
                }
            }
        }
        const __mmask16 missing = _mm512_mask_cmp_ps_mask(trees->nan_right[s], x, x, _CMP_UNORD_Q);
        const __mmask16 right = _mm512_cmp_ps_mask(x, _mm512_load_ps(trees->thresholds + at), _CMP_GE_OQ) | missing;
        left = _mm512_mask_and_epi32(left, right, left, _mm512_load_si512(trees->masks + at));
    }
    _mm512_storeu_si512(out, left);
}

CKT_INLINE void groups_over(const ck_trees *trees, const float *columns, double *sums, float *singles, const int n) {
    __m512 row[8];
    for (int i = 0; i < 2 * n; i++) row[i] = _mm512_loadu_ps(columns + i * 16);
    int open = 0;
    size_t groups = (trees->piece_count + CK_TREE_LANES - 1) / CK_TREE_LANES;
    for (size_t g = 0; g < groups; g++) {
        uint32_t left[CK_TREE_LANES];
        slots(trees, trees->group_slots[g], trees->group_slots[g + 1], columns, left, row, n);
        ck_add_group(trees, g, left, columns, sums, singles, &open);
    }
}

static void row_alone(const ck_trees *trees, const float *columns, double *sums, float *singles) {
    for (size_t k = 0; k < trees->output_count; k++) {
        sums[k] = trees->base[k];
        singles[k] = (float)trees->base[k];
    }
    if (trees->column_count <= 32) groups_over(trees, columns, sums, singles, 1);
    else if (trees->column_count <= 64) groups_over(trees, columns, sums, singles, 2);
    else if (trees->column_count <= 128) groups_over(trees, columns, sums, singles, 4);
    else groups_over(trees, columns, sums, singles, 0);
    if (trees->single)
        for (size_t k = 0; k < trees->output_count; k++) sums[k] = singles[k];
}

const ck_tree_kernels ck_trees_avx512 = {prepare, rows_together, row_alone};

#pragma clang attribute pop
#endif
