// AVX-512 with VNNI: sixteen rows of a block at a time, one lane per row.
#if defined(__x86_64__)
#include "bounds.h"
#include <immintrin.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)

CK_INLINE __m512i group_of(const ck_probe *probe, size_t g) {
    int32_t four;
    memcpy(&four, probe->codes + g * 4, 4);
    return _mm512_set1_epi32(four);
}

CK_INLINE __m512 halves(const uint8_t *place) {
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)place));
}

/// The scores of a block's rows as far as its codes know them, in the probe's scale.
CK_INLINE __m512 known_scaled(const uint8_t *block, const ck_probe *probe, size_t groups, int nibbles) {
    const __m512i low = _mm512_set1_epi8(15);
    __m512i even = _mm512_set1_epi32(probe->bias), odd = _mm512_setzero_si512();
    size_t g = 0;
    for (; g + 2 <= groups; g += 2) {
        __m512i a, b;
        if (nibbles) {
            __m512i pairs = _mm512_load_si512(block + 64 + g * 32);
            a = _mm512_and_si512(pairs, low);
            b = _mm512_and_si512(_mm512_srli_epi16(pairs, 4), low);
        } else {
            a = _mm512_load_si512(block + 64 + g * 64);
            b = _mm512_load_si512(block + 128 + g * 64);
        }
        even = _mm512_dpbusd_epi32(even, a, group_of(probe, g));
        odd = _mm512_dpbusd_epi32(odd, b, group_of(probe, g + 1));
    }
    if (g < groups) even = _mm512_dpbusd_epi32(even, _mm512_load_si512(block + 64 + g * 64), group_of(probe, g));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(even, odd)), halves(block));
}

CK_INLINE __m512 known(const uint8_t *block, const ck_probe *probe, size_t groups, int nibbles) {
    return _mm512_mul_ps(known_scaled(block, probe, groups, nibbles), _mm512_set1_ps(probe->scale));
}

/// Blocks that go through a level together, so that no branch depends on a single block's outcome.
enum { CHUNK = 64 };

/// The blocks of a chunk with a row that is still in, and what is known of their rows.
typedef struct survivors {
    __m512 scores[CHUNK];
    __mmask16 passed[CHUNK];
    uint32_t blocks[CHUNK];
} survivors;

/// Takes the survivors through a further level; returns how many are left.
CK_INLINE size_t refine(survivors *in, size_t kept, const ck_level *level, __m512 bar, size_t groups, int nibbles) {
    const size_t bytes = ck_block_bytes(groups, nibbles);
    const __m512 rest = _mm512_set1_ps(level->probe->rest);
    size_t left = 0;
    for (size_t j = 0; j < kept; j++) {
        if (j + 2 < kept) {
            const char *ahead = (const char *)level->blocks + in->blocks[j + 2] * bytes;
            for (size_t line = 0; line < bytes && line < 512; line += 64) _mm_prefetch(ahead + line, _MM_HINT_T0);
        }
        const uint8_t *block = level->blocks + in->blocks[j] * bytes;
        __m512 score = _mm512_add_ps(in->scores[j], known(block, level->probe, groups, nibbles));
        __mmask16 hit = _mm512_mask_cmp_ps_mask(in->passed[j], _mm512_fmadd_ps(rest, halves(block + 32), score), bar,
                                                _CMP_NLT_UQ);
        in->scores[left] = score;
        in->passed[left] = hit;
        in->blocks[left] = in->blocks[j];
        left += hit != 0;
    }
    return left;
}

CK_INLINE size_t refine_any(survivors *in, size_t kept, const ck_level *level, __m512 bar) {
    // Known sizes let the compiler unroll and keep the probe in registers.
    size_t groups = level->probe->groups;
    if (level->nibbles) return groups == 8 ? refine(in, kept, level, bar, 8, 1) : refine(in, kept, level, bar, groups, 1);
    return groups == 4 ? refine(in, kept, level, bar, 4, 0) : refine(in, kept, level, bar, groups, 0);
}

/// Takes a chunk's survivors of the first level through the others and writes the positions that are left.
CK_INLINE size_t finish_chunk(survivors *in, size_t kept, const ck_level *levels, size_t level_count,
                              const float *offsets, __m512 bar, size_t groups, uint32_t *hits) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t count = 0;
    // Storing the scores of all blocks takes longer than computing those of the survivors again.
    for (size_t j = 0; level_count > 1 && j < kept; j++) {
        size_t i = in->blocks[j];
        __m512 score = known(levels[0].blocks + i * ck_block_bytes(groups, 0), levels[0].probe, groups, 0);
        if (offsets) score = _mm512_add_ps(score, _mm512_loadu_ps(offsets + i * CK_BLOCK_ROWS));
        in->scores[j] = score;
    }
    for (size_t level = 1; level < level_count; level++) kept = refine_any(in, kept, &levels[level], bar);
    for (size_t j = 0; j < kept; j++) {
        __m512i position = _mm512_add_epi32(_mm512_set1_epi32((int)(in->blocks[j] * CK_BLOCK_ROWS)), lanes);
        _mm512_storeu_si512(hits + count, _mm512_maskz_compress_epi32(in->passed[j], position));
        count += (size_t)__builtin_popcount(in->passed[j]);
    }
    return count;
}

