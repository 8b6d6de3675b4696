// AVX2 with FMA: eight floats at a time, six rows of a product at once.
#if defined(__x86_64__)
#include "algebra.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define TILE_ROWS 6
#define TILE_PANELS 1
enum { W = 8, GRAM_ROWS = 4 };
typedef __m256 vf;
CKA_INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
CKA_INLINE void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
CKA_INLINE vf vf_set(float a) { return _mm256_set1_ps(a); }
CKA_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
CKA_INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
CKA_INLINE float vf_sum(vf a) {
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}
CKA_INLINE void vf_sums8(const vf *a, float *out) {
    __m256 x = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
    __m256 y = _mm256_hadd_ps(_mm256_hadd_ps(a[4], a[5]), _mm256_hadd_ps(a[6], a[7]));
    _mm256_storeu_ps(out, _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31)));
}
CKA_INLINE vf vf_load_half(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
CKA_INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }

#define ALGEBRA_TABLE ck_algebra_avx2
#include "algebra_body.h"
#define EMBEDDINGS_TABLE ck_embeddings_avx2
#include "embedding_body.h"

#pragma clang attribute pop
#endif
