// AVX2 without VNNI: eight rows at a time, products of codes widened to 16 bits.
#if defined(__x86_64__)
#include "bounds.h"
#include <immintrin.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

/// Adds the products of four codes in each of eight lanes. The probe's four are given twice: widened to 16 bits.
CK_INLINE __m256i add_group(__m256i sum, __m128i first, __m128i second, __m256i probe) {
    // Two halves of four rows each; the pairwise sums of a row's four products are folded by the horizontal add.
    __m256i low = _mm256_madd_epi16(_mm256_cvtepu8_epi16(first), probe);
    __m256i high = _mm256_madd_epi16(_mm256_cvtepu8_epi16(second), probe);
    __m256i folded = _mm256_hadd_epi32(low, high);  // rows 0 1 4 5 2 3 6 7
    return _mm256_add_epi32(sum, _mm256_permute4x64_epi64(folded, 0xD8));
}

CK_INLINE __m256i widened(const ck_probe *probe, size_t g) {
    int32_t four;
    memcpy(&four, probe->codes + g * 4, 4);
    return _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
}

CK_INLINE __m256 halves(const uint8_t *place) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)place)); }

CK_INLINE __m256 known(const uint8_t *block, const ck_level *level, size_t side) {
    const ck_probe *probe = level->probe;
    const __m128i low = _mm_set1_epi8(15);
    __m256i sum = _mm256_set1_epi32(probe->bias);
    for (size_t g = 0; g < probe->groups; g++) {
        const uint8_t *codes = block + 64 + (level->nibbles ? g / 2 : g) * 64 + side * 32;
        __m128i first = _mm_loadu_si128((const __m128i *)codes), second = _mm_loadu_si128((const __m128i *)(codes + 16));
        if (level->nibbles) {
            if (g % 2) first = _mm_srli_epi16(first, 4), second = _mm_srli_epi16(second, 4);
            first = _mm_and_si128(first, low), second = _mm_and_si128(second, low);
        }
        sum = add_group(sum, first, second, widened(probe, g));
    }
    return _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(probe->scale)), halves(block + side * 16));
}

static size_t scan(const ck_level *levels, size_t level_count, const float *offsets, size_t from, size_t to,
                   float threshold, uint32_t *hits) {
    const __m256 bar = _mm256_set1_ps(threshold);
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        for (size_t side = 0; side < 2; side++) {
            __m256 score = offsets ? _mm256_loadu_ps(offsets + i * CK_BLOCK_ROWS + side * 8) : _mm256_setzero_ps();
            unsigned hit = 0xFF;
            for (size_t level = 0; level < level_count && hit; level++) {
                const ck_probe *probe = levels[level].probe;
                const uint8_t *block = levels[level].blocks + i * ck_block_bytes(probe->groups, levels[level].nibbles);
                score = _mm256_add_ps(score, known(block, &levels[level], side));
                __m256 bound = _mm256_fmadd_ps(_mm256_set1_ps(probe->rest), halves(block + 32 + side * 16), score);
                hit &= (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(bound, bar, _CMP_NLT_UQ));
            }
            for (; hit; hit &= hit - 1)
                hits[count++] = (uint32_t)(i * CK_BLOCK_ROWS + side * 8) + (uint32_t)__builtin_ctz(hit);
        }
    }
    return count;
}

static size_t rows(const uint8_t *codes, size_t stride, const float *scales, const float *offsets,
                   const ck_probe *probe, const uint32_t *positions, size_t n, float threshold, uint32_t *hits) {
    size_t bytes = probe->groups * 4, whole = bytes & ~(size_t)15, count = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t position = positions[i];
        const uint8_t *x = codes + position * stride;
        if (i + 8 < n)
            for (size_t line = 0; line < bytes && line < 256; line += 64)
                _mm_prefetch((const char *)codes + positions[i + 8] * stride + line, _MM_HINT_T0);
        __m256i sum = _mm256_setzero_si256();
        for (size_t j = 0; j < whole; j += 16)
            sum = _mm256_add_epi32(
                sum, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(x + j))),
                                       _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(probe->codes + j)))));
        __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        half = _mm_hadd_epi32(half, half);
        half = _mm_hadd_epi32(half, half);
        int32_t dot = _mm_cvtsi128_si32(half) + probe->bias;
        for (size_t j = whole; j < bytes; j++) dot += x[j] * probe->codes[j];
        float bound = (float)dot * probe->scale * scales[position];
        if (offsets) bound += offsets[position];
        hits[count] = position;
        count += !(bound < threshold);
    }
    return count;
}

#pragma clang attribute pop

const ck_bounds ck_bounds_avx2 = {.scan = scan, .rows = rows};
#endif
