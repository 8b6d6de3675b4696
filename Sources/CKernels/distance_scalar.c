// The twin that the others are tested against, and the fallback of a machine without SIMD.
#include "distance.h"
#include "half.h"

CK_INLINE float dot(const float *a, const float *b, size_t d) {
    float sum = 0;
    for (size_t i = 0; i < d; i++) sum += a[i] * b[i];
    return sum;
}

CK_INLINE float l2(const float *a, const float *b, size_t d) {
    float sum = 0;
    for (size_t i = 0; i < d; i++) {
        float difference = a[i] - b[i];
        sum += difference * difference;
    }
    return -sum;
}

CK_INLINE float dot_half(const float *a, const uint16_t *b, size_t d) {
    float sum = 0;
    for (size_t i = 0; i < d; i++) sum += a[i] * ck_half_to_float(b[i]);
    return sum;
}

CK_INLINE float l2_half(const float *a, const uint16_t *b, size_t d) {
    float sum = 0;
    for (size_t i = 0; i < d; i++) {
        float difference = a[i] - ck_half_to_float(b[i]);
        sum += difference * difference;
    }
    return -sum;
}

static void dot_rows(const float *q, const float *rows, size_t stride, size_t n, size_t d, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = dot(q, rows + i * stride, d);
}

static void l2_rows(const float *q, const float *rows, size_t stride, size_t n, size_t d, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = l2(q, rows + i * stride, d);
}

static void dot_gather(const float *q, const float *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                       float *out) {
    for (size_t i = 0; i < n; i++) out[i] = dot(q, base + ids[i] * stride, d);
}

static void l2_gather(const float *q, const float *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                      float *out) {
    for (size_t i = 0; i < n; i++) out[i] = l2(q, base + ids[i] * stride, d);
}

static size_t dot_scan(const float *q, const float *rows, size_t stride, size_t n, size_t d, const float *row_scale,
                       float threshold, uint32_t first, uint32_t *hit_rows, float *hit_scores) {
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        float score = dot(q, rows + i * stride, d);
        if (row_scale) score *= row_scale[i];
        if (score < threshold) continue;
        hit_rows[hits] = first + (uint32_t)i;
        hit_scores[hits++] = score;
    }
    return hits;
}

static size_t l2_scan(const float *q, const float *rows, size_t stride, size_t n, size_t d, float threshold,
                      uint32_t first, uint32_t *hit_rows, float *hit_scores) {
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        float score = l2(q, rows + i * stride, d);
        if (score < threshold) continue;
        hit_rows[hits] = first + (uint32_t)i;
        hit_scores[hits++] = score;
    }
    return hits;
}

static void dot_rows_f16(const float *q, const uint16_t *rows, size_t stride, size_t n, size_t d, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = dot_half(q, rows + i * stride, d);
}

static void dot_gather_f16(const float *q, const uint16_t *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                           float *out) {
    for (size_t i = 0; i < n; i++) out[i] = dot_half(q, base + ids[i] * stride, d);
}

static void l2_gather_f16(const float *q, const uint16_t *base, size_t stride, const uint32_t *ids, size_t n, size_t d,
                          float *out) {
    for (size_t i = 0; i < n; i++) out[i] = l2_half(q, base + ids[i] * stride, d);
}

static void f16_to_f32(const uint16_t *source, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = ck_half_to_float(source[i]);
}

static void f32_to_f16(const float *source, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = ck_float_to_half(source[i]);
}

static void axpy(float a, const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

static int all_finite(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((ck_bits(x[i]) & 0x7F800000u) == 0x7F800000u) return 0;
    return 1;
}

const ck_distance ck_distance_scalar = {
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
