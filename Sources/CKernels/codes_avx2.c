// AVX2: four rows at a time, products of codes widened to 16 bits.
#if defined(__x86_64__)
#include "codes.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

static void gather(const uint8_t *base, size_t stride, const ck_code_query *query, const uint32_t *ids, size_t n,
                   float *out) {
    for (size_t i = 0; i < n; i += 4) {
        size_t left = n - i < 4 ? n - i : 4;
        const uint8_t *row[4];
        __m256i sum[4];
        for (size_t r = 0; r < 4; r++) row[r] = base + ids[i + (r < left ? r : left - 1)] * stride;
        size_t ahead = n - i - left < 4 ? n - i - left : 4;
        for (size_t r = 0; r < ahead; r++) ck_prefetch_codes(base + ids[i + 4 + r] * stride, stride);
        for (size_t r = 0; r < 4; r++) sum[r] = _mm256_setzero_si256();
        for (size_t j = 0; j < stride; j += 16) {
            __m256i part = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(query->codes + j)));
            for (size_t r = 0; r < 4; r++) {
                __m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(row[r] + j)));
                sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(x, part));
            }
        }
        __m256i x = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0], sum[1]), _mm256_hadd_epi32(sum[2], sum[3]));
        int32_t dot[4];
        _mm_storeu_si128((__m128i *)dot, _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
        for (size_t r = 0; r < left; r++) out[i + r] = ck_codes_score(dot[r], query, row[r], stride);
    }
}

#define CODES_TABLE ck_codes_avx2
#include "codes_body.h"

#pragma clang attribute pop
#endif
