// AVX-512: two bfloat16 (BF16) or four bytes (VNNI) of sixteen columns in one instruction, 25 sums in 32 registers.
#if defined(__x86_64__)
#include "layers.h"
#include <immintrin.h>

enum { ROWS = 5, PANELS = 5 };

// All tiles of `panels` (constant) neighbouring panels; TILE(first row, rows, panels) computes one.
#define TILES(panels) \
    do { \
        size_t r = 0; \
        for (; r + ROWS <= m; r += ROWS) TILE(r, ROWS, panels); \
        switch (m - r) { \
        case 4: TILE(r, 4, panels); break; \
        case 3: TILE(r, 3, panels); break; \
        case 2: TILE(r, 2, panels); break; \
        case 1: TILE(r, 1, panels); break; \
        } \
    } while (0)
#define GROUP(panels) \
    switch (panels) { \
    case 5: TILES(5); break; \
    case 4: TILES(4); break; \
    case 3: TILES(3); break; \
    case 2: TILES(2); break; \
    case 1: TILES(1); break; \
    }

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma"))), apply_to = function)

// The first 32 bits of a step, in all places. memcpy: the rows are of other types.
CKL_INLINE __m512i broadcast(const void *step) {
    int32_t bits;
    memcpy(&bits, step, sizeof bits);
    return _mm512_set1_epi32(bits);
}

CKL_INLINE void tile_bf16(const uint16_t *a, size_t lda, size_t steps, const uint16_t *packed, const float *bias,
                          int relu, void *out, size_t ldout, int narrow, int rows, int panels) {
    __m512 sum[ROWS][PANELS];
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++) sum[r][p] = _mm512_loadu_ps(bias + p * CK_PANEL);
    for (size_t t = 0; t < steps; t++) {
        __m512bh right[PANELS];
        for (int p = 0; p < panels; p++)
            right[p] = (__m512bh)_mm512_loadu_si512(packed + (p * steps + t) * 2 * CK_PANEL);
        for (int r = 0; r < rows; r++) {
            __m512bh left = (__m512bh)broadcast(a + r * lda + t * 2);
            for (int p = 0; p < panels; p++) sum[r][p] = _mm512_dpbf16_ps(sum[r][p], left, right[p]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++) {
            __m512 value = relu ? _mm512_max_ps(sum[r][p], _mm512_setzero_ps()) : sum[r][p];
            size_t at = r * ldout + p * CK_PANEL;
            if (narrow)
                _mm256_storeu_si256((__m256i *)((uint16_t *)out + at), (__m256i)_mm512_cvtneps_pbh(value));
            else
                _mm512_storeu_ps((float *)out + at, value);
        }
}

static void bf16(const uint16_t *a, size_t lda, size_t m, size_t steps, const uint16_t *packed, size_t panels,
                 const float *bias, int relu, void *out, size_t ldout, int narrow) {
    size_t groups = (panels + PANELS - 1) / PANELS, width = narrow ? sizeof(uint16_t) : sizeof(float);
    for (size_t g = 0; g < groups; g++) {
        size_t first = panels * g / groups, count = panels * (g + 1) / groups - first;
        const uint16_t *w = packed + first * steps * 2 * CK_PANEL;
        const float *from = bias + first * CK_PANEL;
        char *to = (char *)out + first * CK_PANEL * width;
#define TILE(row, rows, panels) \
    tile_bf16(a + (row) * lda, lda, steps, w, from, relu, to + (row) * ldout * width, ldout, narrow, rows, panels)
        GROUP(count)
#undef TILE
    }
}

static void narrow(const float *values, size_t count, uint16_t *out) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16)
        _mm256_storeu_si256((__m256i *)(out + i), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(values + i)));
    for (; i < count; i++) out[i] = ck_to_bf16(values[i]);
}

#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma"))), \
                             apply_to = function)

