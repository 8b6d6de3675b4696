// AVX-512: sixteen floats at a time, five rows by five vectors of a product at once: 25 sums in 32 registers.
#if defined(__x86_64__)
#include "algebra.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
                             apply_to = function)

#define TILE_ROWS 5
#define TILE_PANELS 5
enum { W = 16, GRAM_ROWS = 8 };
typedef __m512 vf;
CKA_INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
CKA_INLINE void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
CKA_INLINE vf vf_set(float a) { return _mm512_set1_ps(a); }
CKA_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
CKA_INLINE __m256 halves(vf a) { return _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)); }
CKA_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
CKA_INLINE float vf_sum(vf a) {
    __m256 x = halves(a);
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}
CKA_INLINE void vf_sums8(const vf *a, float *out) {
    __m256 x = _mm256_hadd_ps(_mm256_hadd_ps(halves(a[0]), halves(a[1])), _mm256_hadd_ps(halves(a[2]), halves(a[3])));
    __m256 y = _mm256_hadd_ps(_mm256_hadd_ps(halves(a[4]), halves(a[5])), _mm256_hadd_ps(halves(a[6]), halves(a[7])));
    _mm256_storeu_ps(out, _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31)));
}
CKA_INLINE vf vf_load_half(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
CKA_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }

#define ALGEBRA_TABLE ck_algebra_avx512
#include "algebra_body.h"
#define EMBEDDINGS_TABLE ck_embeddings_avx512
#include "embedding_body.h"

#pragma clang attribute pop
#endif
