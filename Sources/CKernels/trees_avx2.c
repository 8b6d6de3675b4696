// AVX2: eight rows, or eight trees, at a time.
#if defined(__x86_64__)
#include "trees.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

enum { W = 8 };
typedef __m256 vf;
typedef __m256i vu;
CKT_INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
CKT_INLINE vf vf_set(float a) { return _mm256_set1_ps(a); }
CKT_INLINE vu vu_set(uint32_t a) { return _mm256_set1_epi32((int)a); }
CKT_INLINE void vu_store(uint32_t *p, vu a) { _mm256_storeu_si256((__m256i *)p, a); }
CKT_INLINE vu without(vu acc, vf right, vu out) {
    return _mm256_andnot_si256(_mm256_and_si256(_mm256_castps_si256(right), out), acc);
}
CKT_INLINE vu keep_below(vu acc, vf x, vf t, vu out) { return without(acc, _mm256_cmp_ps(x, t, _CMP_GE_OQ), out); }
CKT_INLINE vu keep_not_above(vu acc, vf x, vf t, vu out) {
    return without(acc, _mm256_cmp_ps(x, t, _CMP_NLT_UQ), out);
}

static void slots(const ck_trees *trees, size_t from, size_t to, const float *columns, uint32_t *left) {
    const vu ones = vu_set(0xFFFFFFFFu), bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    vu acc[2] = {ones, ones};
    for (size_t s = from; s < to; s++)
        for (int h = 0; h < 2; h++) {
            size_t at = s * CK_TREE_LANES + (size_t)h * 8;
            vf x = _mm256_i32gather_ps(columns, _mm256_loadu_si256((const __m256i *)(trees->columns + at)), 4);
            vu lanes = _mm256_and_si256(vu_set(trees->nan_right[s] >> (h * 8)), bit);
            vf missing = _mm256_and_ps(
                _mm256_cmp_ps(x, x, _CMP_UNORD_Q), _mm256_castsi256_ps(_mm256_cmpeq_epi32(lanes, bit)));
            vf right = _mm256_or_ps(_mm256_cmp_ps(x, vf_load(trees->thresholds + at), _CMP_GE_OQ), missing);
            vu masks = _mm256_loadu_si256((const __m256i *)(trees->masks + at));
            acc[h] = without(acc[h], right, _mm256_xor_si256(masks, ones));
        }
    vu_store(left, acc[0]);
    vu_store(left + 8, acc[1]);
}

#define TREES_TABLE ck_trees_avx2
#include "trees_body.h"

#pragma clang attribute pop
#endif
