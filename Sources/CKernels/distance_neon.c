// NEON (64-bit ARM): four rows at a time, one accumulator per row.
#if defined(__aarch64__)
#include "distance.h"
#include <arm_neon.h>
#include <string.h>

CK_INLINE float32x4_t step(int l2, float32x4_t sum, float32x4_t q, float32x4_t x) {
    if (!l2) return vfmaq_f32(sum, q, x);
    float32x4_t difference = vsubq_f32(q, x);
    return vfmsq_f32(sum, difference, difference);
}

CK_INLINE float32x4_t load(int half, const void *row, size_t at) {
    if (half) return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)row + at)));
    return vld1q_f32((const float *)row + at);
}

CK_INLINE float32x4_t load_tail(int half, size_t count, const void *row, size_t at) {
    if (half) {
        uint16_t part[4] = {0};
        for (size_t i = 0; i < count; i++) part[i] = ((const uint16_t *)row)[at + i];
        return load(1, part, 0);
    }
    float part[4] = {0};
    for (size_t i = 0; i < count; i++) part[i] = ((const float *)row)[at + i];
    return vld1q_f32(part);
}

CK_INLINE float32x4_t score4(int l2, int half, const float *q, const void *const *row, size_t d) {
    float32x4_t sum[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t whole = d & ~(size_t)3;
    for (size_t at = 0; at < whole; at += 4) {
        float32x4_t part = vld1q_f32(q + at);
        for (int r = 0; r < 4; r++) sum[r] = step(l2, sum[r], part, load(half, row[r], at));
    }
    if (d & 3) {
        float32x4_t part = load_tail(0, d & 3, q, whole);
        for (int r = 0; r < 4; r++) sum[r] = step(l2, sum[r], part, load_tail(half, d & 3, row[r], whole));
    }
    return vpaddq_f32(vpaddq_f32(sum[0], sum[1]), vpaddq_f32(sum[2], sum[3]));
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
                for (size_t line = 0; line < row_bytes && line < 1024; line += 64) ck_prefetch(next + line);
            }
        }
        float32x4_t score = score4(l2, half, q, row, d);
        if (left == 4)
            vst1q_f32(out + i, score);
        else {
            float part[4];
            vst1q_f32(part, score);
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
    size_t hits = 0;
    for (size_t i = 0; i < n; i += 4) {
        size_t left = n - i < 4 ? n - i : 4;
        const void *row[4];
        for (size_t r = 0; r < 4; r++) row[r] = rows + (i + (r < left ? r : left - 1)) * stride;
        float32x4_t score = score4(l2, 0, q, row, d);
        if (row_scale) score = vmulq_f32(score, left == 4 ? load(0, row_scale, i) : load_tail(0, left, row_scale, i));
        uint32x4_t below = vcltq_f32(score, vdupq_n_f32(threshold));
        if (__builtin_expect(vminvq_u32(below) == 0, 0)) {
            float part[4];
            vst1q_f32(part, score);
            for (size_t lane = 0; lane < left; lane++) {
                if (part[lane] < threshold) continue;
                hit_rows[hits] = first + (uint32_t)(i + lane);
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
    for (; i + 4 <= n; i += 4) vst1q_f32(out + i, load(1, source, i));
    if (i < n) {
        float part[4];
        vst1q_f32(part, load_tail(1, n - i, source, i));
        memcpy(out + i, part, (n - i) * sizeof(float));
    }
}

static void f32_to_f16(const float *source, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i += 4) {
        size_t left = n - i < 4 ? n - i : 4;
        uint16_t part[4];
        vst1_u16(part, vreinterpret_u16_f16(vcvt_f16_f32(load_tail(0, left, source, i))));
        memcpy(out + i, part, left * sizeof(uint16_t));
    }
}

static void axpy(float a, const float *x, size_t n, float *y) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vst1q_f32(y + i, vfmaq_n_f32(vld1q_f32(y + i), vld1q_f32(x + i), a));
    for (; i < n; i++) y[i] += a * x[i];
}

static int all_finite(const float *x, size_t n) {
    uint32x4_t bad = vdupq_n_u32(0);
    const uint32x4_t exponent = vdupq_n_u32(0x7F800000u);
    for (size_t i = 0; i < n; i += 4) {
        uint32x4_t bits = vreinterpretq_u32_f32(n - i < 4 ? load_tail(0, n - i, x, i) : load(0, x, i));
        bad = vorrq_u32(bad, vceqq_u32(vandq_u32(bits, exponent), exponent));
    }
    return vmaxvq_u32(bad) == 0;
}

const ck_distance ck_distance_neon = {
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