CKL_INLINE __m512i broadcast_bytes(const uint8_t *step) {
    int32_t bits;
    memcpy(&bits, step, sizeof bits);
    return _mm512_set1_epi32(bits);
}

CKL_INLINE void tile_u8(const ck_byte_rows *a, size_t row, size_t steps, const ck_byte_weights *weights, size_t column,
                        const float *bias, int relu, float *out, size_t ldout, int rows, int panels) {
    const uint8_t *bytes = a->bytes + row * a->stride;
    const int8_t *packed = weights->packed + column * steps * 4;
    size_t stride = a->stride;
    __m512i sum[ROWS][PANELS], zero = _mm512_set1_epi32(-a->zero);
    for (int p = 0; p < panels; p++) {
        __m512i begin = _mm512_mullo_epi32(zero, _mm512_loadu_si512(weights->sums + column + p * CK_PANEL));
        for (int r = 0; r < rows; r++) sum[r][p] = begin;
    }
    for (size_t t = 0; t < steps; t++) {
        __m512i right[PANELS];
        for (int p = 0; p < panels; p++) right[p] = _mm512_loadu_si512(packed + (p * steps + t) * 4 * CK_PANEL);
        for (int r = 0; r < rows; r++) {
            __m512i left = broadcast_bytes(bytes + r * stride + t * 4);
            for (int p = 0; p < panels; p++) sum[r][p] = _mm512_dpbusd_epi32(sum[r][p], left, right[p]);
        }
    }
    for (int p = 0; p < panels; p++) {
        __m512 scale = _mm512_loadu_ps(weights->scales + column + p * CK_PANEL);
        __m512 start = _mm512_loadu_ps(bias + column + p * CK_PANEL);
        for (int r = 0; r < rows; r++) {
            __m512 unit = _mm512_mul_ps(_mm512_set1_ps(a->scales[row + r]), scale);
            __m512 value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][p]), unit, start);
            if (relu) value = _mm512_max_ps(value, _mm512_setzero_ps());
            _mm512_storeu_ps(out + (row + r) * ldout + column + p * CK_PANEL, value);
        }
    }
}

static void u8(const ck_byte_rows *a, size_t m, size_t steps, const ck_byte_weights *weights, size_t panels,
               const float *bias, int relu, float *out, size_t ldout) {
    size_t groups = (panels + PANELS - 1) / PANELS;
    for (size_t g = 0; g < groups; g++) {
        size_t first = panels * g / groups, count = panels * (g + 1) / groups - first, column = first * CK_PANEL;
#define TILE(row, rows, panels) tile_u8(a, row, steps, weights, column, bias, relu, out, ldout, rows, panels)
        GROUP(count)
#undef TILE
    }
}

static void to_bytes(const float *rows, size_t stride, size_t m, size_t count, int is_signed, uint8_t *out,
                     size_t out_stride, float *scales) {
    __m512i zero = _mm512_set1_epi32(is_signed ? 128 : 0), most = _mm512_set1_epi32(255);
    for (size_t r = 0; r < m; r++) {
        const float *row = rows + r * stride;
        __m512 largest = _mm512_setzero_ps();
        for (size_t i = 0; i < count; i += 16)
            largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_loadu_ps(row + i)));
        scales[r] = ck_byte_scale(_mm512_reduce_max_ps(largest), is_signed);
        __m512 inverse = _mm512_set1_ps(scales[r] > 0 ? 1 / scales[r] : 0);
        for (size_t i = 0; i < count; i += 16) {
            __m512i value = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(row + i), inverse));
            value = _mm512_max_epi32(_mm512_add_epi32(value, zero), _mm512_setzero_si512());
            _mm_storeu_si128((__m128i *)(out + r * out_stride + i), _mm512_cvtepi32_epi8(_mm512_min_epi32(value, most)));
        }
    }
}

#pragma clang attribute pop

const ck_layers ck_layers_avx512 = {bf16, u8, narrow, to_bytes};
#endif
