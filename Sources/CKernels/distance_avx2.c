// AVX2 with FMA and F16C: four rows at a time, one accumulator per row.
#if defined(__x86_64__)
#include "distance.h"
#include <immintrin.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

CK_INLINE __m256 step(int l2, __m256 sum, __m256 q, __m256 x) {
    if (!l2) return _mm256_fmadd_ps(q, x, sum);
    __m256 difference = _mm256_sub_ps(q, x);
    return _mm256_fnmadd_ps(difference, difference, sum);
}

CK_INLINE __m256 load(int half, const void *row, size_t at) {
    if (half) return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)((const uint16_t *)row + at)));
    return _mm256_loadu_ps((const float *)row + at);
}

CK_INLINE __m256i tail_mask(size_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

CK_INLINE __m256 load_tail(int half, size_t count, const void *row, size_t at) {
    if (!half) return _mm256_maskload_ps((const float *)row + at, tail_mask(count));
    uint16_t part[8] = {0};
    for (size_t i = 0; i < count; i++) part[i] = ((const uint16_t *)row)[at + i];
    return load(1, part, 0);
}

CK_INLINE __m128 score4(int l2, int half, const float *q, const void *const *row, size_t d) {
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t whole = d & ~(size_t)7;
    for (size_t at = 0; at < whole; at += 8) {
        __m256 part = _mm256_loadu_ps(q + at);
        for (int r = 0; r < 4; r++) sum[r] = step(l2, sum[r], part, load(half, row[r], at));
    }
    if (d & 7) {
        __m256 part = load_tail(0, d & 7, q, whole);
        for (int r = 0; r < 4; r++) sum[r] = step(l2, sum[r], part, load_tail(half, d & 7, row[r], whole));
    }
    __m256 x = _mm256_hadd_ps(_mm256_hadd_ps(sum[0], sum[1]), _mm256_hadd_ps(sum[2], sum[3]));
    return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
}

CK_INLINE const void *row_at(int half, const void *base, size_t element) {
    return (const char *)base + element * (half ? 2 : 4);
}

CK_INLINE void score_all(int l2, int half, const float *q, const void *base, size_t stride, const uint32_t *ids,
                         size_t n, size_t d, float *out) {
    size_t row_bytes = d * (half ? 2 : 4);
    for (size_t i = 0; i < n; i += 4) {
        size_t left = n - i < 4 ? n - i : 4;
        const void *row[4];
        for (size_t r = 0; r < 4; r++) {
            size_t at = i + (r < left ? r : left - 1);
            row[r] = row_at(half, base, (ids ? ids[at] : at) * stride);
        }
        if (ids) {
            size_t ahead = n - i - left < 4 ? n - i - left : 4;
            for (size_t r = 0; r < ahead; r++) {
                const char *next = row_at(half, base, ids[i + 4 + r] * stride);
                for (size_t line = 0; line < row_bytes && line < 1024; line += 64) _mm_prefetch(next + line, _MM_HINT_T0);
            }
        }
        __m128 score = score4(l2, half, q, row, d);
        if (left == 4)
            _mm_storeu_ps(out + i, score);
        else {
            float part[4];
            _mm_storeu_ps(part, score);
            memcpy(out + i, part, left * sizeof(float));
        }
    }
}

static void dot_rows(const float *q, const float *rows, size_t stride, size_t n, size_t d, float *out) {
    score_all(0, 0, q, rows, stride, NULL, n, d, out);
}

static void l2_rows(const float *q, const float *rows, size_t stride, size_t n, size_t d, float *out) {
    score_all(1, 0, q, rows, stride, NULL, n, d, out);
}

static void dot_gather(const float *q, const float *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                       float *out) {
    score_all(0, 0, q, base, stride, ids, n, d, out);
}

static void l2_gather(const float *q, const float *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                      float *out) {
    score_all(1, 0, q, base, stride, ids, n, d, out);
}

static void dot_rows_f16(const float *q, const uint16_t *rows, size_t stride, size_t n, size_t d, float *out) {
    score_all(0, 1, q, rows, stride, NULL, n, d, out);
}

static void dot_gather_f16(const float *q, const uint16_t *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                           float *out) {
    score_all(0, 1, q, base, stride, ids, n, d, out);
}

static void l2_gather_f16(const float *q, const uint16_t *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                          float *out) {
    score_all(1, 1, q, base, stride, ids, n, d, out);
}

CK_INLINE size_t scan(int l2, const float *q, const float *rows, size_t stride, size_t n, size_t d,
                      const float *row_scale, float threshold, uint32_t first, uint32_t *hit_rows, float *hit_scores) {
    const __m128 bar = _mm_set1_ps(threshold);
    size_t hits = 0;
    for (size_t i = 0; i < n; i += 4) {
        size_t left = n - i < 4 ? n - i : 4;
        const void *row[4];
        for (size_t r = 0; r < 4; r++) row[r] = rows + (i + (r < left ? r : left - 1)) * stride;
        __m128 score = score4(l2, 0, q, row, d);
        if (row_scale) {
            float scale[4] = {0};
            memcpy(scale, row_scale + i, left * sizeof(float));
            score = _mm_mul_ps(score, _mm_loadu_ps(scale));
        }
        unsigned hit = (unsigned)_mm_movemask_ps(_mm_cmp_ps(score, bar, _CMP_NLT_UQ)) & ((1u << left) - 1);
        if (__builtin_expect(hit != 0, 0)) {
            float part[4];
            _mm_storeu_ps(part, score);
            for (; hit; hit &= hit - 1) {
                unsigned lane = (unsigned)__builtin_ctz(hit);
                hit_rows[hits] = first + (uint32_t)i + lane;
                hit_scores[hits++] = part[lane];
            }
        }
    }
    return hits;
}

static size_t dot_scan(const float *q, const float *rows, size_t stride, size_t n, size_t d, const float *row_scale,
                       float threshold, uint32_t first, uint32_t *hit_rows, float *hit_scores) {
    return scan(0, q, rows, stride, n, d, row_scale, threshold, first, hit_rows, hit_scores);
}

static size_t l2_scan(const float *q, const float *rows, size_t stride, size_t n, size_t d, float threshold,
                      uint32_t first, uint32_t *hit_rows, float *hit_scores) {
    return scan(1, q, rows, stride, n, d, NULL, threshold, first, hit_rows, hit_scores);
}

static void f16_to_f32(const uint16_t *source, size_t n, float *out) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, load(1, source, i));
    if (i < n) _mm256_maskstore_ps(out + i, tail_mask(n - i), load_tail(1, n - i, source, i));
}

