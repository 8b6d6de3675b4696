// AVX-512: eight rows at a time, one accumulator per row, sums folded together at the end.
#if defined(__x86_64__)
#include "distance.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)

CK_INLINE __m512 step(int l2, __m512 sum, __m512 q, __m512 x) {
    if (!l2) return _mm512_fmadd_ps(q, x, sum);
    __m512 difference = _mm512_sub_ps(q, x);
    return _mm512_fnmadd_ps(difference, difference, sum);
}

CK_INLINE __m512 load(int half, const void *row, size_t at) {
    if (half) return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)((const uint16_t *)row + at)));
    return _mm512_loadu_ps((const float *)row + at);
}

CK_INLINE __m512 load_tail(int half, __mmask16 mask, const void *row, size_t at) {
    if (half) return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)row + at));
    return _mm512_maskz_loadu_ps(mask, (const float *)row + at);
}

CK_INLINE __m256 fold(__m512 a) {
    return _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
}

/// The sums of eight accumulators, in order.
CK_INLINE __m256 sums8(const __m512 *a) {
    __m256 x = _mm256_hadd_ps(_mm256_hadd_ps(fold(a[0]), fold(a[1])), _mm256_hadd_ps(fold(a[2]), fold(a[3])));
    __m256 y = _mm256_hadd_ps(_mm256_hadd_ps(fold(a[4]), fold(a[5])), _mm256_hadd_ps(fold(a[6]), fold(a[7])));
    return _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
}

/// The sums of four accumulators, added in the order of `sums8`.
CK_INLINE __m128 sums4(const __m512 *a) {
    __m256 x = _mm256_hadd_ps(_mm256_hadd_ps(fold(a[0]), fold(a[1])), _mm256_hadd_ps(fold(a[2]), fold(a[3])));
    return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
}

CK_INLINE void accumulate(int l2, int half, int count, const float *q, const void *const *row, size_t d, __m512 *sum) {
    for (int r = 0; r < count; r++) sum[r] = _mm512_setzero_ps();
    size_t whole = d & ~(size_t)15;
#pragma clang loop unroll_count(4)
    for (size_t at = 0; at < whole; at += 16) {
        __m512 part = _mm512_loadu_ps(q + at);
        for (int r = 0; r < count; r++) sum[r] = step(l2, sum[r], part, load(half, row[r], at));
    }
    if (d & 15) {
        __mmask16 mask = (__mmask16)((1u << (d & 15)) - 1);
        __m512 part = _mm512_maskz_loadu_ps(mask, q + whole);
        for (int r = 0; r < count; r++) sum[r] = step(l2, sum[r], part, load_tail(half, mask, row[r], whole));
    }
}

CK_INLINE __m256 score8(int l2, int half, const float *q, const void *const *row, size_t d) {
    __m512 sum[8];
    accumulate(l2, half, 8, q, row, d, sum);
    return sums8(sum);
}

CK_INLINE __m128 score4(int l2, int half, const float *q, const void *const *row, size_t d) {
    __m512 sum[4];
    accumulate(l2, half, 4, q, row, d, sum);
    return sums4(sum);
}

CK_INLINE const void *row_at(int half, const void *base, size_t element) {
    return (const char *)base + element * (half ? 2 : 4);
}

/// Rows at base + index * stride, where the index of row i is ids[i], or i without ids.
CK_INLINE void score_all(int l2, int half, const float *q, const void *base, size_t stride, const uint32_t *ids,
                         size_t n, size_t d, float *out) {
    const void *row[8];
    size_t i = 0;
    size_t row_bytes = d * (half ? 2 : 4);
    for (; i + 8 <= n; i += 8) {
        for (int r = 0; r < 8; r++) row[r] = row_at(half, base, (ids ? ids[i + r] : i + r) * stride);
        if (ids) {
            size_t ahead = n - i - 8 < 8 ? n - i - 8 : 8;
            for (size_t r = 0; r < ahead; r++) {
                const char *next = row_at(half, base, ids[i + 8 + r] * stride);
                for (size_t line = 0; line < row_bytes && line < 1024; line += 64) _mm_prefetch(next + line, _MM_HINT_T0);
            }
        }
        _mm256_storeu_ps(out + i, score8(l2, half, q, row, d));
    }
    while (i < n) {
        size_t left = n - i < 4 ? n - i : 4;
        for (size_t r = 0; r < 4; r++) {
            size_t at = i + (r < left ? r : left - 1);
            row[r] = row_at(half, base, (ids ? ids[at] : at) * stride);
        }
        _mm_mask_storeu_ps(out + i, (__mmask8)((1u << left) - 1), score4(l2, half, q, row, d));
        i += left;
    }
}

// A known dimension lets the compiler unroll; the order of additions stays the same.
#define BY_DIMENSION(d, CALL)            \
    switch (d) {                         \
    case 32: { enum { D = 32 }; CALL; }  \
    case 64: { enum { D = 64 }; CALL; }  \
    case 128: { enum { D = 128 }; CALL; }\
    default: { const size_t D = d; CALL; } \
    }

static void dot_rows(const float *q, const float *rows, size_t stride, size_t n, size_t d, float *out) {
    BY_DIMENSION(d, score_all(0, 0, q, rows, stride, NULL, n, D, out); return)
}