CK_INLINE size_t scan_groups(const ck_level *levels, size_t level_count, const float *offsets, size_t from, size_t to,
                             float threshold, uint32_t *hits, size_t groups) {
    const __m512 bar = _mm512_set1_ps(threshold);
    const ck_probe *probe = levels[0].probe;
    // The first level is compared in its own scale, and only survivors are brought back from it. A query without
    // coordinates on it has no scale: nothing is known, everything is compared as it is.
    const float scale = probe->scale > 0 ? probe->scale : 1;
    const __m512 scaled_bar = _mm512_set1_ps(threshold / scale), scaled_rest = _mm512_set1_ps(probe->rest / scale);
    const __m512 unscale = _mm512_set1_ps(1 / scale);
    survivors in;
    size_t count = 0;
    for (size_t start = from; start < to; start += CHUNK) {
        size_t end = to - start < CHUNK ? to : start + CHUNK, kept = 0;
        for (size_t i = start; i < end; i++) {
            const uint8_t *block = levels[0].blocks + i * ck_block_bytes(groups, 0);
            __m512 score = known_scaled(block, probe, groups, 0);
            if (offsets) score = _mm512_fmadd_ps(_mm512_loadu_ps(offsets + i * CK_BLOCK_ROWS), unscale, score);
            __mmask16 hit = _mm512_cmp_ps_mask(_mm512_fmadd_ps(scaled_rest, halves(block + 32), score), scaled_bar,
                                               _CMP_NLT_UQ);
            in.passed[kept] = hit;
            in.blocks[kept] = (uint32_t)i;
            kept += hit != 0;
        }
        count += finish_chunk(&in, kept, levels, level_count, offsets, bar, groups, hits + count);
    }
    return count;
}

static size_t scan(const ck_level *levels, size_t level_count, const float *offsets, size_t from, size_t to,
                   float threshold, uint32_t *hits) {
    size_t groups = levels[0].probe->groups;
    if (groups == 4) return scan_groups(levels, level_count, offsets, from, to, threshold, hits, 4);
    if (groups == 8) return scan_groups(levels, level_count, offsets, from, to, threshold, hits, 8);
    return scan_groups(levels, level_count, offsets, from, to, threshold, hits, groups);
}

/// The sums of four vectors of sixteen, in order.
CK_INLINE __m128i sums4(const __m512i *x) {
    __m256i f[4];
    for (int r = 0; r < 4; r++) f[r] = _mm256_add_epi32(_mm512_castsi512_si256(x[r]), _mm512_extracti64x4_epi64(x[r], 1));
    __m256i h = _mm256_hadd_epi32(_mm256_hadd_epi32(f[0], f[1]), _mm256_hadd_epi32(f[2], f[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

static size_t rows(const uint8_t *codes, size_t stride, const float *scales, const float *offsets,
                   const ck_probe *probe, const uint32_t *positions, size_t n, float threshold, uint32_t *hits) {
    size_t bytes = probe->groups * 4, whole = bytes & ~(size_t)63, count = 0;
    __mmask64 tail = bytes & 63 ? (~(__mmask64)0) >> (64 - (bytes & 63)) : 0;
    __m512i first = _mm512_maskz_loadu_epi8(bytes >= 64 ? ~(__mmask64)0 : tail, probe->codes);
    for (size_t i = 0; i < n; i += 4) {
        size_t left = n - i < 4 ? n - i : 4;
        uint32_t at[4];
        __m512i sum[4];
        for (size_t r = 0; r < 4; r++) at[r] = positions[i + (r < left ? r : left - 1)];
        for (size_t r = 0; r < 4; r++) {
            if (i + 20 + r < n) {
                const uint8_t *ahead = codes + positions[i + 20 + r] * stride;
                for (size_t line = 0; line < bytes && line < 256; line += 64)
                    _mm_prefetch((const char *)ahead + line, _MM_HINT_T0);
            }
            const uint8_t *x = codes + at[r] * stride;
            if (whole == 0) {
                sum[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_maskz_loadu_epi8(tail, x), first);
                continue;
            }
            sum[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_loadu_si512(x), first);
            for (size_t j = 64; j < whole; j += 64)
                sum[r] = _mm512_dpbusd_epi32(sum[r], _mm512_loadu_si512(x + j), _mm512_loadu_si512(probe->codes + j));
            if (tail)
                sum[r] = _mm512_dpbusd_epi32(sum[r], _mm512_maskz_loadu_epi8(tail, x + whole),
                                             _mm512_maskz_loadu_epi8(tail, probe->codes + whole));
        }
        __m128i position = _mm_loadu_si128((const __m128i *)at);
        __m128i dot = _mm_add_epi32(sums4(sum), _mm_set1_epi32(probe->bias));
        __m128 bound = _mm_mul_ps(_mm_mul_ps(_mm_cvtepi32_ps(dot), _mm_set1_ps(probe->scale)),
                                  _mm_i32gather_ps(scales, position, 4));
        if (offsets) bound = _mm_add_ps(bound, _mm_i32gather_ps(offsets, position, 4));
        __mmask8 hit = _mm_mask_cmp_ps_mask((__mmask8)((1u << left) - 1), bound, _mm_set1_ps(threshold), _CMP_NLT_UQ);
        _mm_storeu_si128((__m128i *)(hits + count), _mm_maskz_compress_epi32(hit, position));
        count += (size_t)__builtin_popcount(hit);
    }
    return count;
}

#pragma clang attribute pop

const ck_bounds ck_bounds_avx512 = {.scan = scan, .rows = rows};
#endif