static void f32_to_f16(const float *source, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i += 8) {
        size_t left = n - i < 8 ? n - i : 8;
        uint16_t part[8];
        __m128i half = _mm256_cvtps_ph(load_tail(0, left, source, i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm_storeu_si128((__m128i *)part, half);
        memcpy(out + i, part, left * sizeof(uint16_t));
    }
}

static void axpy(float a, const float *x, size_t n, float *y) {
    __m256 factor = _mm256_set1_ps(a);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(factor, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    if (i < n) {
        __m256 sum = _mm256_fmadd_ps(factor, load_tail(0, n - i, x, i), load_tail(0, n - i, y, i));
        _mm256_maskstore_ps(y + i, tail_mask(n - i), sum);
    }
}

static int all_finite(const float *x, size_t n) {
    const __m256i exponent = _mm256_set1_epi32(0x7F800000);
    __m256i bad = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 8) {
        __m256i bits = _mm256_castps_si256(load_tail(0, n - i < 8 ? n - i : 8, x, i));
        bad = _mm256_or_si256(bad, _mm256_cmpeq_epi32(_mm256_and_si256(bits, exponent), exponent));
    }
    return _mm256_testz_si256(bad, bad);
}

#pragma clang attribute pop

const ck_distance ck_distance_avx2 = {
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
