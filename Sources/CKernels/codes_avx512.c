// AVX-512 with VNNI: eight rows at a time, 64 products an instruction.
#if defined(__x86_64__)
#include "codes.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)

CK_INLINE __m256i fold(__m512i a) {
    return _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
}

CK_INLINE __m256i sums8(const __m512i *a) {
    __m256i x = _mm256_hadd_epi32(_mm256_hadd_epi32(fold(a[0]), fold(a[1])), _mm256_hadd_epi32(fold(a[2]), fold(a[3])));
    __m256i y = _mm256_hadd_epi32(_mm256_hadd_epi32(fold(a[4]), fold(a[5])), _mm256_hadd_epi32(fold(a[6]), fold(a[7])));
    return _mm256_add_epi32(_mm256_permute2x128_si256(x, y, 0x20), _mm256_permute2x128_si256(x, y, 0x31));
}

static void gather(const uint8_t *base, size_t stride, const ck_code_query *query, const uint32_t *ids, size_t n,
                   float *out) {
    for (size_t i = 0; i < n; i += 8) {
        size_t left = n - i < 8 ? n - i : 8;
        const uint8_t *row[8];
        __m512i sum[8];
        for (size_t r = 0; r < 8; r++) row[r] = base + ids[i + (r < left ? r : left - 1)] * stride;
        size_t ahead = n - i - left < 8 ? n - i - left : 8;
        for (size_t r = 0; r < ahead; r++) ck_prefetch_codes(base + ids[i + 8 + r] * stride, stride);
        for (size_t r = 0; r < 8; r++) sum[r] = _mm512_setzero_si512();
        for (size_t j = 0; j < stride; j += 64) {
            __m512i part = _mm512_loadu_si512(query->codes + j);
            for (size_t r = 0; r < 8; r++) sum[r] = _mm512_dpbusd_epi32(sum[r], _mm512_loadu_si512(row[r] + j), part);
        }
        int32_t dot[8];
        _mm256_storeu_si256((__m256i *)dot, sums8(sum));
        for (size_t r = 0; r < left; r++) out[i + r] = ck_codes_score(dot[r], query, row[r], stride);
    }
}

#define CODES_TABLE ck_codes_avx512
#include "codes_body.h"

#pragma clang attribute pop
#endif