static void l2_rows(const float *q, const float *rows, size_t stride, size_t n, size_t d, float *out) {
    BY_DIMENSION(d, score_all(1, 0, q, rows, stride, NULL, n, D, out); return)
}

static void dot_gather(const float *q, const float *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                       float *out) {
    BY_DIMENSION(d, score_all(0, 0, q, base, stride, ids, n, D, out); return)
}

static void l2_gather(const float *q, const float *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                      float *out) {
    BY_DIMENSION(d, score_all(1, 0, q, base, stride, ids, n, D, out); return)
}

static void dot_rows_f16(const float *q, const uint16_t *rows, size_t stride, size_t n, size_t d, float *out) {
    BY_DIMENSION(d, score_all(0, 1, q, rows, stride, NULL, n, D, out); return)
}

static void dot_gather_f16(const float *q, const uint16_t *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                           float *out) {
    BY_DIMENSION(d, score_all(0, 1, q, base, stride, ids, n, D, out); return)
}

static void l2_gather_f16(const float *q, const uint16_t *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                          float *out) {
    BY_DIMENSION(d, score_all(1, 1, q, base, stride, ids, n, D, out); return)
}

CK_INLINE size_t scan(int l2, const float *q, const float *rows, size_t stride, size_t n, size_t d,
                      const float *row_scale, float threshold, uint32_t first, uint32_t *hit_rows, float *hit_scores) {
    const __m256 bar = _mm256_set1_ps(threshold);
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const void *row[8];
    size_t hits = 0;
    for (size_t i = 0; i < n; i += 8) {
        size_t left = n - i < 8 ? n - i : 8;
        __mmask8 valid = (__mmask8)((1u << left) - 1);
        if (__builtin_expect(left == 8, 1))
            for (size_t r = 0; r < 8; r++) row[r] = rows + (i + r) * stride;
        else
            for (size_t r = 0; r < 8; r++) row[r] = rows + (i + (r < left ? r : left - 1)) * stride;
        __m256 score = score8(l2, 0, q, row, d);
        if (row_scale) score = _mm256_mul_ps(score, _mm256_maskz_loadu_ps(valid, row_scale + i));
        __mmask8 hit = _mm256_mask_cmp_ps_mask(valid, score, bar, _CMP_NLT_UQ);
        if (__builtin_expect(hit != 0, 0)) {
            __m256i numbers = _mm256_add_epi32(_mm256_set1_epi32((int)(first + (uint32_t)i)), lanes);
            _mm256_storeu_ps(hit_scores + hits, _mm256_maskz_compress_ps(hit, score));
            _mm256_storeu_si256((__m256i *)(hit_rows + hits), _mm256_maskz_compress_epi32(hit, numbers));
            hits += (size_t)__builtin_popcount(hit);
        }
    }
    return hits;
}

static size_t dot_scan(const float *q, const float *rows, size_t stride, size_t n, size_t d, const float *row_scale,
                       float threshold, uint32_t first, uint32_t *hit_rows, float *hit_scores) {
    BY_DIMENSION(d, return scan(0, q, rows, stride, n, D, row_scale, threshold, first, hit_rows, hit_scores))
}

static size_t l2_scan(const float *q, const float *rows, size_t stride, size_t n, size_t d, float threshold,
                      uint32_t first, uint32_t *hit_rows, float *hit_scores) {
    BY_DIMENSION(d, return scan(1, q, rows, stride, n, D, NULL, threshold, first, hit_rows, hit_scores))
}

static void f16_to_f32(const uint16_t *source, size_t n, float *out) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(out + i, load(1, source, i));
    if (i < n) {
        __mmask16 mask = (__mmask16)((1u << (n - i)) - 1);
        _mm512_mask_storeu_ps(out + i, mask, load_tail(1, mask, source, i));
    }
}

static void f32_to_f16(const float *source, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xFFFF;
        __m512 x = _mm512_maskz_loadu_ps(mask, source + i);
        _mm256_mask_storeu_epi16(out + i, mask, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
}

static void axpy(float a, const float *x, size_t n, float *y) {
    __m512 factor = _mm512_set1_ps(a);
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, _mm512_fmadd_ps(factor, _mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i)));
    if (i < n) {
        __mmask16 mask = (__mmask16)((1u << (n - i)) - 1);
        __m512 sum = _mm512_fmadd_ps(factor, _mm512_maskz_loadu_ps(mask, x + i), _mm512_maskz_loadu_ps(mask, y + i));
        _mm512_mask_storeu_ps(y + i, mask, sum);
    }
}

static int all_finite(const float *x, size_t n) {
    __mmask16 bad = 0;
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xFFFF;
        bad |= _mm512_fpclass_ps_mask(_mm512_maskz_loadu_ps(mask, x + i), 0x99);  // NaNs and infinities
    }
    return bad == 0;
}

#pragma clang attribute pop

const ck_distance ck_distance_avx512 = {
    .dot_rows = dot_rows,
    .l2_rows = l2_rows,
    .dot_gather = dot_gather,
    .l2_gather = l2_gather,
    .dot_scan = dot_scan,
    .l2_scan = l2_scan,
    .dot_rows_f16 = dot_rows_f16,
    .dot_gather_f16 = dot_gather_f16,
    .l2_gather_f16 = l2_gather_f16,
    .f16_to_f32 = f16_to_f32,
    .f32_to_f16 = f32_to_f16,
    .axpy = axpy,
    .all_finite = all_finite,
};
#endif
