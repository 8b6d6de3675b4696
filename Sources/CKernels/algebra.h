#ifndef ALGEBRA_H
#define ALGEBRA_H

#include "ckernels.h"
#include "dense_algebra.h"
#include "embeddings.h"
#include "half.h"
#include <math.h>
#include <string.h>

extern const ck_algebra ck_algebra_scalar;
extern const ck_embeddings ck_embeddings_scalar;
#if defined(__x86_64__)
extern const ck_algebra ck_algebra_avx2;
extern const ck_embeddings ck_embeddings_avx2;
extern const ck_algebra ck_algebra_avx512;
extern const ck_embeddings ck_embeddings_avx512;
#elif defined(__aarch64__)
extern const ck_algebra ck_algebra_neon;
extern const ck_embeddings ck_embeddings_neon;
#endif

#define CKA_INLINE static inline __attribute__((always_inline))

#endif
