#include "algebra.h"

const ck_algebra *ck_algebra_of(int isa) {
    if (!ck_distance_of(isa)) return NULL;
    switch (isa) {
#if defined(__x86_64__)
    case CK_AVX2: return &ck_algebra_avx2;
    case CK_AVX512: return &ck_algebra_avx512;
#elif defined(__aarch64__)
    case CK_NEON: return &ck_algebra_neon;
#endif
    default: return &ck_algebra_scalar;
    }
}

const ck_embeddings *ck_embeddings_of(int isa) {
    if (!ck_distance_of(isa)) return NULL;
    switch (isa) {
#if defined(__x86_64__)
    case CK_AVX2: return &ck_embeddings_avx2;
    case CK_AVX512: return &ck_embeddings_avx512;
#elif defined(__aarch64__)
    case CK_NEON: return &ck_embeddings_neon;
#endif
    default: return &ck_embeddings_scalar;
    }
}

void ck_pack(const float *b, size_t ldb, size_t k, size_t n, float *packed) {
    for (size_t t = 0; t < k; t++)
        for (size_t j = 0; j < n; j += CK_PANEL)
            memcpy(packed + j * k + t * CK_PANEL, b + t * ldb + j, CK_PANEL * sizeof(float));
}

void ck_pack_transposed(const float *rows, size_t stride, size_t n, size_t k, float *packed) {
    for (size_t first = 0; first < n; first += CK_PANEL) {
        float *panel = packed + first * k;
        size_t count = n - first < CK_PANEL ? n - first : CK_PANEL;
        for (size_t j = 0; j < CK_PANEL; j++)
            for (size_t t = 0; t < k; t++) panel[t * CK_PANEL + j] = j < count ? rows[(first + j) * stride + t] : 0;
    }
}
